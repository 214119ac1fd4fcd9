//! The three questions to a hub: which files, what about one of them, and its bytes from some point on.

use std::time::Duration;

use bytes::Bytes;
use lucida_core::{Error, Result};
use reqwest::header::{
    ACCEPT_ENCODING, AUTHORIZATION, CONTENT_LENGTH, CONTENT_RANGE, ETAG, HeaderMap, HeaderName, HeaderValue,
    LOCATION, RANGE,
};
use reqwest::{Client, Method, Response, StatusCode, Url};
use serde::Deserialize;
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

use super::config::{HubOptions, parse_endpoint};
use super::error::{Asked, Refusal, disconnected, malformed, refused};
use super::hash::FileHash;
use super::repo::{Commit, RepoId};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// The longest silence within an answer.
const READ_TIMEOUT: Duration = Duration::from_secs(30);
/// A repository renamed twice, and then a store in two steps.
const MAX_REDIRECTS: usize = 5;
/// The names of some hundred thousand files.
const MAX_LISTING_BYTES: usize = 32 << 20;

const X_LINKED_ETAG: HeaderName = HeaderName::from_static("x-linked-etag");
const X_LINKED_SIZE: HeaderName = HeaderName::from_static("x-linked-size");
const X_ERROR_CODE: HeaderName = HeaderName::from_static("x-error-code");

/// A hub, asked from a blocking thread.
///
/// Requests run on the async runtime that started the thread, where each silence can be bounded and everything
/// be cancelled; what is done with the answers may block.
#[derive(Debug)]
pub(super) struct Hub {
    client: Client,
    endpoint: Url,
    token: Option<HeaderValue>,
    runtime: Handle,
    cancelled: CancellationToken,
}

/// A repository's files at a revision.
#[derive(Debug)]
pub(super) struct Listing {
    pub(super) commit: Commit,
    pub(super) files: Vec<String>,
}

/// A file to download.
#[derive(Debug)]
pub(super) struct RemoteFile {
    pub(super) name: String,
    pub(super) hash: FileHash,
    pub(super) size_bytes: u64,
}

/// The bytes of a file as they come.
#[derive(Debug)]
pub(super) struct Body<'a> {
    hub: &'a Hub,
    response: Response,
    /// Where in the file the first of them belongs.
    pub(super) start: u64,
}

