//! Upload: look at what came, keep it, record it, and put its job into the queue, in this order.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use jiff::Timestamp;
use tokio_util::io::ReaderStream;
use tracing::{Instrument, info, info_span, warn};

use super::spool::Spooled;
use super::{Photos, SpoolWriter, larger_short_side};
use crate::embedder::Lane;
use crate::error::{Error, Result, ResultExt};
use crate::id::{PhotoId, UserId};
use crate::metadata::Inserted;
use crate::photo::{Photo, PhotoState};
use crate::picture::{self, ImageHeader, Picture};
use crate::plugin::Upload;
use crate::queue::Job;
use crate::storage::BlobKey;

/// How much of a spool file is read at once, in bytes.
const PIECE_BYTES: usize = 256 * 1024;

/// What the uploader says about a photo.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UploadDetails {
    /// The file's name.
    pub filename: Option<String>,
    /// When the photo was taken; goes before what the file says.
    pub taken_at: Option<Timestamp>,
    /// Tags.
    pub tags: BTreeSet<String>,
}

/// What became of an upload.
#[derive(Debug, Clone, PartialEq)]
pub enum Uploaded {
    /// The photo is new, and will be ready soon.
    New(Photo),
    /// The same user has the same bytes already: this is that photo.
    Existing(Photo),
}

impl Uploaded {
    /// Returns the photo, new or not.
    #[must_use]
    pub const fn photo(&self) -> &Photo {
        match self {
            Self::New(photo) | Self::Existing(photo) => photo,
        }
    }
}

impl Photos {
    /// Takes a photo in: once this returns, the photo survives anything but the loss of its store.
    ///
    /// # Errors
    /// Those of [`picture::probe`], `truncated_image`, `type_mismatch` where names are strict, a plugin's refusal,
    /// and those of the stores. Nothing is kept then, or the reconciler removes it.
    pub async fn upload(
        &self,
        user: &UserId,
        spool: SpoolWriter,
        details: UploadDetails,
    ) -> Result<Uploaded> {
        self.upload_as(PhotoId::generate(), user, spool, details).await
    }

    /// Takes a photo in under an id that it has already.
    pub(super) async fn upload_as(
        &self,
        id: PhotoId,
        user: &UserId,
        spool: SpoolWriter,
        details: UploadDetails,
    ) -> Result<Uploaded> {
        let span = info_span!("photo.upload", size_bytes = spool.bytes_written());
        self.take_in(id, user, spool, details).instrument(span).await
    }

    async fn take_in(
        &self,
        id: PhotoId,
        user: &UserId,
        spool: SpoolWriter,
        details: UploadDetails,
    ) -> Result<Uploaded> {
        let spooled = spool.finish().await?;
        let header = self.look_at(&spooled, details.filename.as_deref()).await?;
        if let Some(existing) = self.existing(user, &spooled).await? {
            return Ok(Uploaded::Existing(existing));
        }
        let upload = Upload {
            user_id: user.clone(),
            filename: details.filename.clone(),
            format: header.format,
            width: header.width,
            height: header.height,
            size_bytes: spooled.size_bytes,
            path: spooled.path.to_path_buf(),
        };
        self.inspect_by_plugins(&upload).await?;

        let attributes = super::names::note(details.filename.as_deref(), header.format);
        let now = Timestamp::now();
        let photo = Photo {
            id,
            user_id: user.clone(),
            state: PhotoState::Pending,
            filename: details.filename,
            content_type: header.format.content_type().to_owned(),
            size_bytes: spooled.size_bytes,
            width: header.width,
            height: header.height,
            hash: spooled.hash,
            created_at: now,
            updated_at: now,
            taken_at: details.taken_at,
            tags: details.tags,
            attributes,
            fingerprint: None,
            attempts: 0,
            error: None,
            next_attempt_at: None,
            blob: BlobKey::original(&id),
            derived: BTreeMap::new(),
            version: 1,
        };
        self.keep(&spooled, &photo).await?;
        match self.parts().metadata.insert(&photo).await? {
            // A retried insert finds what its first try wrote.
            Inserted::New(kept) => self.accept(kept).await,
            Inserted::Existing(kept) if kept.id == id => self.accept(kept).await,
            Inserted::Existing(other) => {
                // Somebody was quicker with the same bytes; this blob has no record and never will.
                if let Err(error) = self.parts().storage.delete(&photo.blob).await {
                    warn!(%error, key = %photo.blob, "leaving a doubled blob to the reconciler");
                }
                Ok(Uploaded::Existing(other))
            }
        }
    }

