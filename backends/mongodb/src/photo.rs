//! A photo as a document, and back.

use jiff::Timestamp;
use lucida_core::{
    BlobKey, ContentHash, DerivedBlob, Error, Fingerprint, Photo, PhotoError, PhotoId, PhotoState, Result,
    UserId, local_from_microsecond, local_microsecond,
};
use mongodb::bson::spec::BinarySubtype;
use mongodb::bson::{Binary, Bson, Document, Uuid, serialize_to_document};
use serde::{Deserialize, Serialize};

use crate::json;

/// A photo's document.
///
/// Every field is always stored, `null` if unset; only `taken_at_local` may be missing. Times are microseconds since 1970
/// as 64-bit integers, since BSON's own dates have only milliseconds. A field that is not here, written by a later version,
/// is ignored by reads and kept by updates.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct StoredPhoto {
    #[serde(rename = "_id")]
    id: Uuid,
    user_id: UserId,
    state: PhotoState,
    filename: Option<String>,
    content_type: String,
    size_bytes: i64,
    width: u32,
    height: u32,
    hash: Binary,
    created_at: i64,
    updated_at: i64,
    taken_at: Option<i64>,
    /// Of a clock without a zone; missing where an earlier version wrote the photo and no local time was found.
    #[serde(default)]
    taken_at_local: Option<i64>,
    tags: Vec<String>,
    attributes: Document,
    fingerprint: Option<Fingerprint>,
    attempts: u32,
    error: Option<PhotoError>,
    next_attempt_at: Option<i64>,
    blob: BlobKey,
    derived: Vec<StoredDerived>,
    version: i64,
}

/// A derived blob; its name has dots, so it can't be a key.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct StoredDerived {
    name: String,
    key: BlobKey,
    content_type: String,
    size_bytes: i64,
}

/// What never changes once a photo is stored.
const IDENTITY: [&str; 4] = ["_id", "user_id", "hash", "created_at"];

impl StoredPhoto {
    /// Makes the document of a photo, with the version it is to have.
    ///
    /// # Errors
    /// `InvalidInput` for a size or version beyond 63 bits.
    pub(crate) fn new(photo: &Photo, version: u64) -> Result<Self> {
        let derived = photo.derived.iter().map(|(name, blob)| {
            Ok(StoredDerived {
                name: name.clone(),
                key: blob.key.clone(),
                content_type: blob.content_type.clone(),
                size_bytes: signed("size_bytes", blob.size_bytes)?,
            })
        });
        Ok(Self {
            id: stored_id(&photo.id),
            user_id: photo.user_id.clone(),
            state: photo.state,
            filename: photo.filename.clone(),
            content_type: photo.content_type.clone(),
            size_bytes: signed("size_bytes", photo.size_bytes)?,
            width: photo.width,
            height: photo.height,
            hash: stored_hash(&photo.hash),
            created_at: photo.created_at.as_microsecond(),
            updated_at: photo.updated_at.as_microsecond(),
            taken_at: photo.taken_at.map(Timestamp::as_microsecond),
            taken_at_local: photo.taken_at_local.map(local_microsecond),
            tags: photo.tags.iter().cloned().collect(),
            attributes: json::to_document(&photo.attributes),
            fingerprint: photo.fingerprint.clone(),
            attempts: photo.attempts,
            error: photo.error.clone(),
            next_attempt_at: photo.next_attempt_at.map(Timestamp::as_microsecond),
            blob: photo.blob.clone(),
            derived: derived.collect::<Result<_>>()?,
            version: signed("version", version)?,
        })
    }

    /// Returns the fields that an update sets: all but what never changes.
    ///
    /// # Errors
    /// `Internal` when they can't be written as BSON.
    pub(crate) fn changing(&self) -> Result<Document> {
        let mut fields = serialize_to_document(self)
            .map_err(|error| Error::internal("a photo can't be written as BSON").with_source(error))?;
        for field in IDENTITY {
            fields.remove(field);
        }
        Ok(fields)
    }

