//! The settings of the HTTP surface, and the limits that nobody needs to set.

use std::time::Duration;

/// How long a client may leave a body or a request's head unfinished without sending anything.
pub(super) const STALL_TIMEOUT: Duration = Duration::from_secs(30);

/// The slowest upload that is waited for, beyond the first [`STALL_TIMEOUT`].
pub(super) const MIN_UPLOAD_BYTES_PER_SEC: u64 = 1024;

/// The largest part of a form that is not a file.
pub(super) const MAX_FORM_VALUE_BYTES: usize = 64 << 10;

/// How the HTTP surface behaves; the configuration's `[server]` and `[search]` become this.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpOptions {
    /// The path below which a proxy shows the server, such as `/photos`; may be empty.
    pub base_path: String,
    /// The largest request body in bytes: a photo with its form around it.
    pub max_upload_bytes: u64,
    /// The largest JSON body in bytes.
    pub max_json_bytes: u64,
    /// How long the server may work on a request before it answers 503; waiting for the client's bytes doesn't count.
    pub request_timeout: Duration,
    /// How long `?wait=true` waits for a photo at most.
    pub wait_timeout: Duration,
    /// How many requests are worked on at once; one more gets 429.
    pub max_concurrent_requests: usize,
    /// How many texts or pictures one `/embed` call may hold.
    pub max_embed_items: usize,
    /// The origins of other web pages that may call; `*` is every one.
    pub cors_origins: Vec<String>,
    /// How many hits a search gives when it doesn't say.
    pub default_search_limit: usize,
    /// How many hits a search may ask for.
    pub max_search_limit: usize,
    /// How long a stopping server lets requests finish.
    pub shutdown_timeout: Duration,
}