    async fn look_at(&self, spooled: &Spooled, filename: Option<&str>) -> Result<ImageHeader> {
        let path = spooled.path.to_path_buf();
        let max_pixels = self.options().max_pixels;
        // The file is held in memory while it is looked at.
        let place = self
            .inner
            .decoding
            .enter(Lane::Interactive, spooled.size_bytes)
            .await?;
        let look = move || {
            let header = picture::probe(&path, max_pixels);
            drop(place);
            header
        };
        let header = tokio::task::spawn_blocking(look)
            .await
            .map_err(|error| Error::internal("looking at an upload failed").with_source(error))??;
        if let Some(filename) = filename.filter(|_| self.options().strict_names) {
            header.format.check_name(filename)?;
        }
        if header.complete || self.options().accept_truncated {
            Ok(header)
        } else {
            Err(picture::truncated())
        }
    }

    /// Finds the same bytes of the same user; a deletion of them that is under way is finished first.
    async fn existing(&self, user: &UserId, spooled: &Spooled) -> Result<Option<Photo>> {
        match self.parts().metadata.find_by_hash(user, &spooled.hash).await? {
            Some(photo) if photo.state == PhotoState::Deleting => {
                self.finish_deletion(&photo)
                    .await
                    .context("finishing the deletion of the same photo")?;
                Ok(None)
            }
            found => Ok(found),
        }
    }

    async fn keep(&self, spooled: &Spooled, photo: &Photo) -> Result<()> {
        let file = tokio::fs::File::open(&spooled.path)
            .await
            .context("reading an upload back")?;
        let body = ReaderStream::with_capacity(file, PIECE_BYTES)
            .map(|piece| piece.context("reading an upload back"))
            .boxed();
        let written = self.parts().storage.put(&photo.blob, body).await?;
        if written == photo.size_bytes {
            Ok(())
        } else {
            let expected = photo.size_bytes;
            Err(Error::internal(format!(
                "the store kept {written} of {expected} bytes of an upload"
            )))
        }
    }

    async fn accept(&self, photo: Photo) -> Result<Uploaded> {
        let job = Job { photo_id: photo.id };
        if let Err(error) = self.parts().queue.publish(&job, Duration::ZERO).await {
            // The photo is safe: the reconciler publishes the job once the queue is back.
            warn!(%error, photo_id = %photo.id, "leaving a photo's job to the reconciler");
        }
        info!(photo_id = %photo.id, size_bytes = photo.size_bytes, "took in photo");
        Ok(Uploaded::New(photo))
    }

    /// Decodes an upload that is only to be embedded, no larger than the embedder needs it, and forgets the file.
    ///
    /// # Errors
    /// Those of [`picture::decode`].
    pub async fn decode_upload(&self, spool: SpoolWriter) -> Result<Arc<Picture>> {
        let spooled = spool.finish().await?;
        let read = move || std::fs::read(&spooled.path).context("reading an upload back");
        let serving = Arc::clone(&self.view().await?.serving);
        let configured = self.parts().embedder.describe().decode_short_side_pixels;
        let short_side_pixels =
            larger_short_side(configured, serving.embedder.describe().decode_short_side_pixels);
        Ok(self.decode(Lane::Interactive, short_side_pixels, read).await?.0)
    }
}
