//! A hub of one repository on this machine, with the store of large files, and what goes wrong with them.

use std::sync::Arc;
use std::sync::{Mutex, MutexGuard, PoisonError};

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures::StreamExt;
use lucida_testkit::eventually;
use sha1::{Digest, Sha1};
use sha2::Sha256;
use tokio::net::TcpListener;
use tokio::sync::watch;

pub(crate) const REPO: &str = "owner/clip";
pub(crate) const FIRST_COMMIT: &str = "1111111111111111111111111111111111111111";
pub(crate) const SECOND_COMMIT: &str = "2222222222222222222222222222222222222222";
const STORE_SIGNATURE: &str = "signature-of-the-store";

/// Files above this are large ones, in the store.
const LARGE_BYTES: usize = 1000;

/// A hub and its store, each at an address of its own.
pub(crate) struct TestHub {
    pub(crate) endpoint: String,
    shared: Arc<Shared>,
}

struct Shared {
    store: String,
    script: Mutex<Script>,
    released: watch::Sender<bool>,
}

struct Script {
    commit: &'static str,
    files: Vec<(&'static str, Bytes)>,
    token: Option<&'static str>,
    refusal: Option<(StatusCode, &'static str)>,
    fault: Option<Fault>,
    seen: Vec<Seen>,
}

/// What is wrong with the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The first answer breaks off after so many bytes.
    Break(usize),
    /// The first answer pauses after so many bytes until `release`.
    Hold(usize),
    /// One byte is wrong.
    Corrupt,
    /// Ranges are ignored.
    Whole,
    /// It is out of order.
    Down,
}

/// A request as the hub or its store got it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) by_store: bool,
    pub(crate) method: Method,
    pub(crate) path: String,
    pub(crate) range: Option<String>,
    pub(crate) authorization: Option<String>,
}

impl TestHub {
    pub(crate) async fn start(files: Vec<(&'static str, Bytes)>) -> Self {
        let hub = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let store = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", hub.local_addr().unwrap());
        let shared = Arc::new(Shared {
            store: format!("http://{}", store.local_addr().unwrap()),
            script: Mutex::new(Script {
                commit: FIRST_COMMIT,
                files,
                token: None,
                refusal: None,
                fault: None,
                seen: Vec::new(),
            }),
            released: watch::Sender::new(false),
        });
        let at_hub = Router::new().fallback(answer).with_state(Arc::clone(&shared));
        let at_store = Router::new().fallback(deliver).with_state(Arc::clone(&shared));
        tokio::spawn(async { axum::serve(hub, at_hub).await });
        tokio::spawn(async { axum::serve(store, at_store).await });
        Self { endpoint, shared }
    }

    pub(crate) fn require(&self, token: &'static str) {
        self.shared.script().token = Some(token);
    }

    pub(crate) fn refuse(&self, status: StatusCode, code: &'static str) {
        self.shared.script().refusal = Some((status, code));
    }

    pub(crate) fn fail(&self, fault: Fault) {
        self.shared.script().fault = Some(fault);
    }

    pub(crate) fn heal(&self) {
        self.shared.script().fault = None;
    }

    /// Lets a held answer go on.
    pub(crate) fn release(&self) {
        self.shared.released.send_replace(true);
    }

    /// Gives the branch `main` another commit.
    pub(crate) fn push(&self, commit: &'static str, files: Vec<(&'static str, Bytes)>) {
        let mut script = self.shared.script();
        (script.commit, script.files) = (commit, files);
    }

    /// Returns the requests since the last call.
    pub(crate) fn take_seen(&self) -> Vec<Seen> {
        std::mem::take(&mut self.shared.script().seen)
    }

    /// Waits until so many requests of a kind came.
    pub(crate) async fn wait_for(&self, count: usize, matches: impl Fn(&Seen) -> bool) {
        eventually("the requests come", async || {
            self.shared
                .script()
                .seen
                .iter()
                .filter(|seen| matches(seen))
                .count()
                >= count
        })
        .await;
    }
}

