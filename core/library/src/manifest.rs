//! What is stored beside each original, so that its record can be made again when the metadata store is lost.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use jiff::civil::DateTime;
use serde::{Deserialize, Serialize};

use lucida_core::{BlobKey, ContentHash, Error, Photo, PhotoId, PhotoState, Result, UserId};

/// What a photo's record is made from: a small JSON object under [`BlobKey::manifest`].
///
/// The same content under [`BlobKey::tombstone`], with [`Manifest::deleted_at`] set, records that the photo was deleted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// The version of this format; a reader refuses a later one than [`Manifest::FORMAT`].
    pub format: u32,
    /// The photo.
    pub id: PhotoId,
    /// Its owner.
    pub user_id: UserId,
    /// The name it was uploaded under.
    pub filename: Option<String>,
    /// The media type, detected from the bytes.
    pub content_type: String,
    /// The size of the original in bytes.
    pub size_bytes: u64,
    /// The width in pixels, after EXIF orientation.
    pub width: u32,
    /// The height in pixels, after EXIF orientation.
    pub height: u32,
    /// The hash of the original's bytes.
    pub hash: ContentHash,
    /// When it was uploaded.
    pub created_at: Timestamp,
    /// When it was taken, where the user said so.
    pub taken_at: Option<Timestamp>,
    /// What the clock showed there then, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub taken_at_local: Option<DateTime>,
    /// The tags that the user gave it.
    pub tags: BTreeSet<String>,
    /// When it was deleted; only in a tombstone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deleted_at: Option<Timestamp>,
}

impl Manifest {
    /// The version that this build writes.
    pub const FORMAT: u32 = 1;

    /// Describes a photo as its record does now.
    #[must_use]
    pub fn of(photo: &Photo) -> Self {
        Self {
            format: Self::FORMAT,
            id: photo.id,
            user_id: photo.user_id.clone(),
            filename: photo.filename.clone(),
            content_type: photo.content_type.clone(),
            size_bytes: photo.size_bytes,
            width: photo.width,
            height: photo.height,
            hash: photo.hash,
            created_at: photo.created_at,
            taken_at: photo.taken_at,
            taken_at_local: photo.taken_at_local,
            tags: photo.tags.clone(),
            deleted_at: None,
        }
    }

    /// Reads a manifest.
    ///
    /// # Errors
    /// `InvalidInput` for bytes that are not a manifest, or one of a later format.
    pub fn read(bytes: &[u8]) -> Result<Self> {
        let manifest: Self = serde_json::from_slice(bytes)
            .map_err(|error| Error::invalid("the manifest can't be read").with_source(error))?;
        if manifest.format > Self::FORMAT {
            let format = manifest.format;
            return Err(Error::invalid(format!(
                "the manifest has format {format}, written by a newer version"
            )));
        }
        Ok(manifest)
    }

    /// Writes the manifest as JSON.
    ///
    /// # Errors
    /// `Internal` when it can't be written as JSON.
    pub fn write(&self) -> Result<Vec<u8>> {
        serde_json::to_vec_pretty(self)
            .map_err(|error| Error::internal("the manifest can't be written as JSON").with_source(error))
    }

    /// Returns the photo's record as it is right after an upload.
    #[must_use]
    pub fn into_photo(self) -> Photo {
        Photo {
            id: self.id,
            user_id: self.user_id,
            state: PhotoState::Pending,
            filename: self.filename,
            content_type: self.content_type,
            size_bytes: self.size_bytes,
            width: self.width,
            height: self.height,
            hash: self.hash,
            created_at: self.created_at,
            updated_at: Timestamp::now(),
            taken_at: self.taken_at,
            taken_at_local: self.taken_at_local,
            tags: self.tags,
            attributes: BTreeMap::new(),
            fingerprint: None,
            attempts: 0,
            error: None,
            next_attempt_at: None,
            blob: BlobKey::original(&self.id),
            derived: BTreeMap::new(),
            version: 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest() -> Manifest {
        Manifest {
            format: Manifest::FORMAT,
            id: PhotoId::generate(),
            user_id: UserId::local(),
            filename: Some("Straße.jpg".to_owned()),
            content_type: "image/jpeg".to_owned(),
            size_bytes: 12,
            width: 4,
            height: 3,
            hash: ContentHash::of(b"twelve bytes"),
            created_at: "2026-01-02T03:04:05.678901Z".parse().unwrap(),
            taken_at: Some("2020-02-02T20:20:20Z".parse().unwrap()),
            taken_at_local: Some("2020-02-02T21:20:20".parse().unwrap()),
            tags: BTreeSet::from(["sea".to_owned()]),
            deleted_at: None,
        }
    }

    #[test]
    fn a_manifest_survives_writing_and_reading_and_makes_the_same_record() {
        let manifest = manifest();
        let read = Manifest::read(&manifest.write().unwrap()).unwrap();
        assert_eq!(read, manifest);
        assert_eq!(Manifest::of(&read.into_photo()), manifest);
    }

    #[test]
    fn a_manifest_of_a_later_format_is_refused() {
        let later = Manifest {
            format: Manifest::FORMAT + 1,
            ..manifest()
        };
        let error = Manifest::read(&later.write().unwrap()).unwrap_err();
        assert!(error.to_string().contains("newer version"), "{error}");
        assert!(Manifest::read(b"{}").is_err());
    }
}
