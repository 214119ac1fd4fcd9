//! A server that answers as Immich's machine learning, text-embeddings-inference or infinity does, with the testkit's model
//! behind it, and that can be stopped, replaced and made to refuse.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::{Multipart, Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Json, Response};
use axum::routing::{get, post};
use axum::{Router, extract::DefaultBodyLimit};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use lucida_core::{BuildContext, Embedder, Lane, Picture, embed_image, embed_text};
use lucida_remote::{Protocol, Remote, RemoteConfig};
use lucida_testkit::{Fixture, HashModel};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// Whose answers it gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    Immich,
    /// infinity's, which is OpenAI's with pictures.
    Openai,
    Tei,
}

/// How the server refuses what it is asked.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Refuse {
    pub(crate) status: u16,
    pub(crate) retry_after: Option<&'static str>,
}

struct Inner {
    model: Arc<dyn Embedder>,
    name: String,
    refuse: Mutex<Option<Refuse>>,
    /// A text that makes a whole request fail, as a fault of the server does.
    poison: Mutex<Option<String>>,
    calls: AtomicUsize,
    authorization: Mutex<Option<String>>,
    /// What all numbers of vectors are multiplied by.
    scale: f32,
}

/// A server that listens.
pub(crate) struct StandIn {
    pub(crate) address: SocketAddr,
    shape: Shape,
    inner: Arc<Inner>,
    serving: JoinHandle<()>,
}

impl StandIn {
    pub(crate) async fn start(shape: Shape) -> Self {
        Self::serve(shape, "hash", 1.0, "127.0.0.1:0".parse().unwrap()).await
    }

    /// Starts one with the model of a name, whose vectors are multiplied by `scale`.
    pub(crate) async fn serve(shape: Shape, model: &str, scale: f32, address: SocketAddr) -> Self {
        let inner = Arc::new(Inner {
            model: Arc::new(HashModel::named(model).start()),
            name: "org/model".to_owned(),
            refuse: Mutex::default(),
            poison: Mutex::default(),
            calls: AtomicUsize::new(0),
            authorization: Mutex::default(),
            scale,
        });
        let routes = match shape {
            Shape::Immich => Router::new().route("/predict", post(predict)),
            Shape::Openai => Router::new().route("/v1/embeddings", post(embeddings)),
            Shape::Tei => Router::new()
                .route("/info", get(info))
                .route("/embed", post(embed)),
        };
        let routes = routes
            .layer(DefaultBodyLimit::max(64 << 20))
            .layer(from_fn_with_state(Arc::clone(&inner), before))
            .with_state(Arc::clone(&inner));
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let serving = tokio::spawn(async move { axum::serve(listener, routes).await.unwrap() });
        Self {
            address,
            shape,
            inner,
            serving,
        }
    }

    pub(crate) fn config(&self) -> RemoteConfig {
        let (protocol, path) = match self.shape {
            Shape::Immich => (Protocol::Immich, ""),
            Shape::Openai => (Protocol::Openai, "/v1"),
            Shape::Tei => (Protocol::Tei, ""),
        };
        RemoteConfig {
            url: format!("http://{}{path}", self.address),
            protocol,
            model: Some("org/model".to_owned()),
            openai_images: self.shape == Shape::Openai,
            ..RemoteConfig::default()
        }
    }

    pub(crate) async fn embedder(&self) -> Remote {
        Remote::open(self.config(), &context(self.shape)).await.unwrap()
    }

    pub(crate) async fn embedder_fixture(self) -> Fixture<dyn Embedder> {
        let embedder: Arc<dyn Embedder> = Arc::new(self.embedder().await);
        Fixture::new(embedder).keeping(self)
    }

    pub(crate) fn refuse(&self, refuse: Option<Refuse>) {
        *self.inner.refuse.lock().unwrap() = refuse;
    }

    pub(crate) fn poison(&self, text: &str) {
        *self.inner.poison.lock().unwrap() = Some(text.to_owned());
    }

    /// Returns how many requests there have been.
    pub(crate) fn calls(&self) -> usize {
        self.inner.calls.load(Ordering::SeqCst)
    }

    /// Returns the `Authorization` of the last request.
    pub(crate) fn authorization(&self) -> Option<String> {
        self.inner.authorization.lock().unwrap().clone()
    }

    /// Stops it, with its connections.
    pub(crate) async fn stop(self) -> SocketAddr {
        self.serving.abort();
        let _ = self.serving.await;
        self.address
    }
}

/// Returns the context of the library's model where the protocol takes pictures, else that of a further model.
pub(crate) fn context(shape: Shape) -> BuildContext {
    BuildContext {
        cache_dir: Path::new(env!("CARGO_TARGET_TMPDIR")).join("cache"),
        served_as: (shape == Shape::Tei).then(|| "words".to_owned()),
        inspection: None,
    }
}

async fn before(
    State(inner): State<Arc<Inner>>,
    headers: HeaderMap,
    request: Request,
    next: Next,
) -> Response {
    inner.calls.fetch_add(1, Ordering::SeqCst);
    let authorization = headers.get("authorization");
    *inner.authorization.lock().unwrap() = authorization.map(|value| value.to_str().unwrap().to_owned());
    let refuse = *inner.refuse.lock().unwrap();
    let Some(refuse) = refuse else {
        return next.run(request).await;
    };
    let status = StatusCode::from_u16(refuse.status).unwrap();
    let body = Json(json!({ "error": "not now", "error_type": "Overloaded" }));
    match refuse.retry_after {
        Some(wait) => (status, [("retry-after", wait)], body).into_response(),
        None => (status, body).into_response(),
    }
}

