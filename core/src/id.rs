//! The identities that everything else refers to: photos, users, contents, models.

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::error::{Error, Result};

/// The id of a photo: a UUIDv7, so ids sort by the time of upload.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PhotoId(Uuid);

impl PhotoId {
    /// Makes a new id for now; ids made by one process are strictly increasing.
    #[must_use]
    pub fn generate() -> Self {
        Self(Uuid::now_v7())
    }

    /// Wraps a UUID of any version, for stores that hand them back.
    #[must_use]
    pub const fn from_uuid(uuid: Uuid) -> Self {
        Self(uuid)
    }

    /// Returns an id between two, 0 to 1 of the way from the first; none need exist.
    #[must_use]
    pub fn between(low: &Self, high: &Self, share: f64) -> Self {
        let (low, high) = (low.0.as_u128(), high.0.as_u128());
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_precision_loss,
            clippy::cast_sign_loss,
            reason = "only roughly where it is matters"
        )]
        let way = (high.saturating_sub(low) as f64 * share) as u128;
        Self(Uuid::from_u128(low.saturating_add(way)))
    }

    /// Returns when the id was made; `None` for a UUID of a version that doesn't say.
    #[must_use]
    pub fn made_at(&self) -> Option<Timestamp> {
        let (seconds, nanoseconds) = self.0.get_timestamp()?.to_unix();
        let (seconds, nanoseconds) = (i64::try_from(seconds).ok()?, i32::try_from(nanoseconds).ok()?);
        Timestamp::new(seconds, nanoseconds).ok()
    }

    /// Returns the UUID.
    #[must_use]
    pub const fn as_uuid(&self) -> &Uuid {
        &self.0
    }
}

impl fmt::Display for PhotoId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.hyphenated().fmt(f)
    }
}

impl FromStr for PhotoId {
    type Err = Error;

    /// Parses the hyphenated lower-case form, the only one Lucida writes.
    fn from_str(text: &str) -> Result<Self> {
        let uuid = Uuid::try_parse(text)
            .map_err(|error| Error::not_found(format!("`{text}` is not a photo id")).with_source(error))?;
        if uuid.hyphenated().to_string() == text {
            Ok(Self(uuid))
        } else {
            Err(Error::not_found(format!("`{text}` is not a photo id")))
        }
    }
}

/// The owner of photos: 1 to 128 characters of `A-Z a-z 0-9 . _ @ + -`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String")]
pub struct UserId(String);

impl UserId {
    /// The user of a server without keys.
    pub const LOCAL: &'static str = "local";

    /// Checks and wraps a user's name.
    ///
    /// # Errors
    /// `InvalidInput` when it is empty, too long or has other characters.
    pub fn new(name: impl Into<String>) -> Result<Self> {
        let name = name.into();
        let fits = (1..=128).contains(&name.len())
            && name
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"._@+-".contains(&byte));
        if fits {
            Ok(Self(name))
        } else {
            Err(Error::invalid(format!(
                "user `{name}` is not valid: use 1 to 128 characters of A-Z a-z 0-9 . _ @ + -"
            )))
        }
    }

    /// Returns the user of a server without keys.
    #[must_use]
    pub fn local() -> Self {
        Self(Self::LOCAL.to_owned())
    }

    /// Returns the name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for UserId {
    type Error = Error;

    fn try_from(name: String) -> Result<Self> {
        Self::new(name)
    }
}

impl From<UserId> for String {
    fn from(user: UserId) -> Self {
        user.0
    }
}

impl fmt::Display for UserId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The BLAKE3 hash of a photo's bytes, 32 bytes, written as 64 hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ContentHash([u8; 32]);

impl ContentHash {
    /// Hashes bytes that are in memory.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self(*blake3::hash(bytes).as_bytes())
    }

    /// Wraps a finished BLAKE3 hash.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Returns the 32 bytes, for stores that keep them as they are.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for ContentHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(blake3::Hash::from_bytes(self.0).to_hex().as_str())
    }
}

impl FromStr for ContentHash {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        blake3::Hash::from_hex(text)
            .map(|hash| Self(*hash.as_bytes()))
            .map_err(|error| Error::invalid(format!("`{text}` is not a content hash")).with_source(error))
    }
}

impl TryFrom<String> for ContentHash {
    type Error = Error;

    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}

impl From<ContentHash> for String {
    fn from(hash: ContentHash) -> Self {
        hash.to_string()
    }
}

/// What makes two vectors comparable: model id, weights and preprocessing, as 32 hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Fingerprint(String);

impl Fingerprint {
    /// Derives the fingerprint of a model from its id, its weights' hash and its preprocessing's version.
    #[must_use]
    pub fn derive(model_id: &str, weights: &[u8], preprocessing: &str) -> Self {
        let mut hasher = blake3::Hasher::new_derive_key("lucida 2026 embedding fingerprint v1");
        for part in [model_id.as_bytes(), weights, preprocessing.as_bytes()] {
            hasher.update(&(part.len() as u64).to_le_bytes());
            hasher.update(part);
        }
        Self(hasher.finalize().to_hex().as_str()[..32].to_owned())
    }

    /// Wraps a fingerprint that a store hands back.
    #[must_use]
    pub fn from_stored(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// Returns the digits.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_photo_id_survives_writing_and_reading() {
        let id = PhotoId::generate();
        assert_eq!(id.to_string().parse::<PhotoId>().unwrap(), id);
    }

    #[test]
    fn a_photo_id_in_another_spelling_is_not_found() {
        let id = PhotoId::generate().to_string();
        for spelling in [
            id.to_uppercase(),
            id.replace('-', ""),
            format!("{{{id}}}"),
            String::new(),
        ] {
            assert_eq!(
                spelling.parse::<PhotoId>().unwrap_err().kind(),
                crate::ErrorKind::NotFound
            );
        }
    }

    #[test]
    fn ids_made_later_sort_later() {
        let ids: Vec<_> = (0..1000).map(|_| PhotoId::generate()).collect();
        assert!(ids.is_sorted());
    }

    #[test]
    fn a_fingerprint_changes_with_each_of_its_parts() {
        let base = Fingerprint::derive("m", b"w", "p");
        assert_eq!(base, Fingerprint::derive("m", b"w", "p"));
        for other in [
            Fingerprint::derive("n", b"w", "p"),
            Fingerprint::derive("m", b"v", "p"),
            Fingerprint::derive("m", b"w", "q"),
            Fingerprint::derive("mw", b"", "p"),
        ] {
            assert_ne!(base, other);
        }
    }

    #[test]
    fn a_user_with_a_slash_is_refused() {
        assert!(UserId::new("a/b").is_err());
        assert!(UserId::new("").is_err());
        assert_eq!(
            UserId::new("alice@example.org").unwrap().as_str(),
            "alice@example.org"
        );
    }
}
