//! A server to test against, and what its answers are read with.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;
use lucida::http::{HttpOptions, HttpParts, HttpState, Tls, serve, serve_tls};
use lucida::keys::ApiKey;
use lucida_core::{
    Backoff, Blob, BlobKey, BlobStat, ByteStream, Embedder, Error, Plugin, Result, Scope, Storage, UserId,
};
use lucida_library::{IngestOptions, NamedModels, Parts, Photos, Workers};
use lucida_memory::{MemoryIndex, MemoryMetadata, MemoryQueue, MemoryStorage};
#[cfg(feature = "plugin-api-openai")]
use lucida_plugin_api_openai::{ApiOpenaiConfig, ApiOpenaiPlugin};
use lucida_testkit::{Controls, HashModel};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use reqwest::header::{CONTENT_TYPE, HeaderMap, RETRY_AFTER};
use reqwest::multipart::{Form, Part};
use reqwest::{Method, RequestBuilder};
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// The recorder is the process's own, so all servers of the tests share it.
static METRICS: LazyLock<PrometheusHandle> =
    LazyLock::new(|| PrometheusBuilder::new().install_recorder().unwrap());

/// The largest body that the tests' servers take, in bytes.
pub(crate) const MAX_UPLOAD_BYTES: u64 = 300_000;

/// The largest JSON body that the tests' servers take, in bytes.
pub(crate) const MAX_JSON_BYTES: u64 = 1_000_000;

/// The most pixels that the tests' servers take.
pub(crate) const MAX_PIXELS: u64 = 1_000_000;

/// Storage that can be switched off, as a full disk would.
pub(crate) struct Disk {
    pub(crate) inner: MemoryStorage,
    full: AtomicBool,
}

impl Disk {
    pub(crate) fn set_full(&self, full: bool) {
        self.full.store(full, Ordering::SeqCst);
    }

    fn check(&self) -> Result<()> {
        if self.full.load(Ordering::SeqCst) {
            return Err(
                Error::unavailable("the disk is full: /srv/my photos/lucida").with_code("storage_full")
            );
        }
        Ok(())
    }
}

#[async_trait]
impl Storage for Disk {
    async fn put(&self, key: &BlobKey, body: ByteStream) -> Result<u64> {
        self.check()?;
        self.inner.put(key, body).await
    }

    async fn get(&self, key: &BlobKey, range: Option<std::ops::Range<u64>>) -> Result<Blob> {
        self.inner.get(key, range).await
    }

    async fn stat(&self, key: &BlobKey) -> Result<BlobStat> {
        self.inner.stat(key).await
    }

    async fn delete(&self, key: &BlobKey) -> Result<()> {
        self.inner.delete(key).await
    }

    fn list(&self, prefix: &str) -> BoxStream<'static, Result<BlobStat>> {
        self.inner.list(prefix)
    }

    async fn ping(&self) -> Result<()> {
        self.check()
    }
}

/// What a server should be like.
pub(crate) struct Setup {
    pub(crate) options: HttpOptions,
    pub(crate) accept_truncated: bool,
    pub(crate) strict_names: bool,
    keys: Vec<ApiKey>,
    plugins: Vec<Arc<dyn Plugin>>,
    models: Vec<Arc<dyn Embedder>>,
    embedder: Option<Arc<dyn Embedder>>,
    listen: String,
    tls: Option<Tls>,
    before_start: Box<dyn FnOnce(&Controls)>,
}

impl Setup {
    /// Has the plugin that serves a part of what was the server's own API before.
    pub(crate) fn new() -> Self {
        let setup = Self::without_plugins();
        #[cfg(feature = "plugin-api-openai")]
        let setup = setup.plugin(ApiOpenaiPlugin::new(ApiOpenaiConfig::default()));
        setup
    }

    pub(crate) fn without_plugins() -> Self {
        Self {
            options: HttpOptions {
                base_path: String::new(),
                max_upload_bytes: MAX_UPLOAD_BYTES,
                max_json_bytes: MAX_JSON_BYTES,
                request_timeout: Duration::from_secs(60),
                wait_timeout: Duration::from_secs(30),
                max_concurrent_requests: 64,
                max_embed_items: 4,
                cors_origins: Vec::new(),
                default_search_limit: 20,
                max_search_limit: 100,
                shutdown_timeout: Duration::from_secs(60),
            },
            accept_truncated: false,
            strict_names: false,
            keys: Vec::new(),
            plugins: Vec::new(),
            models: Vec::new(),
            embedder: None,
            listen: "127.0.0.1:0".to_owned(),
            tls: None,
            before_start: Box::new(|_| {}),
        }
    }

