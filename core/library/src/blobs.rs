//! Originals and what plugins made of them: opened, decoded, and checked for damage.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt;

use crate::damage::{Damage, DamageLog};
use crate::decoder::Decoder;
use crate::fault::Fault;
use lucida_core::{
    Blob, BlobKey, BlobStat, ContentHash, DecodeSize, DerivedBlob, Error, ErrorKind, Lane, MetadataStore,
    Photo, PhotoState, Picture, Result, Storage, metrics,
};

/// The blobs of photos. What it finds damaged, it records.
#[derive(Clone)]
pub(crate) struct Blobs {
    pub(crate) storage: Arc<dyn Storage>,
    pub(crate) metadata: Arc<dyn MetadataStore>,
    pub(crate) damage: DamageLog,
    pub(crate) decoder: Decoder,
}

impl Blobs {
    /// Opens a photo's original, or a range of its bytes.
    ///
    /// # Errors
    /// `Internal` when it is missing (`blob_missing`) or has another size (`blob_damaged`); those of the
    /// store.
    pub(crate) async fn content(&self, photo: &Photo, range: Option<Range<u64>>) -> Result<Blob> {
        let damage = match self.storage.get(&photo.blob, range).await {
            Ok(blob) if blob.size_bytes == photo.size_bytes => return Ok(blob),
            Ok(_) => Damage::WrongSize,
            Err(error) if error.kind() == ErrorKind::NotFound => Damage::Missing,
            // The range may begin after the end of what is left of it.
            Err(error) if error.kind() == ErrorKind::InvalidInput => self.stat(photo).await?.ok_or(error)?,
            Err(error) => return Err(error),
        };
        self.damage.note(&photo.id, Some(damage)).await;
        Err(damage.error(photo))
    }

    /// Checks that a photo's original exists in its right size, without reading it.
    ///
    /// # Errors
    /// Those of [`Blobs::content`].
    pub(crate) async fn check_content(&self, photo: &Photo) -> Result<()> {
        let Some(damage) = self.stat(photo).await? else {
            return Ok(());
        };
        self.damage.note(&photo.id, Some(damage)).await;
        Err(damage.error(photo))
    }

    /// Opens a blob that a plugin made from a photo, by `plugin/name`.
    ///
    /// # Errors
    /// `NotFound` when the photo has none of that name; `Internal` when the store has lost it (`blob_missing`) or has it in
    /// another size (`blob_damaged`); those of the store.
    pub(crate) async fn derived(&self, photo: &Photo, name: &str) -> Result<(DerivedBlob, Blob)> {
        let derived = photo
            .derived
            .get(name)
            .ok_or_else(|| Error::not_found(format!("the photo has no `{name}`")))?;
        let blob = self.storage.get(&derived.key, None).await.map_err(|error| {
            if error.kind() == ErrorKind::NotFound {
                lost_derived(name, "is missing from the store", "blob_missing")
            } else {
                error
            }
        })?;
        if blob.size_bytes != derived.size_bytes {
            return Err(lost_derived(
                name,
                "has another size than it was stored with",
                "blob_damaged",
            ));
        }
        Ok((derived.clone(), blob))
    }

    /// Reads a photo's original, compares it with its hash, and decodes it.
    pub(crate) async fn open(&self, photo: &Photo, size: DecodeSize) -> Result<(Arc<Picture>, Bytes), Fault> {
        let blob = self.content(photo, None).await?;
        let original = blob.bytes().await?;
        let (hash, damaged) = (photo.hash, Damage::WrongBytes.error(photo));
        let decoded = self
            .decoder
            .decode(Lane::Background, size, move || {
                // What is embedded here stays in the index: it must be what was uploaded.
                if ContentHash::of(&original) == hash {
                    Ok(original)
                } else {
                    Err(damaged)
                }
            })
            .await;
        if decoded
            .as_ref()
            .is_err_and(|error| error.code() == "blob_damaged")
        {
            self.damage.note(&photo.id, Some(Damage::WrongBytes)).await;
        }
        let decoded = decoded.map_err(Fault::of_decoding)?;
        Ok((decoded.picture, decoded.file))
    }

    /// Checks an original without reading it; `None` when it exists in its right size.
    pub(crate) async fn stat(&self, photo: &Photo) -> Result<Option<Damage>> {
        match self.storage.stat(&photo.blob).await {
            Ok(BlobStat { size_bytes, .. }) if size_bytes == photo.size_bytes => Ok(None),
            Ok(_) => Ok(Some(Damage::WrongSize)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(Some(Damage::Missing)),
            Err(error) => Err(error),
        }
    }

    /// Reads an original and compares it with its record; `None` when it is right, or the photo is gone meanwhile.
    pub(crate) async fn verify(&self, photo: &Photo, pace: &mut Pace) -> Result<Option<Damage>> {
        let Some(damage) = self.compare_hash(photo, pace).await? else {
            return Ok(None);
        };
        // A deletion, or an upload that puts the bytes back, may have come in between.
        match self.metadata.get(&photo.id).await? {
            Some(now) if now.state != PhotoState::Deleting => {}
            Some(_) | None => return Ok(None),
        }
        match self.compare_hash(photo, pace).await? {
            Some(_) => Ok(Some(damage)),
            None => Ok(None),
        }
    }

    /// Reads an original and compares it with what `photo` says.
    pub(crate) async fn compare_hash(&self, photo: &Photo, pace: &mut Pace) -> Result<Option<Damage>> {
        let mut blob = match self.storage.get(&photo.blob, None).await {
            Ok(blob) => blob,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Some(Damage::Missing)),
            Err(error) => return Err(error),
        };
        if blob.size_bytes != photo.size_bytes {
            return Ok(Some(Damage::WrongSize));
        }
        let mut hasher = blake3::Hasher::new();
        while let Some(piece) = blob.stream.next().await.transpose()? {
            hasher.update(&piece);
            metrics::SCRUBBED_BYTES.add(piece.len() as u64, &[]);
            pace.spend(piece.len()).await;
        }
        let hash = ContentHash::from_bytes(*hasher.finalize().as_bytes());
        Ok((hash != photo.hash).then_some(Damage::WrongBytes))
    }

    /// Returns whether a blob is stored.
    pub(crate) async fn exists(&self, key: &BlobKey) -> Result<bool> {
        match self.storage.stat(key).await {
            Ok(_) => Ok(true),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }
}

/// A derived blob that the store has lost or damaged can be made again from the original.
fn lost_derived(name: &str, what: &str, code: &'static str) -> Error {
    Error::internal(format!(
        "the photo's `{name}` {what}: `lucida check --repair` makes it again"
    ))
    .with_code(code)
}

/// Bounds how fast originals are read, in bytes a second.
#[derive(Debug)]
pub(crate) struct Pace {
    bytes_per_sec: u64,
    next: tokio::time::Instant,
}

impl Pace {
    /// Creates a pace; 0 is unlimited.
    pub(crate) fn new(bytes_per_sec: u64) -> Self {
        Self {
            bytes_per_sec,
            next: tokio::time::Instant::now(),
        }
    }

    async fn spend(&mut self, bytes: usize) {
        if self.bytes_per_sec == 0 {
            return;
        }
        tokio::time::sleep_until(self.next).await;
        #[expect(
            clippy::cast_precision_loss,
            reason = "only roughly how long it takes matters"
        )]
        let takes = Duration::from_secs_f64(bytes as f64 / self.bytes_per_sec as f64);
        self.next = self.next.max(tokio::time::Instant::now()) + takes;
    }
}
