//! Plugins: named steps in the life of a photo, and HTTP routes of their own.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::embeddings::Embeddings;
#[cfg(feature = "http")]
use crate::endpoint::{Endpoint, Failure};
use crate::error::Result;
use crate::fetch::Fetcher;
use crate::id::UserId;
use crate::image_format::ImageFormat;
use crate::library::Library;
use crate::metadata::MetadataStore;
use crate::outbox::{OutboxEvent, Subscription};
use crate::photo::Photo;
use crate::picture::{DecodeSize, Picture};
use crate::scope::Scope;
use crate::search::{Hit, SearchLimits, SearchQuery};
use crate::storage::Storage;

/// The points in a photo's life at which a plugin can take part.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Hook {
    /// At upload, before anything is kept; may refuse.
    Inspect,
    /// In the worker, with the decoded picture.
    Enrich,
    /// Before a search.
    Query,
    /// After a search.
    Rerank,
    /// When a photo became ready, failed, or was deleted.
    Event,
}

impl Hook {
    /// Returns the name that metrics use.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Inspect => "inspect",
            Self::Enrich => "enrich",
            Self::Query => "query",
            Self::Rerank => "rerank",
            Self::Event => "event",
        }
    }
}

/// What a plugin's failure does to the photo or the search at hand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnFailure {
    /// It is recorded (log, metric, and `attributes.<plugin>.error` of the photo), and all goes on.
    Record,
    /// It fails: the upload is refused, the photo is tried again or `failed`, the search is an error.
    Fail,
}

/// An upload that a plugin may look at and refuse.
#[derive(Debug, Clone)]
pub struct Upload {
    /// Whose upload it is.
    pub user_id: UserId,
    /// The name it came under.
    pub filename: Option<String>,
    /// The format, told from the bytes.
    pub format: ImageFormat,
    /// The width in pixels as seen.
    pub width: u32,
    /// The height in pixels as seen.
    pub height: u32,
    /// The size in bytes.
    pub size_bytes: u64,
    /// Where the whole upload is stored for now; only to be read.
    pub path: std::path::PathBuf,
}

/// What an enriching plugin looks at.
#[derive(Clone)]
pub struct EnrichInput {
    /// The photo's record as it is.
    pub photo: Photo,
    /// The decoded picture, upright; smaller than the photo where [`Plugin::decode_size`] of every
    /// enriching plugin allows that.
    pub picture: Arc<Picture>,
    /// The original's bytes.
    pub original: Bytes,
}

/// What an enriching plugin found out or made.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Enrichment {
    /// Becomes `attributes.<plugin>` of the photo; `None` leaves out the key.
    pub attributes: Option<Value>,
    /// Added to the photo's tags.
    pub tags: BTreeSet<String>,
    /// When the photo was taken; the first plugin that knows wins, and what the user said goes before.
    pub taken_at: Option<Timestamp>,
    /// Blobs to keep with the photo, by name (characters of a blob key's segment).
    pub blobs: BTreeMap<String, NewBlob>,
}

/// A blob that a plugin made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewBlob {
    /// Its media type.
    pub content_type: String,
    /// Its bytes.
    pub bytes: Bytes,
}

/// Something that happened to a photo.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// It is embedded and found by searches.
    Ready(Photo),
    /// It was given up.
    Failed(Photo),
    /// It is gone.
    Deleted(Photo),
}

/// What a plugin's routes may use.
#[derive(Clone)]
pub struct PluginHost {
    /// The metadata store.
    pub metadata: Arc<dyn MetadataStore>,
    /// The blobs.
    pub storage: Arc<dyn Storage>,
    /// The library, for plugins that show photos.
    pub library: Arc<dyn Library>,
    /// How many hits a search of the library returns.
    pub search_limits: SearchLimits,
    /// The models.
    pub embeddings: Arc<dyn Embeddings>,
    /// What fetches files by URL, where a plugin does.
    pub fetcher: Option<Arc<dyn Fetcher>>,
}

/// The authenticated caller of a plugin's route, put into the request's extensions by the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// Who calls; only this user's photos may be shown.
    pub user_id: UserId,
    /// What the caller may do: what the key says, or everything on a server without keys. None for a call that needs no key
    /// ([`crate::Access::Open`]).
    pub scopes: Vec<Scope>,
}

/// A named, configured step; every hook is optional.
///
/// The server calls only the hooks that [`Plugin::hooks`] names, each under [`Plugin::timeout`].
#[async_trait]
pub trait Plugin: Send + Sync {
    /// Returns the plugin's name: the key of its attributes, and the prefix of its blobs.
    fn name(&self) -> &str;