    pub(crate) fn key(mut self, key: &str, user: &str, scopes: &[Scope]) -> Self {
        self.keys.push(ApiKey {
            name: format!("key of {user}"),
            sha256: ApiKey::digest(key.as_bytes()),
            user: UserId::new(user).unwrap(),
            scopes: scopes.to_vec(),
        });
        self
    }

    pub(crate) fn plugin(mut self, plugin: impl Plugin + 'static) -> Self {
        self.plugins.push(Arc::new(plugin));
        self
    }

    /// Serves a further model by its name.
    pub(crate) fn model(mut self, model: Arc<dyn Embedder>) -> Self {
        self.models.push(model);
        self
    }

    /// Embeds the library by this model instead of one that the test steers.
    #[cfg(feature = "embedder-remote")]
    pub(crate) fn embedder(mut self, embedder: Arc<dyn Embedder>) -> Self {
        self.embedder = Some(embedder);
        self
    }

    /// Listens on an address instead of a free one.
    #[cfg(feature = "embedder-remote")]
    pub(crate) fn listen(mut self, address: &str) -> Self {
        address.clone_into(&mut self.listen);
        self
    }

    /// Serves over TLS.
    pub(crate) fn tls(mut self, tls: Tls) -> Self {
        self.tls = Some(tls);
        self
    }

    /// Steers the model before anything asks it.
    pub(crate) fn with_model(mut self, steer: impl FnOnce(&Controls) + 'static) -> Self {
        self.before_start = Box::new(steer);
        self
    }

    pub(crate) async fn start(self) -> Server {
        let spool = tempfile::tempdir().unwrap();
        let disk = Arc::new(Disk {
            inner: MemoryStorage::new(),
            full: AtomicBool::new(false),
        });
        let model = HashModel::new();
        let controls = model.controls();
        (self.before_start)(&controls);
        let parts = Parts {
            storage: Arc::clone(&disk) as Arc<dyn Storage>,
            metadata: Arc::new(MemoryMetadata::new()),
            index: Arc::new(MemoryIndex::new()),
            queue: Arc::new(MemoryQueue::new()),
            embedder: self.embedder.unwrap_or_else(|| Arc::new(model.start())),
            model_source: None,
            plugins: self.plugins,
        };
        let options = IngestOptions {
            accept_truncated: self.accept_truncated,
            strict_names: self.strict_names,
            ..ingest_options(spool.path())
        };
        let photos = Photos::new(parts, options).unwrap();
        let shutdown = CancellationToken::new();
        let workers = photos.start_workers(&shutdown);
        let models = NamedModels::new(photos.clone(), self.models);
        let state = HttpState::new(HttpParts {
            photos,
            models,
            options: self.options,
            keys: self.keys,
            metrics: METRICS.clone(),
            shutdown: shutdown.clone(),
        });
        let listener = TcpListener::bind(&self.listen).await.unwrap();
        let address = listener.local_addr().unwrap();
        let serving = match self.tls {
            Some(tls) => tokio::spawn(serve_tls(listener, state, tls)),
            None => tokio::spawn(serve(listener, state)),
        };
        Server {
            address: address.to_string(),
            client: reqwest::Client::builder()
                .redirect(reqwest::redirect::Policy::none())
                .build()
                .unwrap(),
            model: controls,
            disk,
            shutdown,
            serving,
            workers,
            spool,
        }
    }
}

fn ingest_options(spool: &Path) -> IngestOptions {
    IngestOptions {
        max_pixels: MAX_PIXELS,
        accept_truncated: false,
        strict_names: false,
        decode_memory_bytes: 1 << 30,
        spool_dir: spool.to_owned(),
        workers: 2,
        backoff: Backoff {
            min: Duration::from_millis(5),
            max: Duration::from_millis(20),
        },
        max_attempts: 2,
        reconcile_interval: Duration::from_secs(3600),
        deep_reconcile_interval: Duration::from_secs(3600),
        model_change_photos_per_sec: 0,
        scrub_bytes_per_sec: 0,
        orphan_grace: Duration::from_secs(3600),
    }
}

/// A server that listens.
pub(crate) struct Server {
    pub(crate) address: String,
    pub(crate) model: Arc<Controls>,
    pub(crate) disk: Arc<Disk>,
    pub(crate) shutdown: CancellationToken,
    pub(crate) serving: JoinHandle<Result<()>>,
    pub(crate) workers: Workers,
    client: reqwest::Client,
    spool: tempfile::TempDir,
}

