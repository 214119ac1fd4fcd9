//! Fetching within the rules.

use std::error::Error as StdError;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures::future::BoxFuture;
use futures::{FutureExt as _, StreamExt as _};
use lucida_core::{Error, ErrorKind, Fetched, Fetcher, Result};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::header::CONTENT_TYPE;
use reqwest::redirect::Policy;
use reqwest::{Client, Response, Url};
use tracing::debug;

use crate::config::UrlIngestConfig;
use crate::rules::{NOT_PUBLIC, Rules};

/// How long a connection may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Looks up the addresses of a name; tests bring their own.
pub type Lookup = Arc<dyn Fn(String) -> BoxFuture<'static, std::io::Result<Vec<IpAddr>>> + Send + Sync>;

/// Fetches files within the rules of a configuration.
#[derive(Clone)]
pub struct UrlFetcher {
    client: Client,
    rules: Rules,
    max_bytes: u64,
}

/// Why something is not fetched, as reqwest passes it on.
#[derive(Debug)]
struct Refused(String);

impl std::fmt::Display for Refused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl StdError for Refused {}

/// Resolves names to the addresses that may be connected to: what is checked here is what the connection uses.
struct Guard {
    rules: Rules,
    lookup: Lookup,
}

impl Resolve for Guard {
    fn resolve(&self, name: Name) -> Resolving {
        let (rules, lookup) = (self.rules.clone(), Arc::clone(&self.lookup));
        async move {
            let host = name.as_str().to_owned();
            let found = lookup(host.clone()).await?;
            let is_empty = found.is_empty();
            let allowed: Vec<_> = found
                .into_iter()
                .filter(|address| rules.allow(&host, *address))
                .collect();
            if allowed.is_empty() && !is_empty {
                debug!(host, "refusing a URL that leads to addresses that are not public");
                return Err(Refused(NOT_PUBLIC.to_owned()).into());
            }
            let addresses = allowed.into_iter().map(|address| SocketAddr::new(address, 0));
            Ok(Box::new(addresses) as Addrs)
        }
        .boxed()
    }
}

fn system_lookup(host: String) -> BoxFuture<'static, std::io::Result<Vec<IpAddr>>> {
    async move {
        let found = tokio::net::lookup_host((host.as_str(), 0)).await?;
        Ok(found.map(|address| address.ip()).collect())
    }
    .boxed()
}

impl UrlFetcher {
    /// Prepares the client; nothing is connected to yet.
    ///
    /// # Errors
    /// `ConfigInvalid` where a host can't be read; `Internal` where no HTTP client can be set up.
    pub fn new(config: &UrlIngestConfig) -> Result<Self> {
        Self::with_lookup(config, Arc::new(system_lookup))
    }

    /// The same with another way to look names up.
    ///
    /// # Errors
    /// Those of [`UrlFetcher::new`].
    pub fn with_lookup(config: &UrlIngestConfig, lookup: Lookup) -> Result<Self> {
        let rules = Rules {
            hosts: config.patterns()?,
        };
        let (of_redirects, max_redirects) = (rules.clone(), config.max_redirects);
        let redirects = Policy::custom(move |attempt| {
            if attempt.previous().len() > max_redirects {
                return attempt.error(Refused("it is redirected too often".to_owned()));
            }
            match of_redirects.refusal(attempt.url()) {
                Some(refusal) => attempt.error(Refused(refusal)),
                None => attempt.follow(),
            }
        });
        let client = Client::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(Duration::from_secs(config.timeout_secs))
            .dns_resolver(Arc::new(Guard {
                rules: rules.clone(),
                lookup,
            }))
            .redirect(redirects)
            .referer(false)
            .no_proxy()
            .user_agent(concat!("lucida/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|error| Error::internal("the HTTP client can't be set up").with_source(error))?;
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
            return Err(refused(&refusal));
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
    let mut cause: Option<&(dyn StdError + 'static)> = Some(error);
    let mut innermost = error.to_string();
    while let Some(inner) = cause {
        if let Some(refusal) = inner.downcast_ref::<Refused>() {
            return refused(&refusal.0);
        }
        innermost = inner.to_string();
        cause = inner.source();
    }
    if error.is_timeout() {
        let message = "the URL took too long, longer than `timeout_secs` of the plugin url-ingest or than a connection may take";
        return Error::new(ErrorKind::Timeout, message).with_code("url_timeout");
    }
    failed(format!("the URL can't be fetched: {innermost}"))
}
