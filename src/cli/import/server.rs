//! An import into a running server, over its HTTP API.

use std::fs;
use std::path::Path;
use std::time::Duration;

use async_trait::async_trait;
use lucida_core::{Error, ErrorKind, PhotoId};
use reqwest::header::{HeaderValue, RETRY_AFTER};
use reqwest::multipart::{Form, Part};
use reqwest::{Body, Client, Response, StatusCode, Url};
use serde::Deserialize;

use super::file::{Fault, Opened, Refusal};
use super::target::{Details, Standing, TakeError, Taken, Target};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a call may take that moves no photo.
const CALL_TIMEOUT: Duration = Duration::from_secs(30);

/// How long an upload may take besides its bytes, and how slow those may come.
const UPLOAD_TIMEOUT: Duration = Duration::from_secs(300);
const SLOWEST_BYTES_PER_SEC: u64 = 32 * 1024;

/// How long to wait when a busy server doesn't say how long.
const DEFAULT_PAUSE: Duration = Duration::from_secs(1);
/// The longest wait that a server's answer is followed in.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// The header of the key.
const KEY_HEADER: &str = "x-api-key";

/// A running server.
pub(super) struct Server {
    client: Client,
    url: Url,
    /// The URL without a name or a password, for people.
    shown: String,
    key: Option<HeaderValue>,
}

/// What an import reads of a photo in an answer.
#[derive(Deserialize)]
struct PhotoAnswer {
    id: String,
    state: String,
    error: Option<ReasonAnswer>,
}

#[derive(Deserialize)]
struct ReasonAnswer {
    code: String,
    message: String,
}

/// What an import reads of a refusal.
#[derive(Deserialize)]
struct ProblemAnswer {
    code: String,
    detail: String,
}

impl Server {
    /// Makes a client of the server at a URL and asks it whether it is there.
    ///
    /// # Errors
    /// `ConfigInvalid` for a wrong URL or key file; `Unavailable` when no server answers, or something else does.
    pub(super) async fn connect(url: &str, key_file: Option<&Path>) -> Result<Self, Error> {
        let url = parse_url(url)?;
        let server = Self {
            shown: without_login(&url),
            client: Client::builder()
                .user_agent(concat!("lucida/", env!("CARGO_PKG_VERSION")))
                .connect_timeout(CONNECT_TIMEOUT)
                // A photo and its key go where they were sent, or nowhere.
                .redirect(reqwest::redirect::Policy::none())
                .build()
                .map_err(|error| Error::internal("making an HTTP client failed").with_source(error))?,
            url,
            key: key_file.map(read_key).transpose()?,
        };
        let answer = server.get("healthz").await.map_err(|error| {
            Error::unavailable(format!("no server answers at {}", server.shown))
                .with_source(without_url(error))
        })?;
        if !answer.status().is_success() {
            let message = format!(
                "what answers at {} is not Lucida, or not at this path: GET /healthz gives {}",
                server.shown,
                answer.status()
            );
            return Err(Error::unavailable(message));
        }
        Ok(server)
    }

    fn address(&self, path: &str) -> Url {
        let mut url = self.url.clone();
        let base = url.path().trim_end_matches('/').to_owned();
        url.set_path(&format!("{base}/{path}"));
        url
    }

    async fn get(&self, path: &str) -> reqwest::Result<Response> {
        let request = self.client.get(self.address(path)).timeout(CALL_TIMEOUT);
        self.with_key(request).send().await
    }

    fn with_key(&self, request: reqwest::RequestBuilder) -> reqwest::RequestBuilder {
        match &self.key {
            Some(key) => request.header(KEY_HEADER, key.clone()),
            None => request,
        }
    }