impl Server {
    /// Stops it, and frees its address for another one.
    #[cfg(feature = "embedder-remote")]
    pub(crate) async fn stop(self) -> String {
        self.shutdown.cancel();
        self.serving.await.unwrap().unwrap();
        self.address
    }

    /// Starts one without keys, plugins or surprises.
    pub(crate) async fn start() -> Self {
        Setup::new().start().await
    }

    pub(crate) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.client
            .request(method, format!("http://{}{path}", self.address))
    }

    pub(crate) fn get(&self, path: &str) -> RequestBuilder {
        self.request(Method::GET, path)
    }

    pub(crate) fn post(&self, path: &str) -> RequestBuilder {
        self.request(Method::POST, path)
    }

    /// Sends a PATCH of JSON.
    pub(crate) async fn patch_json(&self, path: &str, body: Value) -> Reply {
        send(self.request(Method::PATCH, path).json(&body)).await
    }

    pub(crate) fn delete(&self, path: &str) -> RequestBuilder {
        self.request(Method::DELETE, path)
    }

    pub(crate) async fn post_json(&self, path: &str, body: Value) -> Reply {
        send(self.post(path).json(&body)).await
    }

    /// Uploads a photo and waits until it is ready; returns its id.
    pub(crate) async fn add(&self, photo: &Bytes, metadata: Value) -> String {
        let form = file_form(photo, "photo.jpg").part("metadata", Part::text(metadata.to_string()));
        let reply = send(self.post("/v1/photos?wait=true").multipart(form)).await;
        assert_eq!(reply.status, 201, "{}", reply.text());
        reply.json()["id"].as_str().unwrap().to_owned()
    }

    pub(crate) async fn photo(&self, id: &str) -> Value {
        send(self.get(&format!("/v1/photos/{id}"))).await.json()
    }

    /// Waits until the spool is empty, which is soon, or never.
    pub(crate) async fn assert_spool_is_clean(&self) {
        let count = async || std::fs::read_dir(self.spool.path()).unwrap().count() == 0;
        lucida_testkit::eventually("the spool is clean", count).await;
    }

    /// Counts the files in the spool.
    pub(crate) fn spooled(&self) -> usize {
        std::fs::read_dir(self.spool.path()).unwrap().count()
    }
}

/// Makes a form with one file.
pub(crate) fn file_form(bytes: &[u8], name: &str) -> Form {
    Form::new().part("file", file_part(bytes, name))
}

/// Makes a file's part.
pub(crate) fn file_part(bytes: &[u8], name: &str) -> Part {
    Part::bytes(bytes.to_vec()).file_name(name.to_owned())
}

/// An answer, read whole.
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

/// Sends a request and reads its answer.
pub(crate) async fn send(request: RequestBuilder) -> Reply {
    let response = request.send().await.unwrap();
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    Reply {
        status,
        headers,
        body: response.bytes().await.unwrap(),
    }
}

impl Reply {
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        assert!(
            (200..300).contains(&self.status),
            "{} {}",
            self.status,
            self.text()
        );
        serde_json::from_slice(&self.body).unwrap()
    }

    /// Checks that the answer is a whole problem of this status and code, and returns it.
    #[track_caller]
    pub(crate) fn problem(&self, status: u16, code: &str) -> Value {
        assert_eq!(self.status, status, "{}", self.text());
        assert_eq!(self.headers[CONTENT_TYPE], "application/problem+json");
        let problem: Value = serde_json::from_slice(&self.body).unwrap();
        assert_eq!(problem["code"], code, "{problem}");
        assert_eq!(problem["status"], status, "{problem}");
        assert_eq!(problem["type"], format!("urn:lucida:problem:{code}"));
        assert_eq!(problem["request_id"], self.header("x-request-id"));
        for member in ["title", "detail"] {
            assert!(!problem[member].as_str().unwrap().is_empty(), "{problem}");
        }
        if status == 429 || status == 503 {
            let seconds: u64 = self.headers[RETRY_AFTER].to_str().unwrap().parse().unwrap();
            assert!((1..=3600).contains(&seconds), "{seconds}");
        }
        problem
    }

    /// Checks as [`Reply::problem`] does, and that the field is named.
    #[track_caller]
    pub(crate) fn problem_of(&self, status: u16, code: &str, field: &str) -> Value {
        let problem = self.problem(status, code);
        assert_eq!(problem["field"], field, "{problem}");
        problem
    }
}