    /// Returns the hooks that the plugin takes part in.
    fn hooks(&self) -> &[Hook];

    /// Returns how long one call of a hook may take.
    fn timeout(&self) -> Duration {
        Duration::from_secs(30)
    }

    /// Returns the size of picture that is enough for an enriching plugin: [`DecodeSize::ANY`] where it reads no pixels.
    /// A large JPEG is decoded several times faster at a fraction of its size.
    fn decode_size(&self) -> DecodeSize {
        DecodeSize::FULL
    }

    /// Tells what a failure or a timeout of a hook does.
    fn on_failure(&self, hook: Hook) -> OnFailure {
        match hook {
            Hook::Inspect => OnFailure::Fail,
            Hook::Enrich | Hook::Query | Hook::Rerank | Hook::Event => OnFailure::Record,
        }
    }

    /// Looks at an upload before anything is kept.
    ///
    /// # Errors
    /// `InvalidInput` or `PermissionDenied` refuses the upload, always; other kinds are failures.
    async fn inspect(&self, upload: &Upload) -> Result<()> {
        let _ = upload;
        Ok(())
    }

    /// Adds to a photo what can be told from its picture and bytes. May be called again for the same photo.
    ///
    /// # Errors
    /// Any kind; transient ones are tried again when failures are not only recorded.
    async fn enrich(&self, input: &EnrichInput) -> Result<Enrichment> {
        let _ = input;
        Ok(Enrichment::default())
    }

    /// Changes a search before it runs.
    ///
    /// # Errors
    /// `InvalidInput` refuses the search, always; other kinds are failures.
    async fn query(&self, query: SearchQuery) -> Result<SearchQuery> {
        Ok(query)
    }

    /// Changes the hits of a search: their scores, order or number.
    ///
    /// # Errors
    /// Any kind is a failure.
    async fn rerank(&self, query: &SearchQuery, hits: Vec<Hit>) -> Result<Vec<Hit>> {
        let _ = query;
        Ok(hits)
    }

    /// Takes note of what happened: at least once for each event, unless the process dies in between. Events that must not
    /// be lost are those of [`Plugin::subscription`].
    ///
    /// # Errors
    /// Any kind is a failure, which is only recorded.
    async fn event(&self, event: &Event) -> Result<()> {
        let _ = event;
        Ok(())
    }

    /// Returns which events the plugin takes with [`Plugin::deliver`]; `None` for none.
    ///
    /// Each process that changes photos stores those events in the metadata store together with the change. One process at a
    /// time delivers them.
    fn subscription(&self) -> Option<Subscription> {
        None
    }

    /// Takes an event that was stored with the change it is about; it is deleted once this succeeds.
    ///
    /// Each event is delivered at least once, and may be delivered again with the same id. The next event of a photo follows
    /// once the last one was taken or given up.
    ///
    /// # Errors
    /// `InvalidInput` and `NotFound` give the event up; any other kind has it delivered again, after
    /// [`Error::retry_after`](crate::Error::retry_after) at the earliest, up to [`Subscription::max_attempts`].
    async fn deliver(&self, event: &OutboxEvent) -> Result<()> {
        let _ = event;
        Ok(())
    }

    /// Returns what fetches the files that clients name by URL; of several plugins the first that has one.
    fn fetcher(&self) -> Option<Arc<dyn Fetcher>> {
        None
    }

    /// Returns HTTP routes, mounted at `/v1/plugins/<name>` behind the server's authentication (scope `read` for
    /// GET and HEAD, else `write`); handlers find the [`Caller`] in the request's extensions.
    #[cfg(feature = "http")]
    fn router(&self, host: PluginHost) -> Option<axum::Router> {
        let _ = host;
        None
    }

    /// Returns HTTP calls at paths of the plugin's choice; two of the same method and path stop the server at start.
    #[cfg(feature = "http")]
    fn endpoints(&self, host: PluginHost) -> Vec<Endpoint> {
        let _ = host;
        Vec::new()
    }

    /// Writes a failure of one of the plugin's [`Plugin::endpoints`] in the shape that its clients know; without one it
    /// is `application/problem+json` as everywhere. The server sets the status and `Retry-After`.
    #[cfg(feature = "http")]
    fn failure_body(&self, failure: &Failure) -> Option<axum::response::Response> {
        let _ = failure;
        None
    }

    /// Returns what the problem of a failed call of the plugin's [`Plugin::endpoints`] has besides the problem's own
    /// members, where [`Plugin::failure_body`] writes none: one body then serves the clients of both APIs.
    #[cfg(feature = "http")]
    fn failure_members(&self, failure: &Failure) -> serde_json::Map<String, Value> {
        let _ = failure;
        serde_json::Map::new()
    }
}
