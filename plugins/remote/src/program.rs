//! The program behind the plugin: how it is called, and what its answers mean.

use std::error::Error as _;
use std::time::Duration;

use lucida_core::{Error, Hook, Result, Secret};
use reqwest::header::RETRY_AFTER;
use reqwest::redirect::Policy;
use reqwest::{Client, Response, StatusCode, Url};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::config::{Address, RemoteConfig};
use crate::protocol::{Call, PROTOCOL};

/// How large an answer may be, in bytes.
const MAX_ANSWER_BYTES: usize = 16 << 20;

/// How long a connection may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// How long to wait before the next try where the program doesn't say.
const RETRY_AFTER_DEFAULT: Duration = Duration::from_secs(1);

/// A program that listens.
pub(crate) struct Program {
    /// The plugin's name.
    name: String,
    /// Where it listens, for messages.
    address: String,
    /// The hooks are below it; of a socket the host is not looked at.
    url: Url,
    client: Client,
    key: Option<Secret>,
}

/// The body of an answer that reports a failure.
#[derive(Deserialize)]
struct FailureBody {
    error: String,
}

impl Program {
    pub(crate) fn new(config: &RemoteConfig) -> Result<Self> {
        let client = Client::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(Duration::from_secs(config.timeout_secs))
            .redirect(Policy::none())
            .no_proxy();
        let (client, url) = match config.address()? {
            Address::Http(url) => (client, url),
            Address::Unix(path) => {
                let url = Url::parse("http://localhost/")
                    .map_err(|error| Error::internal("a constant URL can't be read").with_source(error))?;
                (client.unix_socket(path), url)
            }
        };
        let client = client
            .build()
            .map_err(|error| Error::internal("the HTTP client can't be set up").with_source(error))?;
        Ok(Self {
            name: config.name.clone(),
            address: config.url.clone(),
            url,
            client,
            key: config.key.clone(),
        })
    }

    /// Calls a hook and reads the answer; no body is an answer that changes nothing.
    ///
    /// # Errors
    /// `Unavailable`, `Timeout` or `Overloaded` where the program can't be reached, is slow or asks to come back later;
    /// `Internal` where it fails or answers what is not in the protocol.
    pub(crate) async fn call<A: DeserializeOwned + Default>(
        &self,
        hook: Hook,
        body: impl Serialize,
    ) -> Result<A> {
        let answer = self.send(hook, body).await?;
        if answer.trim_ascii().is_empty() {
            return Ok(A::default());
        }
        let mut json = serde_json::Deserializer::from_slice(&answer);
        A::deserialize(&mut json)
            .and_then(|answer| json.end().map(|()| answer))
            .map_err(|error| {
                let message = format!(
                    "the program at {} answered `{}` with something that is not in the protocol: {error}",
                    self.address,
                    hook.as_str()
                );
                Error::internal(message)
            })
    }

    /// Sends a hook whose answer has no meaning.
    ///
    /// # Errors
    /// Those of [`Program::call`].
    pub(crate) async fn notify(&self, hook: Hook, body: impl Serialize) -> Result<()> {
        self.send(hook, body).await.map(drop)
    }

    async fn send(&self, hook: Hook, body: impl Serialize) -> Result<Vec<u8>> {
        let call = Call {
            protocol: PROTOCOL,
            plugin: &self.name,
            body,
        };
        let body = serde_json::to_vec(&call)
            .map_err(|error| Error::internal("a call can't be written as JSON").with_source(error))?;
        let mut url = self.url.clone();
        let path = format!("{}/{}", url.path().trim_end_matches('/'), hook.as_str());
        url.set_path(&path);
        let mut request = self
            .client
            .post(url)
            .header("content-type", "application/json")
            .body(body);
        if let Some(key) = &self.key {
            request = request.bearer_auth(key.expose());
        }
        let response = request.send().await.map_err(|error| self.unreachable(&error))?;
        let (status, retry_after) = (response.status(), retry_after(&response));
        let answer = self.read(response).await?;
        if status.is_success() {
            return Ok(answer);
        }
        Err(self.failure(hook, status, retry_after, &answer))
    }

    /// Reads an answer, up to its limit.
    async fn read(&self, mut response: Response) -> Result<Vec<u8>> {
        let mut answer = Vec::new();
        while let Some(piece) = response.chunk().await.map_err(|error| self.unreachable(&error))? {
            if answer.len() + piece.len() > MAX_ANSWER_BYTES {
                let message = format!(
                    "the answer of the program at {} has more than {MAX_ANSWER_BYTES} bytes",
                    self.address
                );
                return Err(Error::internal(message));
            }
            answer.extend_from_slice(&piece);
        }
        Ok(answer)
    }

    fn failure(&self, hook: Hook, status: StatusCode, retry_after: Option<Duration>, answer: &[u8]) -> Error {
        let said = serde_json::from_slice::<FailureBody>(answer)
            .map(|failure| format!(": {}", failure.error))
            .unwrap_or_default();
        let message = format!(
            "the program at {} answered `{}` with {status}{said}",
            self.address,
            hook.as_str()
        );
        match status {
            StatusCode::TOO_MANY_REQUESTS => {
                Error::overloaded(message, retry_after.unwrap_or(RETRY_AFTER_DEFAULT))
            }
            StatusCode::BAD_GATEWAY | StatusCode::SERVICE_UNAVAILABLE | StatusCode::GATEWAY_TIMEOUT => {
                Error::unavailable(message).with_retry_after(retry_after.unwrap_or(RETRY_AFTER_DEFAULT))
            }
            _ => Error::internal(message),
        }
    }

    fn unreachable(&self, error: &reqwest::Error) -> Error {
        if error.is_timeout() {
            let message = format!("the program at {} took too long to answer", self.address);
            return Error::new(lucida_core::ErrorKind::Timeout, message);
        }
        // The innermost cause says why; the others repeat the URL.
        let mut cause = error.source();
        while let Some(deeper) = cause.and_then(|cause| cause.source()) {
            cause = Some(deeper);
        }
        let cause = cause.map_or_else(|| error.to_string(), ToString::to_string);
        Error::unavailable(format!(
            "the program at {} can't be reached ({cause}); start it, or remove the plugin",
            self.address
        ))
    }
}

/// Reads `Retry-After` in seconds.
fn retry_after(response: &Response) -> Option<Duration> {
    let written = response.headers().get(RETRY_AFTER)?.to_str().ok()?;
    written.trim().parse().ok().map(Duration::from_secs)
}