impl Hub {
    /// Must be called within an async runtime, or from a thread that it started.
    ///
    /// # Errors
    /// `ConfigInvalid` for an endpoint or a token that can't be, `Internal` when there is no TLS.
    pub(super) fn new(options: &HubOptions, cancelled: CancellationToken) -> Result<Self> {
        let token = match &options.token {
            Some(token) => {
                let mut value =
                    HeaderValue::from_str(&format!("Bearer {}", token.expose())).map_err(|error| {
                        let message = "has a letter that no token has: copy it again";
                        Error::config("hub.token", message).with_source(error)
                    })?;
                value.set_sensitive(true);
                Some(value)
            }
            None => None,
        };
        let client = Client::builder()
            .user_agent(concat!("lucida/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(CONNECT_TIMEOUT)
            .read_timeout(READ_TIMEOUT)
            // Who gets the token is decided here, redirect by redirect.
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .map_err(|error| Error::internal("making an HTTP client failed").with_source(error))?;
        Ok(Self {
            client,
            endpoint: parse_endpoint(&options.endpoint)?,
            token,
            runtime: Handle::current(),
            cancelled,
        })
    }

    /// Asks which commit a revision is, and which files it has.
    ///
    /// # Errors
    /// Those of [`refused`], `Unavailable` when the hub can't be reached or its answer not be read.
    pub(super) fn list(&self, repo: &RepoId, revision: &str) -> Result<Listing> {
        #[derive(Deserialize)]
        struct Answer {
            sha: String,
            siblings: Vec<Sibling>,
        }
        #[derive(Deserialize)]
        struct Sibling {
            rfilename: String,
        }

        let asked = Asked {
            repo,
            revision,
            file: None,
        };
        let url = self.url(&["api", "models", repo.owner(), repo.name(), "revision", revision]);
        let response = self.send(&Method::GET, url, None, &asked)?;
        let from = response.url().clone();
        let mut body = Body {
            hub: self,
            response: self.successful(response, &asked)?,
            start: 0,
        };
        let mut text = Vec::new();
        while let Some(piece) = body.next()? {
            if text.len() + piece.len() > MAX_LISTING_BYTES {
                return Err(malformed(&from, &asked, "an endless list of files"));
            }
            text.extend_from_slice(&piece);
        }
        let answer: Answer = serde_json::from_slice(&text)
            .map_err(|error| malformed(&from, &asked, "no list of files").with_source(error))?;
        let commit = Commit::parse(&answer.sha)
            .ok_or_else(|| malformed(&from, &asked, "a commit without its hash"))?;
        let files: Vec<String> = answer.siblings.into_iter().map(|file| file.rfilename).collect();
        match files.iter().find(|file| !stays_inside(file)) {
            Some(file) => Err(malformed(&from, &asked, &format!("the file name {file:?}"))),
            None => Ok(Listing { commit, files }),
        }
    }

    /// Asks for a file's hash and size.
    ///
    /// # Errors
    /// As of [`Hub::list`].
    pub(super) fn stat(&self, repo: &RepoId, commit: &Commit, file: &str) -> Result<RemoteFile> {
        let asked = Asked {
            repo,
            revision: commit.as_str(),
            file: Some(file),
        };
        let response = self.send(&Method::HEAD, self.file_url(&asked), None, &asked)?;
        let from = response.url().clone();
        let redirects = response.status().is_redirection();
        let response = if redirects {
            response
        } else {
            self.successful(response, &asked)?
        };
        let headers = response.headers();
        let hash = text(headers, &X_LINKED_ETAG)
            .or_else(|| text(headers, &ETAG))
            .and_then(FileHash::parse)
            .ok_or_else(|| malformed(&from, &asked, "no hash"))?;
        let size_bytes = text(headers, &X_LINKED_SIZE)
            // The length of a redirect is that of its own text.
            .or_else(|| text(headers, &CONTENT_LENGTH).filter(|_| !redirects))
            .and_then(|size| size.parse().ok())
            .ok_or_else(|| malformed(&from, &asked, "no size"))?;
        Ok(RemoteFile {
            name: file.to_owned(),
            hash,
            size_bytes,
        })
    }

    /// Asks for a file's bytes from `start` on; the answer may start earlier, at 0.
    ///
    /// # Errors
    /// As of [`Hub::list`].
    pub(super) fn read(&self, repo: &RepoId, commit: &Commit, file: &str, start: u64) -> Result<Body<'_>> {
        let asked = Asked {
            repo,
            revision: commit.as_str(),
            file: Some(file),
        };
        let range = (start > 0).then(|| format!("bytes={start}-"));
        let response = self.send(&Method::GET, self.file_url(&asked), range.as_deref(), &asked)?;
        let response = self.successful(response, &asked)?;
        let continues = response.status() == StatusCode::PARTIAL_CONTENT;
        let expected = format!("bytes {start}-");
        let given = text(response.headers(), &CONTENT_RANGE);
        if continues && !given.is_some_and(|range| range.starts_with(&expected)) {
            return Err(malformed(response.url(), &asked, "another part than asked"));
        }
        Ok(Body {
            hub: self,
            response,
            start: if continues { start } else { 0 },
        })
    }

    /// Waits, unless the download is given up.
    pub(super) fn wait(&self, duration: Duration) -> Result<()> {
        self.block_on(tokio::time::sleep(duration))
    }

    fn block_on<F: Future>(&self, future: F) -> Result<F::Output> {
        self.runtime
            .block_on(self.cancelled.run_until_cancelled(future))
            .ok_or_else(|| Error::internal("the download was given up"))
    }

    /// Sends a request and follows redirects; a `HEAD` as long as they stay at the hub and don't tell all, since
    /// the hub knows a large file's hash and the store that it redirects to does not.
    fn send(
        &self,
        method: &Method,
        mut url: Url,
        range: Option<&str>,
        asked: &Asked<'_>,
    ) -> Result<Response> {
        for _ in 0..=MAX_REDIRECTS {
            let at_hub = url.origin() == self.endpoint.origin();
            let mut request = self
                .client
                .request(method.clone(), url.clone())
                .header(ACCEPT_ENCODING, "identity");
            if let Some(token) = &self.token
                && at_hub
            {
                request = request.header(AUTHORIZATION, token.clone());
            }
            if let Some(range) = range {
                request = request.header(RANGE, range);
            }
            let response = self
                .block_on(request.send())?
                .map_err(|error| disconnected(&url, error))?;
            if !response.status().is_redirection() {
                return Ok(response);
            }
            let next = text(response.headers(), &LOCATION)
                .and_then(|location| url.join(location).ok())
                .ok_or_else(|| malformed(&url, asked, "a redirect to nowhere"))?;
            let leaves = next.origin() != self.endpoint.origin();
            let tells_all = [X_LINKED_ETAG, X_LINKED_SIZE]
                .iter()
                .all(|name| response.headers().contains_key(name));
            if *method == Method::HEAD && (leaves || tells_all) {
                return Ok(response);
            }
            url = next;
        }
        Err(malformed(&url, asked, "redirects without an end"))
    }

    fn successful(&self, response: Response, asked: &Asked<'_>) -> Result<Response> {
        if response.status().is_success() {
            return Ok(response);
        }
        let refusal = Refusal {
            status: response.status(),
            code: text(response.headers(), &X_ERROR_CODE),
            from: response.url(),
            endpoint: &self.endpoint,
            had_token: self.token.is_some(),
        };
        Err(refused(asked, &refusal))
    }

    fn file_url(&self, asked: &Asked<'_>) -> Url {
        let mut segments = vec![asked.repo.owner(), asked.repo.name(), "resolve", asked.revision];
        segments.extend(asked.file.into_iter().flat_map(|file| file.split('/')));
        self.url(&segments)
    }

    /// The address of something below the endpoint, which may have a path of its own.
    fn url(&self, segments: &[&str]) -> Url {
        let mut url = self.endpoint.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().extend(segments);
        }
        url
    }
}

impl Body<'_> {
    /// Returns the next bytes, none at the end.
    ///
    /// # Errors
    /// `Unavailable` when the connection breaks or falls silent.
    pub(super) fn next(&mut self) -> Result<Option<Bytes>> {
        self.hub
            .block_on(self.response.chunk())?
            .map_err(|error| disconnected(self.response.url(), error))
    }
}

fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

/// Returns whether a file's name can't lead out of the folder that it is put into.
fn stays_inside(file: &str) -> bool {
    !file.contains(['\\', ':', '\0']) && file.split('/').all(|part| !matches!(part, "" | "." | ".."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_name_that_leads_elsewhere_is_seen() {
        for file in ["config.json", "0_CLIPModel/config.json", "a..b", ".gitattributes"] {
            assert!(stays_inside(file), "{file}");
        }
        for file in [
            "",
            "/etc/passwd",
            "../a",
            "a/../../b",
            "a//b",
            "..\\a",
            "C:a",
            "a/.",
            "a/",
        ] {
            assert!(!stays_inside(file), "{file}");
        }
    }
}
