//! The messages between the server and a program, version 1: what each call sends, and what may come back.
//!
//! Fields are only added within a version. In answers a field that is null is absent, and an unknown one is an error, so
//! that a misspelt field is noticed.

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use lucida_core::{Event, Hit, Photo, PhotoId, SearchInput, SearchQuery, Upload};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The version of the messages, which every call names.
pub(crate) const PROTOCOL: u32 = 1;

/// Sends what a hook has to say, with the version and the plugin's name.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Call<'a, T> {
    /// The version of the messages: 1.
    pub(crate) protocol: u32,
    /// The plugin's name, as the configuration has it.
    pub(crate) plugin: &'a str,
    /// What the call is about.
    #[serde(flatten)]
    pub(crate) body: T,
}

/// A picture, upright, in sRGB, on white where it is transparent.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub(crate) struct PictureFile {
    /// `image/jpeg`.
    content_type: &'static str,
    /// In pixels.
    width: u32,
    /// In pixels.
    height: u32,
    /// The file, in base64.
    base64: String,
}

impl PictureFile {
    pub(crate) fn jpeg(file: &[u8], width: u32, height: u32) -> Self {
        Self {
            content_type: "image/jpeg",
            width,
            height,
            base64: STANDARD.encode(file),
        }
    }
}

/// A photo's record.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct PhotoRecord<'a> {
    /// The photo's id.
    id: String,
    /// Whose photo it is.
    user_id: &'a str,
    /// `pending`, `ready`, `failed` or `deleting`.
    state: &'static str,
    /// The name it was uploaded under.
    filename: Option<&'a str>,
    /// The media type, detected from the bytes.
    content_type: &'a str,
    /// The size of the original in bytes.
    size_bytes: u64,
    /// The width in pixels, upright.
    width: u32,
    /// The height in pixels, upright.
    height: u32,
    /// When it was uploaded, RFC 3339.
    created_at: String,
    /// When it was taken, RFC 3339.
    taken_at: Option<String>,
    /// What the camera's clock showed, without an offset.
    taken_at_local: Option<String>,
    /// Tags of the user and of plugins.
    tags: &'a BTreeSet<String>,
    /// What plugins found, by plugin name.
    attributes: &'a BTreeMap<String, Value>,
}

impl<'a> From<&'a Photo> for PhotoRecord<'a> {
    fn from(photo: &'a Photo) -> Self {
        Self {
            id: photo.id.to_string(),
            user_id: photo.user_id.as_str(),
            state: photo.state.as_str(),
            filename: photo.filename.as_deref(),
            content_type: &photo.content_type,
            size_bytes: photo.size_bytes,
            width: photo.width,
            height: photo.height,
            created_at: photo.created_at.to_string(),
            taken_at: photo.taken_at.map(|taken| taken.to_string()),
            taken_at_local: photo.taken_at_local.map(|taken| taken.to_string()),
            tags: &photo.tags,
            attributes: &photo.attributes,
        }
    }
}

/// `POST /inspect`: an upload, before anything is stored.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Inspect<'a> {
    /// The upload.
    upload: UploadRecord<'a>,
    /// The picture, where `picture_pixels` is not 0.
    picture: Option<PictureFile>,
}

#[derive(Debug, Serialize, JsonSchema)]
struct UploadRecord<'a> {
    /// Whose upload it is.
    user_id: &'a str,
    /// The name of the file.
    filename: Option<&'a str>,
    /// The media type, detected from the bytes.
    content_type: &'static str,
    /// The size in bytes.
    size_bytes: u64,
    /// The width in pixels, upright.
    width: u32,
    /// The height in pixels, upright.
    height: u32,
}

impl<'a> Inspect<'a> {
    pub(crate) fn new(upload: &'a Upload, picture: Option<PictureFile>) -> Self {
        Self {
            upload: UploadRecord {
                user_id: upload.user_id.as_str(),
                filename: upload.filename.as_deref(),
                content_type: upload.format.content_type(),
                size_bytes: upload.size_bytes,
                width: upload.width,
                height: upload.height,
            },
            picture,
        }
    }
}

/// The answer to `inspect`.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct InspectAnswer {
    /// Why the upload is refused, a sentence for the user; absent where it is welcome.
    pub(crate) refuse: Option<String>,
}

/// `POST /enrich`: a photo that is being ingested. The same photo may come again.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Enrich<'a> {
    /// The photo's record.
    pub(crate) photo: PhotoRecord<'a>,
    /// The picture, where `picture_pixels` is not 0.
    pub(crate) picture: Option<PictureFile>,
}

