//! HTTP requests to the server: its key, its refusals, and how many connections have been opened.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use futures::future::BoxFuture;
use lucida_core::{Error, Result, Secret};
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderValue, RETRY_AFTER};
use reqwest::redirect::Policy;
use reqwest::{Client as Http, RequestBuilder, Response, Url};
use serde::de::DeserializeOwned;
use tower::{Layer, Service};

use crate::config::{RemoteConfig, parse_url};
use crate::error::{Refusal, detail, malformed, no_answer};

/// The largest answer, in bytes: 2048 vectors of 4096 numbers have about 100 million.
const MAX_ANSWER_BYTES: usize = 256 << 20;

/// The largest refusal that is read.
const MAX_REFUSAL_BYTES: usize = 64 << 10;

/// Sends requests to one server.
#[derive(Clone)]
pub(crate) struct Client {
    http: Http,
    base: Url,
    connections: Arc<AtomicU64>,
}

impl Client {
    /// Prepares the requests of a configuration; opens no connection.
    ///
    /// # Errors
    /// `ConfigInvalid` for settings that can't be; `Internal` when there is no TLS.
    pub(crate) fn new(config: &RemoteConfig, key: Option<&Secret>) -> Result<Self> {
        let base = parse_url(&config.url)?;
        let mut headers = HeaderMap::new();
        if let Some(key) = key {
            let mut value = HeaderValue::from_str(&format!("Bearer {}", key.expose()))
                .map_err(|_| Error::config("key", "has a character that a header can't have"))?;
            value.set_sensitive(true);
            headers.insert(AUTHORIZATION, value);
        }
        let connections = Arc::new(AtomicU64::new(0));
        let http = Http::builder()
            .user_agent(concat!("lucida/", env!("CARGO_PKG_VERSION")))
            .default_headers(headers)
            .connect_timeout(config.connect_timeout())
            .timeout(config.request_timeout())
            // A redirect would send the key and the pictures to a server that nobody named.
            .redirect(Policy::none())
            .connector_layer(CountConnections(Arc::clone(&connections)))
            .build()
            .map_err(|error| Error::internal("HTTP can't be set up").with_source(error))?;
        Ok(Self {
            http,
            base,
            connections,
        })
    }

    /// Returns how many connections have been opened so far.
    pub(crate) fn connections(&self) -> u64 {
        self.connections.load(Ordering::SeqCst)
    }

    /// Returns the server's address, for messages.
    pub(crate) fn server(&self) -> &str {
        self.base.as_str().trim_end_matches('/')
    }

    fn url(&self, path: &str) -> Url {
        let mut url = self.base.clone();
        let whole = format!("{}{path}", url.path().trim_end_matches('/'));
        url.set_path(&whole);
        url
    }

    /// Begins a GET.
    pub(crate) fn get(&self, path: &str) -> RequestBuilder {
        self.http.get(self.url(path))
    }

    /// Begins a POST.
    pub(crate) fn post(&self, path: &str) -> RequestBuilder {
        self.http.post(self.url(path))
    }

    /// Sends a request and reads its answer as JSON.
    ///
    /// # Errors
    /// `Unavailable` or `Timeout` without an answer; those of a [`Refusal`]; `Unavailable` (`remote_malformed`) for an answer
    /// that can't be read.
    pub(crate) async fn ask<T: DeserializeOwned>(&self, request: RequestBuilder) -> Result<T> {
        let response = request
            .send()
            .await
            .map_err(|error| no_answer(self.server(), error))?;
        let url = response.url().to_string();
        let status = response.status();
        if !status.is_success() {
            let retry_after = retry_after(response.headers());
            // A refusal without a readable body is a refusal all the same.
            let body = self.read(response, MAX_REFUSAL_BYTES).await.unwrap_or_default();
            let refusal = Refusal {
                status,
                retry_after,
                detail: detail(&body),
            };
            return Err(refusal.into_error(&url));
        }
        let body = self.read(response, MAX_ANSWER_BYTES).await?;
        serde_json::from_slice(&body)
            .map_err(|error| malformed(&url, "something else than this protocol's JSON").with_source(error))
    }

    async fn read(&self, mut response: Response, most: usize) -> Result<Vec<u8>> {
        let mut body = Vec::new();
        while let Some(chunk) = response
            .chunk()
            .await
            .map_err(|error| no_answer(self.server(), error))?
        {
            if body.len() + chunk.len() > most {
                return Err(malformed(self.server(), &format!("more than {most} bytes")));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body)
    }
}

fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let value = headers.get(RETRY_AFTER)?.to_str().ok()?;
    value.trim().parse().ok().map(Duration::from_secs)
}

/// Counts the connections that have been opened.
#[derive(Clone)]
struct CountConnections(Arc<AtomicU64>);

/// A connector whose connections are counted before anything is sent over them.
#[derive(Clone)]
struct Counted<S> {
    inner: S,
    connections: Arc<AtomicU64>,
}

impl<S> Layer<S> for CountConnections {
    type Service = Counted<S>;

    fn layer(&self, inner: S) -> Counted<S> {
        Counted {
            inner,
            connections: Arc::clone(&self.0),
        }
    }
}

impl<S, R> Service<R> for Counted<S>
where
    S: Service<R>,
    S::Future: Send + 'static,
    S::Response: Send,
    S::Error: Send,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = BoxFuture<'static, std::result::Result<S::Response, S::Error>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<std::result::Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, target: R) -> Self::Future {
        let connecting = self.inner.call(target);
        let connections = Arc::clone(&self.connections);
        Box::pin(async move {
            let connected = connecting.await;
            connections.fetch_add(1, Ordering::SeqCst);
            connected
        })
    }
}