impl Shared {
    fn script(&self) -> MutexGuard<'_, Script> {
        self.script.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The hub's side: the list of files, and for each its content or the way to it.
async fn answer(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let mut script = shared.script();
    script.seen.push(seen(&request, false));
    // A mirror has a path of its own.
    let path = request.uri().path();
    let path = path.strip_prefix("/mirror").unwrap_or(path);
    if let Some((status, code)) = script.refusal {
        return (status, [("x-error-code", code)]).into_response();
    }
    let authorization = script.token.map(|token| format!("Bearer {token}"));
    if authorization.is_some() && authorization != text(request.headers(), header::AUTHORIZATION) {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    let commit = script.commit;
    for revision in ["main", commit] {
        if path == format!("/api/models/{REPO}/revision/{revision}") {
            let siblings: Vec<_> = script
                .files
                .iter()
                .map(|(name, _)| serde_json::json!({ "rfilename": name }))
                .collect();
            let listing = serde_json::json!({ "id": REPO, "sha": commit, "siblings": siblings });
            return listing.to_string().into_response();
        }
    }
    let file = |start: &str| {
        let name = path.strip_prefix(start)?;
        let found = script.files.iter().find(|(known, _)| *known == name)?;
        Some((name, found.1.clone()))
    };
    let commit_header = ("x-repo-commit", commit.to_owned());
    if let Some((name, content)) = file(&format!("/{REPO}/resolve/{commit}/")) {
        if content.len() > LARGE_BYTES {
            let hash = large_hash(&content);
            let headers = [
                commit_header,
                ("x-linked-etag", format!("\"{hash}\"")),
                ("x-linked-size", content.len().to_string()),
                (
                    "location",
                    format!("{}/{hash}?sign={STORE_SIGNATURE}", shared.store),
                ),
            ];
            return (StatusCode::FOUND, headers, "go there").into_response();
        }
        let location = ("location", format!("/api/resolve-cache/{name}"));
        return (StatusCode::TEMPORARY_REDIRECT, [commit_header, location]).into_response();
    }
    match file("/api/resolve-cache/") {
        Some((_, content)) => {
            let etag = ("etag", format!("\"{}\"", git_hash(&content)));
            ([commit_header, etag], content).into_response()
        }
        None => (StatusCode::NOT_FOUND, [("x-error-code", "RevisionNotFound")]).into_response(),
    }
}

/// The store's side: the bytes of a large file, by its hash.
async fn deliver(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let mut script = shared.script();
    let seen = seen(&request, true);
    let range = seen.range.clone();
    script.seen.push(seen);
    let hash = request.uri().path().trim_start_matches('/');
    let Some(content) = script
        .files
        .iter()
        .find_map(|(_, content)| (large_hash(content) == hash).then(|| content.clone()))
    else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let mut content = content.to_vec();
    let mut fault = script.fault;
    match fault {
        Some(Fault::Down) => return StatusCode::SERVICE_UNAVAILABLE.into_response(),
        Some(Fault::Corrupt) => content[7] ^= 1,
        Some(Fault::Break(_) | Fault::Hold(_)) => fault = script.fault.take(),
        Some(Fault::Whole) | None => {}
    }
    let start = range
        .as_deref()
        .filter(|_| fault != Some(Fault::Whole))
        .and_then(|range| {
            range
                .strip_prefix("bytes=")?
                .strip_suffix('-')?
                .parse::<usize>()
                .ok()
        });
    let total = content.len();
    let part = Bytes::from(content.split_off(start.unwrap_or(0)));
    let length = part.len().to_string();
    let body = match fault {
        Some(Fault::Break(bytes)) => {
            let broken = futures::stream::once(async {
                // What was sent before leaves the server's buffer while it has nothing else to do.
                tokio::task::yield_now().await;
                Err(std::io::Error::other("broken on purpose"))
            });
            Body::from_stream(futures::stream::iter([Ok(part.slice(..bytes))]).chain(broken))
        }
        Some(Fault::Hold(bytes)) => {
            let mut released = shared.released.subscribe();
            let rest = part.slice(bytes..);
            let later = futures::stream::once(async move {
                let waited = released.wait_for(|released| *released).await;
                waited.map(|_| rest).map_err(std::io::Error::other)
            });
            Body::from_stream(futures::stream::iter([Ok(part.slice(..bytes))]).chain(later))
        }
        Some(Fault::Corrupt | Fault::Whole | Fault::Down) | None => Body::from(part),
    };
    let content_length = ("content-length", length);
    match start {
        Some(start) => {
            let range = ("content-range", format!("bytes {start}-{}/{total}", total - 1));
            (StatusCode::PARTIAL_CONTENT, [content_length, range], body).into_response()
        }
        None => (StatusCode::OK, [content_length], body).into_response(),
    }
}

fn seen(request: &Request, by_store: bool) -> Seen {
    Seen {
        by_store,
        method: request.method().clone(),
        path: request.uri().path().to_owned(),
        range: text(request.headers(), header::RANGE),
        authorization: text(request.headers(), header::AUTHORIZATION),
    }
}

fn text(headers: &HeaderMap, name: header::HeaderName) -> Option<String> {
    Some(headers.get(name)?.to_str().ok()?.to_owned())
}

pub(crate) fn large_hash(content: &[u8]) -> String {
    hex(&Sha256::digest(content))
}

pub(crate) fn git_hash(content: &[u8]) -> String {
    let start = format!("blob {}\0", content.len());
    hex(&Sha1::new_with_prefix(start).chain_update(content).finalize())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