impl Inner {
    async fn text(&self, text: &str) -> Result<Vec<f32>, Response> {
        if self.poison.lock().unwrap().as_deref() == Some(text) {
            return Err(failed("the model panicked"));
        }
        let vector = embed_text(&*self.model, text.to_owned(), Lane::Interactive).await;
        vector
            .map(|vector| self.scaled(vector))
            .map_err(|error| failed(&error.to_string()))
    }

    async fn picture(&self, file: &[u8]) -> Result<Vec<f32>, Response> {
        let pixels = image::load_from_memory(file).map_err(|error| failed(&error.to_string()))?;
        let picture = Arc::new(Picture::new(pixels.into_rgb8()).unwrap());
        let vector = embed_image(&*self.model, picture, Lane::Interactive).await;
        vector
            .map(|vector| self.scaled(vector))
            .map_err(|error| failed(&error.to_string()))
    }

    fn scaled(&self, vector: Vec<f32>) -> Vec<f32> {
        vector.into_iter().map(|number| number * self.scale).collect()
    }
}

fn failed(detail: &str) -> Response {
    (
        StatusCode::INTERNAL_SERVER_ERROR,
        Json(json!({ "error": detail })),
    )
        .into_response()
}

/// Immich 2.7: `machine-learning/immich_ml/main.py`.
async fn predict(State(inner): State<Arc<Inner>>, mut form: Multipart) -> Result<Json<Value>, Response> {
    let (mut entries, mut image, mut text) = (Value::Null, None, None);
    while let Some(field) = form.next_field().await.unwrap() {
        match field.name().unwrap() {
            "entries" => entries = serde_json::from_slice(&field.bytes().await.unwrap()).unwrap(),
            "image" => image = Some(field.bytes().await.unwrap()),
            "text" => text = Some(field.text().await.unwrap()),
            other => panic!("Immich's service has no field `{other}`"),
        }
    }
    let task = if image.is_some() { "visual" } else { "textual" };
    assert_eq!(
        entries["clip"][task]["modelName"],
        inner.name.as_str(),
        "{entries}"
    );
    let vector = match (image, text) {
        (Some(image), None) => inner.picture(&image).await?,
        (None, Some(text)) => inner.text(&text).await?,
        _ => return Err((StatusCode::BAD_REQUEST, "Either image or text must be provided").into_response()),
    };
    Ok(Json(json!({ "clip": serde_json::to_string(&vector).unwrap() })))
}

/// infinity 0.0.77: `infinity_emb/fastapi_schemas/pymodels.py`.
async fn embeddings(
    State(inner): State<Arc<Inner>>,
    Json(body): Json<Value>,
) -> Result<Json<Value>, Response> {
    assert_eq!(body["model"], inner.name.as_str());
    let mut data = Vec::new();
    for (index, input) in body["input"].as_array().unwrap().iter().enumerate() {
        let input = input.as_str().unwrap();
        let embedding = match body["modality"].as_str() {
            Some("image") => {
                let (mime, encoded) = input
                    .strip_prefix("data:")
                    .unwrap()
                    .split_once(";base64,")
                    .unwrap();
                assert!(mime.starts_with("image/"), "{mime}");
                inner.picture(&STANDARD.decode(encoded).unwrap()).await?
            }
            _ => inner.text(input).await?,
        };
        data.push(json!({ "object": "embedding", "index": index, "embedding": embedding }));
    }
    // The order is the index's, not the list's.
    data.reverse();
    Ok(Json(
        json!({ "object": "list", "data": data, "model": inner.name, "usage": { "prompt_tokens": 1 } }),
    ))
}

/// text-embeddings-inference 1.8: `router/src/http/types.rs`.
async fn info(State(inner): State<Arc<Inner>>) -> Json<Value> {
    Json(json!({
        "model_id": inner.name,
        "model_sha": "fca14538aa9956a46526bd1d0d11d69e19b5a101",
        "model_dtype": "float16",
        "model_type": { "embedding": { "pooling": "cls" } },
        "max_concurrent_requests": 512,
        "max_input_length": 512,
        "max_batch_tokens": 16384,
        "max_batch_requests": null,
        "max_client_batch_size": 4,
        "auto_truncate": false,
        "tokenization_workers": 4,
        "version": "1.8.0"
    }))
}

async fn embed(State(inner): State<Arc<Inner>>, body: Bytes) -> Result<Json<Value>, Response> {
    let body: Value = serde_json::from_slice(&body).unwrap();
    let inputs = body["inputs"].as_array().unwrap();
    if inputs.len() > 4 {
        let refusal =
            json!({ "error": "batch size 5 > maximum allowed batch size 4", "error_type": "Validation" });
        return Err((StatusCode::UNPROCESSABLE_ENTITY, Json(refusal)).into_response());
    }
    let mut vectors = Vec::new();
    for input in inputs {
        vectors.push(inner.text(input.as_str().unwrap()).await?);
    }
    Ok(Json(json!(vectors)))
}

/// How long tests wait for what must happen.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);