    /// Turns an answer that is not a photo into the reason.
    async fn refused(&self, answer: Response) -> TakeError {
        let status = answer.status();
        let pause = retry_after(&answer).unwrap_or(DEFAULT_PAUSE).min(LONGEST_PAUSE);
        let text = answer.text().await.unwrap_or_default();
        let problem: Option<ProblemAnswer> = serde_json::from_str(&text).ok();
        let detail = problem
            .as_ref()
            .map_or_else(|| status.to_string(), |problem| problem.detail.clone());
        match status {
            StatusCode::UNAUTHORIZED if self.key.is_none() => TakeError::Target(Error::new(
                ErrorKind::PermissionDenied,
                format!(
                    "the server at {} asks for a key: pass --key-file FILE",
                    self.shown
                ),
            )),
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => TakeError::Target(Error::new(
                ErrorKind::PermissionDenied,
                format!(
                    "the server at {} refuses the key of --key-file: {detail}",
                    self.shown
                ),
            )),
            StatusCode::REQUEST_TIMEOUT
            | StatusCode::TOO_MANY_REQUESTS
            | StatusCode::BAD_GATEWAY
            | StatusCode::SERVICE_UNAVAILABLE
            | StatusCode::GATEWAY_TIMEOUT => TakeError::Busy(Error::unavailable(detail), pause),
            _ => match problem {
                Some(problem) => TakeError::File(Refusal::new(problem.code, problem.detail)),
                None => TakeError::Target(Error::unavailable(format!(
                    "{} does not answer as Lucida does: POST /v1/photos gives {status}; --server must be the address of \
                     the server itself, as in http://127.0.0.1:8080",
                    self.shown
                ))),
            },
        }
    }
}

#[async_trait]
impl Target for Server {
    async fn take(&self, file: Opened, details: Details) -> Result<Taken, TakeError> {
        let size_bytes = file.size_bytes();
        let content_type = file.content_type();
        let fault = Fault::default();
        let body = Body::wrap_stream(file.pieces(fault.clone()));
        let part = Part::stream_with_length(body, size_bytes)
            .file_name(details.filename)
            .mime_str(content_type)
            .map_err(|error| TakeError::Target(Error::internal("making a form failed").with_source(error)))?;
        let mut form = Form::new().percent_encode_noop();
        if !details.tags.is_empty() {
            let metadata = serde_json::json!({ "tags": details.tags });
            form = form.text("metadata", metadata.to_string());
        }
        let request = self
            .client
            .post(self.address("v1/photos"))
            .timeout(UPLOAD_TIMEOUT + Duration::from_secs(size_bytes / SLOWEST_BYTES_PER_SEC))
            .multipart(form.part("file", part));
        let answer = self.with_key(request).send().await;
        if let Some(refusal) = fault.get() {
            return Err(TakeError::File(refusal));
        }
        let answer = answer.map_err(|error| {
            let message = format!("the server at {} does not answer", self.shown);
            let error = Error::unavailable(message).with_source(without_url(error));
            TakeError::Busy(error, DEFAULT_PAUSE)
        })?;
        let is_new = match answer.status() {
            StatusCode::OK => false,
            StatusCode::CREATED | StatusCode::ACCEPTED => true,
            _ => return Err(self.refused(answer).await),
        };
        let (id, standing) = photo_of(answer).await.map_err(TakeError::Target)?;
        Ok(Taken { id, is_new, standing })
    }

    async fn look(&self, id: &PhotoId) -> Result<Option<Standing>, Error> {
        let answer = self.get(&format!("v1/photos/{id}")).await;
        let answer = answer.map_err(|error| {
            let message = format!("the server at {} does not answer", self.shown);
            Error::unavailable(message).with_source(without_url(error))
        })?;
        match answer.status() {
            StatusCode::OK => Ok(Some(photo_of(answer).await?.1)),
            StatusCode::NOT_FOUND => Ok(Some(Standing::Gone)),
            // A key that only writes.
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Ok(None),
            status => Err(Error::unavailable(format!("GET /v1/photos/{id} gives {status}"))),
        }
    }
}