/// The answer to `enrich`.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct EnrichAnswer {
    /// Becomes `attributes.<plugin>` of the photo.
    pub(crate) attributes: Option<Value>,
    /// Added to the photo's tags.
    pub(crate) tags: Option<BTreeSet<String>>,
    /// When the photo was taken, RFC 3339; what the user or an earlier plugin said goes before.
    #[schemars(with = "Option<String>")]
    pub(crate) taken_at: Option<Timestamp>,
    /// Files to store beside the photo, by name.
    pub(crate) blobs: Option<BTreeMap<String, BlobFile>>,
}

/// A file to store beside the photo.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct BlobFile {
    /// Its media type.
    pub(crate) content_type: String,
    /// Its bytes, in base64.
    pub(crate) base64: String,
}

/// What a search looks for.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Query<'a> {
    /// Who searches.
    user_id: &'a str,
    /// The words, in a search by words.
    text: Option<&'a str>,
    /// The photo, in a search for similar photos.
    photo_id: Option<String>,
    /// Whether the search is by a picture that was sent along.
    by_picture: bool,
    /// Only photos with all of these tags.
    tags: &'a [String],
    /// Only photos taken at or after this time, RFC 3339.
    taken_from: Option<String>,
    /// Only photos taken before this time, RFC 3339.
    taken_to: Option<String>,
    /// How many hits at most.
    limit: usize,
}

impl<'a> From<&'a SearchQuery> for Query<'a> {
    fn from(query: &'a SearchQuery) -> Self {
        let (text, photo_id, by_picture) = match &query.input {
            SearchInput::Text(text) => (Some(text.as_str()), None, false),
            SearchInput::Photo(id) => (None, Some(id.to_string()), false),
            SearchInput::Picture(_) => (None, None, true),
        };
        Self {
            user_id: query.user_id.as_str(),
            text,
            photo_id,
            by_picture,
            tags: &query.filter.tags,
            taken_from: query.filter.taken_from.map(|time| time.to_string()),
            taken_to: query.filter.taken_to.map(|time| time.to_string()),
            limit: query.limit,
        }
    }
}

/// `POST /query`: a search, before it runs.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct QueryCall<'a> {
    /// The search.
    pub(crate) query: Query<'a>,
}

/// The answer to `query`: what is to change.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct QueryAnswer {
    /// Why the search is refused, a sentence for the user.
    pub(crate) refuse: Option<String>,
    /// Search for these words instead.
    pub(crate) text: Option<String>,
    /// Only photos with all of these tags, in place of the search's own.
    pub(crate) tags: Option<Vec<String>>,
    /// Only photos taken at or after this time, RFC 3339.
    #[schemars(with = "Option<String>")]
    pub(crate) taken_from: Option<Timestamp>,
    /// Only photos taken before this time, RFC 3339.
    #[schemars(with = "Option<String>")]
    pub(crate) taken_to: Option<Timestamp>,
    /// How many hits at most; no more than the search's own.
    pub(crate) limit: Option<usize>,
}

/// `POST /rerank`: the hits of a search, best first.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Rerank<'a> {
    /// The search.
    query: Query<'a>,
    /// Its hits.
    hits: Vec<HitRecord<'a>>,
}

#[derive(Debug, Serialize, JsonSchema)]
struct HitRecord<'a> {
    /// The cosine, -1 to 1, or what an earlier plugin made of it; higher is better.
    score: f32,
    /// The photo's record.
    photo: PhotoRecord<'a>,
}

impl<'a> Rerank<'a> {
    pub(crate) fn new(query: &'a SearchQuery, hits: &'a [Hit]) -> Self {
        Self {
            query: query.into(),
            hits: hits
                .iter()
                .map(|hit| HitRecord {
                    score: hit.score,
                    photo: (&hit.photo).into(),
                })
                .collect(),
        }
    }
}

/// The answer to `rerank`.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct RerankAnswer {
    /// The hits to show, best first; those that are left out are dropped. Absent: as they were.
    pub(crate) hits: Option<Vec<RankedHit>>,
}

/// A hit of the search.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RankedHit {
    /// The photo's id.
    #[schemars(with = "String")]
    pub(crate) id: PhotoId,
    /// Its new score; absent: as it was.
    #[serde(default)]
    pub(crate) score: Option<f32>,
}

/// `POST /event`: something happened to a photo. The body of the answer is not read.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct EventCall<'a> {
    /// `ready`, `failed` or `deleted`.
    event: &'static str,
    /// The photo's record.
    photo: PhotoRecord<'a>,
}

impl<'a> From<&'a Event> for EventCall<'a> {
    fn from(event: &'a Event) -> Self {
        let (event, photo) = match event {
            Event::Ready(photo) => ("ready", photo),
            Event::Failed(photo) => ("failed", photo),
            Event::Deleted(photo) => ("deleted", photo),
        };
        Self {
            event,
            photo: photo.into(),
        }
    }
}
