//! The connection to the server, which is qdrant-client's: where it is, how long it may take, and the key.
//!
//! What qdrant-client 1.20 does that its callers should know:
//! - It prints to stdout when it compares versions; that is skipped here, and an old server is reported by its first refusal.
//! - It sends a call about points a second time at once, over a new connection, when the first ended as `Internal`, `Unknown`,
//!   `Unavailable` or `Cancelled`, so such a call takes up to two times `request_timeout_ms`. All of those calls may be repeated.
//! - It has no setting for a certificate authority or for the interval of HTTP/2 pings: authorities are the system's, or those of
//!   `SSL_CERT_FILE`, and a connection that was lost without a word is noticed by the first call that times out on it.
//! - A connection that fails is an `Internal` status whose message prints Rust's structures: see `error.rs`.

use std::fmt;
use std::time::Duration;

use lucida_core::config::Secret;
use lucida_core::{Error, Result, ResultExt};
use qdrant_client::{Qdrant, QdrantError};

use crate::config::{QdrantConfig, check_key};
use crate::error::from_client;

/// A server, connected to when it is first needed, and again whenever the connection was lost.
#[derive(Clone)]
pub(crate) struct Server {
    url: String,
    client: Qdrant,
}

impl Server {
    /// Reads the key and prepares the connection, without making it.
    pub(crate) async fn open(config: &QdrantConfig) -> Result<Self> {
        let key = find_key(config).await?;
        let mut settings = Qdrant::from_url(&config.url)
            .connect_timeout(Duration::from_millis(config.connect_timeout_ms))
            .timeout(Duration::from_millis(config.request_timeout_ms))
            .api_key(key.map(|key| key.expose().to_owned()))
            .keep_alive_while_idle()
            .skip_compatibility_check();
        // One carries any number of calls at once.
        settings.set_pool_size(1);
        let client = settings.build().map_err(|error| {
            Error::config("url", "is not a URL; expected one like `http://127.0.0.1:6334`").with_source(error)
        })?;
        Ok(Self {
            url: config.url.clone(),
            client,
        })
    }

    /// Returns the client, to call the server.
    pub(crate) fn client(&self) -> &Qdrant {
        &self.client
    }

    /// Asks the server for its version.
    pub(crate) async fn version(&self) -> Result<String> {
        let answer = self.client.health_check().await;
        Ok(answer.map_err(|error| self.failed(error))?.version)
    }

    /// Turns what a call failed with into Lucida's error.
    pub(crate) fn failed(&self, error: QdrantError) -> Error {
        from_client(error, &self.url)
    }
}

impl fmt::Debug for Server {
    /// Leaves out the client, which holds the key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server")
            .field("url", &self.url)
            .finish_non_exhaustive()
    }
}

async fn find_key(config: &QdrantConfig) -> Result<Option<Secret>> {
    if let Some(key) = &config.api_key {
        check_key("api_key", key)?;
        return Ok(Some(key.clone()));
    }
    let Some(file) = &config.api_key_file else {
        return Ok(None);
    };
    let doing = || {
        format!(
            "reading the key in `{}` of index.qdrant.api_key_file",
            file.display()
        )
    };
    let text = tokio::fs::read_to_string(file).await.context(doing())?;
    let key = Secret::new(text.trim());
    check_key("api_key_file", &key).context(doing())?;
    Ok(Some(key))
}