async fn photo_of(answer: Response) -> Result<(PhotoId, Standing), Error> {
    let wrong = |what: String| Error::unavailable(format!("the server's answer is not a photo's: {what}"));
    let text = answer
        .text()
        .await
        .map_err(|error| wrong(without_url(error).to_string()))?;
    let photo: PhotoAnswer = serde_json::from_str(&text).map_err(|error| wrong(error.to_string()))?;
    let id = photo
        .id
        .parse()
        .map_err(|error: Error| wrong(error.to_string()))?;
    let standing = match photo.state.as_str() {
        "ready" => Standing::Ready,
        "failed" => {
            let error = photo.error.map(|error| Refusal::new(error.code, error.message));
            Standing::Failed(Refusal::of_failed_photo(error))
        }
        _ => Standing::Waiting(photo.error.map(|error| error.message)),
    };
    Ok((id, standing))
}

fn retry_after(answer: &Response) -> Option<Duration> {
    let value = answer.headers().get(RETRY_AFTER)?.to_str().ok()?;
    value.trim().parse().ok().map(Duration::from_secs)
}

/// A URL may hold a password, and stands in the message already.
fn without_url(error: reqwest::Error) -> reqwest::Error {
    error.without_url()
}

fn without_login(url: &Url) -> String {
    let mut url = url.clone();
    // Neither fails on a URL with a host, which this is.
    let _ = url.set_username("").and_then(|()| url.set_password(None));
    url.as_str().trim_end_matches('/').to_owned()
}

fn parse_url(text: &str) -> Result<Url, Error> {
    let example = "write it like http://127.0.0.1:8080";
    let url = Url::parse(text)
        .map_err(|error| Error::config("--server", format!("`{text}` is not a URL ({error}): {example}")))?;
    if !matches!(url.scheme(), "http" | "https") || url.host().is_none() {
        return Err(Error::config(
            "--server",
            format!("`{text}` is not the URL of a server: {example}"),
        ));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(Error::config(
            "--server",
            format!("`{text}` has a query or a fragment: {example}"),
        ));
    }
    Ok(url)
}

fn read_key(path: &Path) -> Result<HeaderValue, Error> {
    let text = fs::read_to_string(path).map_err(|error| {
        Error::config("--key-file", format!("can't read {}", path.display())).with_source(error)
    })?;
    let key = text.trim();
    let wrong = || {
        let message = format!(
            "{} must hold a key on one line, in visible ASCII characters",
            path.display()
        );
        Error::config("--key-file", message)
    };
    if key.is_empty() || !key.chars().all(|character| character.is_ascii_graphic()) {
        return Err(wrong());
    }
    let mut value = HeaderValue::from_str(key).map_err(|_| wrong())?;
    value.set_sensitive(true);
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_a_servers_url_is_refused() {
        for text in [
            "127.0.0.1:8080",
            "ftp://host",
            "http://",
            "http://host/?a=b",
            "localhost:8080",
        ] {
            let error = parse_url(text).unwrap_err();
            assert_eq!(error.field(), Some("--server"), "{text}");
            assert!(error.to_string().contains("http://127.0.0.1:8080"), "{error}");
        }
        assert!(parse_url("https://photos.example.org/lucida/").is_ok());
    }

    #[test]
    fn a_key_is_trimmed_and_a_file_without_one_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        fs::write(&path, "open-sesame\n").unwrap();
        assert_eq!(read_key(&path).unwrap(), "open-sesame");
        for wrong in ["", "two words", "two\nlines", "schlüssel"] {
            fs::write(&path, wrong).unwrap();
            let error = read_key(&path).unwrap_err();
            assert!(error.to_string().contains("must hold a key"), "{error}");
        }
        let error = read_key(Path::new("/nowhere/key")).unwrap_err();
        assert!(error.to_string().contains("/nowhere/key"), "{error}");
    }
}
