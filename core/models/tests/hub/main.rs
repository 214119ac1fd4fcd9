//! Models from a hub, as their callers see it: a server on this machine plays the hub and its store.

#![expect(
    clippy::unwrap_used,
    reason = "what should have worked fails its test by panicking"
)]

mod cached;
mod download;
mod refusal;
mod server;

use std::fs;
use std::path::{Path, PathBuf};

use axum::http::Method;
use bytes::Bytes;
use lucida_core::{Error, Result};
use lucida_models::hub::{Exports, HubOptions, RepoId, fetch};
use lucida_testkit::eventually;
use tempfile::TempDir;

use self::server::{Fault, REPO, Seen, TestHub, large_hash};

const CONFIG: &str = "0_CLIPModel/config.json";
const WEIGHTS: &str = "0_CLIPModel/model.safetensors";
const TOKEN: &str = "hf_hush";
const WEIGHTS_BYTES: usize = 300_000;

/// A cache and a hub with a model in it.
struct Subject {
    hub: TestHub,
    cache: TempDir,
    options: HubOptions,
}

fn repo() -> RepoId {
    RepoId::parse(REPO).unwrap()
}

fn weights() -> Bytes {
    (0..WEIGHTS_BYTES).map(|at| (at % 251) as u8).collect()
}

fn files() -> Vec<(&'static str, Bytes)> {
    vec![
        (".gitattributes", Bytes::from_static(b"*.safetensors filter=lfs")),
        ("modules.json", Bytes::from_static(b"[]")),
        (CONFIG, Bytes::from_static(b"{\"model_type\": \"clip\"}")),
        (WEIGHTS, weights()),
        ("0_CLIPModel/pytorch_model.bin", Bytes::from(vec![1; 5000])),
        ("0_CLIPModel/vocab.txt", Bytes::new()),
        ("tf_model.h5", Bytes::from(vec![2; 5000])),
    ]
}

async fn subject() -> Subject {
    subject_with(files()).await
}

async fn subject_with(files: Vec<(&'static str, Bytes)>) -> Subject {
    let hub = TestHub::start(files).await;
    let cache = tempfile::tempdir().unwrap();
    let options = HubOptions {
        endpoint: hub.endpoint.clone(),
        token: None,
        revision: "main".to_owned(),
        offline: false,
        cache_dir: cache.path().to_owned(),
        exports: Exports::Plain,
    };
    Subject { hub, cache, options }
}

impl Subject {
    async fn fetch(&self) -> Result<PathBuf> {
        fetch(&repo(), &self.options).await
    }

    async fn fetch_error(&self) -> Error {
        self.fetch().await.unwrap_err()
    }

    /// The repository's folder in the cache.
    fn folder(&self) -> PathBuf {
        self.cache.path().join("models--owner--clip")
    }

    fn blob(&self, name: &str) -> PathBuf {
        self.folder().join("blobs").join(name)
    }

    fn names_of_blobs(&self) -> Vec<String> {
        let entries = fs::read_dir(self.folder().join("blobs")).into_iter().flatten();
        entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect()
    }

    /// Points it at an address where nobody listens.
    fn unplug(&mut self) {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        self.options.endpoint = format!("http://{}", listener.local_addr().unwrap());
    }

    /// Starts a fetch that stays in the middle of the weights, and returns how many bytes are on disk by then.
    async fn start_and_hold(&self) -> (tokio::task::JoinHandle<Result<PathBuf>>, u64) {
        self.hub.fail(Fault::Hold(WEIGHTS_BYTES / 3));
        let options = self.options.clone();
        let call = tokio::spawn(async move { fetch(&repo(), &options).await });
        let incomplete = self.blob(&format!("{}.incomplete", large_hash(&weights())));
        let expected = WEIGHTS_BYTES as u64 / 3;
        eventually("a third is on disk", async || {
            fs::metadata(&incomplete).is_ok_and(|found| found.len() == expected)
        })
        .await;
        (call, expected)
    }
}

/// The requests for the weights' bytes.
fn of_weights(seen: &[Seen]) -> Vec<Seen> {
    let gets = seen
        .iter()
        .filter(|seen| seen.by_store && seen.method == Method::GET);
    gets.cloned().collect()
}

fn assert_whole(snapshot: &Path) {
    assert_eq!(fs::read(snapshot.join(WEIGHTS)).unwrap(), weights());
    assert_eq!(
        fs::read(snapshot.join(CONFIG)).unwrap(),
        b"{\"model_type\": \"clip\"}"
    );
    assert_eq!(fs::read(snapshot.join("modules.json")).unwrap(), b"[]");
    assert_eq!(fs::read(snapshot.join("0_CLIPModel/vocab.txt")).unwrap(), b"");
}
