//! Decoding on blocking threads, within the bounds of threads and memory that all requests and workers share.

use std::sync::Arc;

use crate::decode_budget::DecodeBudget;
use crate::spool::Spooled;
use lucida_core::{DecodeSize, Error, Lane, Picture, Result, ResultExt};
use lucida_picture::{DecodeOptions, ImageHeader};

/// A decoded picture, with what it was decoded from.
pub(crate) struct Decoded<B> {
    pub(crate) picture: Arc<Picture>,
    pub(crate) file: B,
    pub(crate) header: ImageHeader,
}

/// Decodes pictures and reads their headers.
#[derive(Clone)]
pub(crate) struct Decoder {
    budget: Arc<DecodeBudget>,
    max_pixels: u64,
    accept_truncated: bool,
}

impl Decoder {
    /// Creates a decoder with a thread for each core.
    pub(crate) fn new(max_pixels: u64, accept_truncated: bool, memory_bytes: u64) -> Self {
        let cores = std::thread::available_parallelism().map_or(2, usize::from);
        Self {
            budget: Arc::new(DecodeBudget::new(cores, memory_bytes)),
            max_pixels,
            accept_truncated,
        }
    }

    /// Decodes what `read` returns once a permit is free, no larger than the short side needs; `None` asks for full size.
    ///
    /// # Errors
    /// Those of `read` and of [`lucida_picture::decode`].
    pub(crate) async fn decode<B>(
        &self,
        lane: Lane,
        size: DecodeSize,
        read: impl FnOnce() -> Result<B> + Send + 'static,
    ) -> Result<Decoded<B>>
    where
        B: AsRef<[u8]> + Send + 'static,
    {
        let options = DecodeOptions {
            max_pixels: self.max_pixels,
            accept_truncated: self.accept_truncated,
            size,
        };
        let failed = |error| Error::internal("decoding a picture failed").with_source(error);
        let measure = move || {
            let file = read()?;
            let header = ImageHeader::peek(file.as_ref())?;
            Ok::<_, Error>((file, header))
        };
        let (file, header) = tokio::task::spawn_blocking(measure).await.map_err(failed)??;
        let memory_bytes = lucida_picture::memory_bytes(&header, size);
        let permit = self.budget.enter(lane, memory_bytes).await?;
        let decode = move || {
            let picture = lucida_picture::decode(file.as_ref(), &options)?;
            let kept = permit.shrink_to(picture.pixels().as_raw().len() as u64);
            // A worker has one picture, and its memory stays taken until that is done with. A call may bring many, which
            // must not wait for each other.
            let picture = match lane {
                Lane::Background => picture.holding(Arc::new(kept)),
                Lane::Interactive => picture,
            };
            Ok(Decoded {
                picture: Arc::new(picture),
                file,
                header,
            })
        };
        tokio::task::spawn_blocking(decode).await.map_err(failed)?
    }

    /// Decodes an upload that is only to be embedded, and removes its file.
    ///
    /// # Errors
    /// Those of [`lucida_picture::decode`].
    pub(crate) async fn decode_spooled(&self, spooled: Spooled, size: DecodeSize) -> Result<Arc<Picture>> {
        let read = move || std::fs::read(&spooled.path).context("reading an upload back");
        Ok(self.decode(Lane::Interactive, size, read).await?.picture)
    }

    /// Reads the header of an upload.
    ///
    /// # Errors
    /// Those of [`lucida_picture::probe`].
    pub(crate) async fn probe(&self, spooled: &Spooled) -> Result<ImageHeader> {
        // The file is held in memory meanwhile.
        let permit = self.budget.enter(Lane::Interactive, spooled.size_bytes).await?;
        let path = spooled.path.to_path_buf();
        let max_pixels = self.max_pixels;
        let probe = move || {
            let header = lucida_picture::probe(&path, max_pixels);
            drop(permit);
            header
        };
        tokio::task::spawn_blocking(probe)
            .await
            .map_err(|error| Error::internal("reading the header of an upload failed").with_source(error))?
    }

    /// Refuses a picture whose end is missing, unless such pictures are accepted.
    ///
    /// # Errors
    /// `InvalidInput` (`truncated_image`).
    pub(crate) fn check_complete(&self, header: &ImageHeader) -> Result<()> {
        if header.complete || self.accept_truncated {
            Ok(())
        } else {
            Err(lucida_picture::truncated())
        }
    }
}