    /// Returns the photo.
    ///
    /// # Errors
    /// `Internal` for a document that nothing of Lucida's has written.
    pub(crate) fn into_photo(self) -> Result<Photo> {
        let id = read_id(&self.id);
        let spoilt = |field: &'static str| {
            move |error: Error| {
                error.context(format!("reading `{field}` of photo {id} in the metadata store"))
            }
        };
        let time = |field, microseconds| {
            Timestamp::from_microsecond(microseconds)
                .map_err(|error| spoilt(field)(Error::internal("no time").with_source(error)))
        };
        let hash = <[u8; 32]>::try_from(self.hash.bytes.as_slice())
            .map_err(|error| spoilt("hash")(Error::internal("no hash").with_source(error)))?;
        let derived = self.derived.into_iter().map(|stored| {
            let blob = DerivedBlob {
                key: stored.key,
                content_type: stored.content_type,
                size_bytes: unsigned(stored.size_bytes).map_err(spoilt("derived"))?,
            };
            Ok((stored.name, blob))
        });
        Ok(Photo {
            id,
            user_id: self.user_id,
            state: self.state,
            filename: self.filename,
            content_type: self.content_type,
            size_bytes: unsigned(self.size_bytes).map_err(spoilt("size_bytes"))?,
            width: self.width,
            height: self.height,
            hash: ContentHash::from_bytes(hash),
            created_at: time("created_at", self.created_at)?,
            updated_at: time("updated_at", self.updated_at)?,
            taken_at: self.taken_at.map(|taken| time("taken_at", taken)).transpose()?,
            taken_at_local: self
                .taken_at_local
                .map(|local| {
                    local_from_microsecond(local)
                        .ok_or_else(|| spoilt("taken_at_local")(Error::internal("no local time")))
                })
                .transpose()?,
            tags: self.tags.into_iter().collect(),
            attributes: json::from_document(self.attributes)
                .map_err(spoilt("attributes"))?
                .into_iter()
                .collect(),
            fingerprint: self.fingerprint,
            attempts: self.attempts,
            error: self.error,
            next_attempt_at: self
                .next_attempt_at
                .map(|next| time("next_attempt_at", next))
                .transpose()?,
            blob: self.blob,
            derived: derived.collect::<Result<_>>()?,
            version: unsigned(self.version).map_err(spoilt("version"))?,
        })
    }
}

/// Returns an id as it is stored: a UUID, which sorts by its bytes.
pub(crate) fn stored_id(id: &PhotoId) -> Uuid {
    Uuid::from_bytes(*id.as_uuid().as_bytes())
}

/// Reads an id.
pub(crate) fn read_id(id: &Uuid) -> PhotoId {
    PhotoId::from_uuid(uuid::Uuid::from_bytes(id.bytes()))
}

/// Returns a hash as it is stored: its 32 bytes.
pub(crate) fn stored_hash(hash: &ContentHash) -> Binary {
    Binary {
        subtype: BinarySubtype::Generic,
        bytes: hash.as_bytes().to_vec(),
    }
}

/// Returns a count as BSON keeps it.
///
/// # Errors
/// `InvalidInput` beyond 63 bits.
pub(crate) fn signed(field: &'static str, count: u64) -> Result<i64> {
    i64::try_from(count).map_err(|error| {
        Error::invalid(format!(
            "`{field}` is {count}, and MongoDB counts to {}",
            i64::MAX
        ))
        .with_field(field)
        .with_source(error)
    })
}

/// Reads a count.
///
/// # Errors
/// `Internal` for a negative one.
pub(crate) fn unsigned(count: i64) -> Result<u64> {
    u64::try_from(count).map_err(|error| Error::internal("a negative count").with_source(error))
}

/// Returns a state's name as a BSON value.
pub(crate) fn stored_state(state: PhotoState) -> Bson {
    state.as_str().into()
}
