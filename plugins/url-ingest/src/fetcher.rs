//! Fetching within the rules.

use std::time::Duration;

use async_trait::async_trait;
use futures::StreamExt as _;
use lucida_core::{Error, ErrorKind, Fetched, Fetcher, Result};
use lucida_egress::{Failure, Lookup, Rules, system_lookup};
use reqwest::header::CONTENT_TYPE;
use reqwest::{Client, Response, Url};

use crate::config::UrlIngestConfig;

/// Fetches files within the rules of a configuration.
#[derive(Clone)]
pub struct UrlFetcher {
    client: Client,
    rules: Rules,
    max_bytes: u64,
}

impl UrlFetcher {
    /// Prepares the client; nothing is connected to yet.
    ///
    /// # Errors
    /// `ConfigInvalid` where a host can't be read; `Internal` where no HTTP client can be set up.
    pub fn new(config: &UrlIngestConfig) -> Result<Self> {
        Self::with_lookup(config, system_lookup())
    }

    /// The same with another way to look names up.
    ///
    /// # Errors
    /// Those of [`UrlFetcher::new`].
    pub fn with_lookup(config: &UrlIngestConfig, lookup: Lookup) -> Result<Self> {
        let rules = config.rules()?;
        let timeout = Duration::from_secs(config.timeout_secs);
        let client = lucida_egress::client(&rules, timeout, Some(config.max_redirects), lookup)?;
        Ok(Self {
            client,
            rules,
            max_bytes: config.max_bytes,
        })
    }

    fn check(&self, response: &Response) -> Result<()> {
        let status = response.status();
        if !status.is_success() {
            return Err(failed(format!("the URL answered {status}")));
        }
        let kind = response
            .headers()
            .get(CONTENT_TYPE)
            .and_then(|kind| kind.to_str().ok());
        let kind = kind
            .unwrap_or("application/octet-stream")
            .split(';')
            .next()
            .unwrap_or_default()
            .trim();
        let may_be_picture = kind.starts_with("image/") || kind.ends_with("/octet-stream");
        if !may_be_picture {
            return Err(failed(format!("the URL leads to `{kind}`, not to a picture")));
        }
        match response.content_length() {
            Some(length) if length > self.max_bytes => Err(too_large(self.max_bytes)),
            Some(_) | None => Ok(()),
        }
    }
}

#[async_trait]
impl Fetcher for UrlFetcher {
    async fn fetch(&self, written: &str) -> Result<Fetched> {
        let url = Url::parse(written).map_err(|error| {
            refused(&format!(
                "it can't be read ({error}); write it as `https://host/photo.jpg`"
            ))
        })?;
        if let Some(refusal) = self.rules.refusal(&url) {
            return Err(refused(&refusal.to_string()));
        }
        let response = self
            .client
            .get(url)
            .send()
            .await
            .map_err(|error| unreachable(&error))?;
        self.check(&response)?;
        let filename = response
            .url()
            .path_segments()
            .and_then(|mut segments| segments.next_back().map(str::to_owned))
            .filter(|name| !name.is_empty());
        let max_bytes = self.max_bytes;
        let bytes = response.bytes_stream().scan(0_u64, move |read, piece| {
            let piece = piece.map_err(|error| unreachable(&error)).and_then(|piece| {
                *read += piece.len() as u64;
                if *read > max_bytes {
                    Err(too_large(max_bytes))
                } else {
                    Ok(piece)
                }
            });
            futures::future::ready(Some(piece))
        });
        Ok(Fetched {
            filename,
            bytes: bytes.boxed(),
        })
    }
}

fn refused(why: &str) -> Error {
    Error::invalid(format!("the URL is not fetched: {why}")).with_code("url_refused")
}

fn failed(message: String) -> Error {
    Error::invalid(message).with_code("url_failed")
}

fn too_large(max_bytes: u64) -> Error {
    let message = format!(
        "the file at the URL has more than {max_bytes} bytes, which is `max_bytes` of the plugin url-ingest"
    );
    Error::invalid(message).with_code("payload_too_large")
}

/// Turns a failed request into its error; a refusal on the way is one of ours.
fn unreachable(error: &reqwest::Error) -> Error {
    match Failure::from(error) {
        Failure::Refused(why) => refused(&why),
        Failure::Timeout => {
            let message = "the URL took too long, longer than `timeout_secs` of the plugin url-ingest or than a connection may take";
            Error::new(ErrorKind::Timeout, message).with_code("url_timeout")
        }
        Failure::Unreachable(cause) => failed(format!("the URL can't be fetched: {cause}")),
    }
}
