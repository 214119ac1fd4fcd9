//! A client of the server with a connection of its own.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use axum::body::{self, Body};
use axum::http::header::{CONTENT_TYPE, HOST};
use axum::http::{Method, Request, Response, StatusCode};
use bytes::Bytes;
use hyper::body::Incoming;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::sync::Mutex;

const BOUNDARY: &str = "lucida-bench-0123456789abcdef";

/// Longer than anything that is measured here takes.
const TIMEOUT: Duration = Duration::from_secs(120);
/// A connection that was idle for longer may have been closed by the server.
const KEEP: Duration = Duration::from_secs(5);
const MAX_ANSWER_BYTES: usize = 16 << 20;

/// A photo in the form that uploads have, made once and sent often.
#[derive(Debug, Clone)]
pub(crate) struct Form(Bytes);

impl Form {
    /// Puts a JPEG into a form, as its part `file`.
    pub(crate) fn of(jpeg: &[u8]) -> Self {
        Self::behind("", jpeg)
    }

    /// Puts a JPEG into a form behind the name of the model that embeds it.
    pub(crate) fn for_model(model: &str, jpeg: &[u8]) -> Self {
        let part =
            format!("--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\n{model}\r\n");
        Self::behind(&part, jpeg)
    }

    fn behind(parts: &str, jpeg: &[u8]) -> Self {
        let head = format!(
            "{parts}--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"file\"; filename=\"photo.jpg\"\r\n\
             Content-Type: image/jpeg\r\n\r\n"
        );
        let tail = format!("\r\n--{BOUNDARY}--\r\n");
        Self([head.as_bytes(), jpeg, tail.as_bytes()].concat().into())
    }
}

/// One user of the server: a connection that is opened when it is first needed, and kept.
#[derive(Debug, Clone)]
pub(crate) struct Client {
    server: SocketAddr,
    connection: Arc<Mutex<Option<Connection>>>,
}

/// An open connection.
#[derive(Debug)]
struct Connection {
    sender: SendRequest<Body>,
    last_used: Instant,
}

/// A request, to be given its connection.
struct Call {
    method: Method,
    path: &'static str,
    kind: String,
    body: Bytes,
}

impl Call {
    fn get(path: &'static str) -> Self {
        Self {
            method: Method::GET,
            path,
            kind: String::new(),
            body: Bytes::new(),
        }
    }

    fn json(path: &'static str, body: &Value) -> Self {
        let body = body.to_string().into();
        Self {
            method: Method::POST,
            path,
            kind: "application/json".to_owned(),
            body,
        }
    }

    fn image(form: Form) -> Self {
        Self::form("/embed/image", form)
    }

    fn text(text: &str) -> Self {
        Self::json("/embed/text", &json!({ "text": text }))
    }

    fn text_for(model: &str, text: &str) -> Self {
        Self::json("/embed/text", &json!({ "text": text, "model": model }))
    }

    fn form(path: &'static str, Form(body): Form) -> Self {
        let kind = format!("multipart/form-data; boundary={BOUNDARY}");
        Self {
            method: Method::POST,
            path,
            kind,
            body,
        }
    }
}

/// How many photos are how far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub(crate) struct PhotoCounts {
    pub(crate) pending: usize,
    pub(crate) ready: usize,
    pub(crate) failed: usize,
}

impl Client {
    /// Makes a client.
    pub(crate) fn new(server: SocketAddr) -> Self {
        Self {
            server,
            connection: Arc::default(),
        }
    }

    /// Makes several clients.
    pub(crate) fn several(server: SocketAddr, count: usize) -> Vec<Self> {
        (0..count).map(|_| Self::new(server)).collect()
    }

    /// Asks whether a GET of `path` is answered well; that the server can't be reached is no, too.
    pub(crate) async fn is_well(&self, path: &'static str) -> bool {
        self.send(Call::get(path)).await.is_ok()
    }

    /// Embeds a photo. The vector is not read: that is not the server's work.
    pub(crate) async fn embed_image(&self, form: Form) -> Result<()> {
        self.embed(Call::image(form)).await
    }

    /// Embeds one text. The vector is not read.
    pub(crate) async fn embed_text(&self, text: &str) -> Result<()> {
        self.embed(Call::text(text)).await
    }

    /// Embeds one text by one of several models. The vector is not read.
    pub(crate) async fn embed_text_for(&self, model: &str, text: &str) -> Result<()> {
        self.embed(Call::text_for(model, text)).await
    }

    /// Sends a photo to be embedded, and returns the answer's status, whatever it is.
    pub(crate) async fn embed_image_status(&self, form: Form) -> Result<StatusCode> {
        Ok(self.ask(Call::image(form)).await?.0)
    }

    /// Returns the vector of a photo.
    pub(crate) async fn image_vector(&self, form: Form) -> Result<Vec<f32>> {
        self.vector(Call::image(form)).await
    }

    /// Returns the vector of a text.
    pub(crate) async fn text_vector(&self, text: &str) -> Result<Vec<f32>> {
        self.vector(Call::text(text)).await
    }

    /// Uploads a photo, and waits until it is ready if asked to; returns its id.
    pub(crate) async fn upload(&self, form: Form, wait: bool) -> Result<String> {
        #[derive(Deserialize)]
        struct Answer {
            id: String,
            state: String,
        }
        let path = if wait {
            "/v1/photos?wait=true"
        } else {
            "/v1/photos"
        };
        let answer: Answer = self.call(Call::form(path, form)).await?;
        if wait && answer.state != "ready" {
            bail!("photo {} is {} and not ready", answer.id, answer.state);
        }
        Ok(answer.id)
    }

    /// Searches by a picture. The hits are not read.
    pub(crate) async fn search_by_picture(&self, form: Form) -> Result<()> {
        self.send(Call::form("/v1/search", form)).await.map(drop)
    }

    /// Searches by words; returns the ids of the hits.
    pub(crate) async fn search(&self, text: &str, limit: usize) -> Result<HashSet<String>> {
        self.search_tagged(text, &[], limit).await
    }

    /// Searches by words among the photos with these tags; returns the ids of the hits.
    pub(crate) async fn search_tagged(
        &self,
        text: &str,
        tags: &[&str],
        limit: usize,
    ) -> Result<HashSet<String>> {
        #[derive(Deserialize)]
        struct Photo {
            id: String,
        }
        #[derive(Deserialize)]
        struct Hit {
            photo: Photo,
        }
        #[derive(Deserialize)]
        struct Answer {
            hits: Vec<Hit>,
        }
        let search = json!({ "text": text, "filter": { "tags": tags }, "limit": limit });
        let answer: Answer = self.call(Call::json("/v1/search", &search)).await?;
        Ok(answer.hits.into_iter().map(|hit| hit.photo.id).collect())
    }

    /// Searches by words; returns how many bytes the answer has.
    pub(crate) async fn search_bytes(&self, text: &str, limit: usize) -> Result<usize> {
        let search = json!({ "text": text, "limit": limit });
        Ok(self.send(Call::json("/v1/search", &search)).await?.len())
    }

    /// Counts the photos.
    pub(crate) async fn counts(&self) -> Result<PhotoCounts> {
        #[derive(Deserialize)]
        struct Answer {
            photos: PhotoCounts,
        }
        Ok(self.call::<Answer>(Call::get("/v1/stats")).await?.photos)
    }

    /// Returns the names of the models that are loaded.
    pub(crate) async fn loaded_models(&self) -> Result<Vec<String>> {
        #[derive(Deserialize)]
        struct Model {
            id: String,
            loaded: Option<bool>,
        }
        #[derive(Deserialize)]
        struct Answer {
            data: Vec<Model>,
        }
        let answer: Answer = self.call(Call::get("/v1/models")).await?;
        let loaded = answer.data.into_iter().filter(|model| model.loaded == Some(true));
        Ok(loaded.map(|model| model.id).collect())
    }

    /// Returns the metrics as text.
    pub(crate) async fn metrics(&self) -> Result<String> {
        let answer = self.send(Call::get("/metrics")).await?;
        Ok(String::from_utf8_lossy(&answer).into_owned())
    }

    async fn embed(&self, call: Call) -> Result<()> {
        let path = call.path;
        let answer = self.send(call).await?;
        ensure!(
            answer.starts_with(b"{\"embedding\":["),
            "{path} gave no embedding"
        );
        Ok(())
    }

    async fn vector(&self, call: Call) -> Result<Vec<f32>> {
        #[derive(Deserialize)]
        struct Answer {
            embedding: Vec<f32>,
        }
        Ok(self.call::<Answer>(call).await?.embedding)
    }

    async fn call<A: DeserializeOwned>(&self, call: Call) -> Result<A> {
        let answer = self.send(call).await?;
        serde_json::from_slice(&answer).with_context(|| {
            format!(
                "an answer is not as expected: {}",
                String::from_utf8_lossy(&answer)
            )
        })
    }

    async fn send(&self, call: Call) -> Result<Bytes> {
        let path = call.path;
        let (status, body) = self.ask(call).await?;
        let is_good = matches!(
            status,
            StatusCode::OK | StatusCode::CREATED | StatusCode::ACCEPTED
        );
        ensure!(
            is_good,
            "{path} answered {status}: {}",
            String::from_utf8_lossy(&body)
        );
        Ok(body)
    }

    /// Sends a request and reads the whole answer, whatever its status.
    async fn ask(&self, call: Call) -> Result<(StatusCode, Bytes)> {
        let path = call.path;
        let exchange = async {
            let answer = self.exchange(call).await?;
            let status = answer.status();
            let body = body::to_bytes(Body::new(answer.into_body()), MAX_ANSWER_BYTES).await;
            Ok::<_, anyhow::Error>((
                status,
                body.with_context(|| format!("the answer of {path} broke off"))?,
            ))
        };
        tokio::time::timeout(TIMEOUT, exchange)
            .await
            .with_context(|| format!("{path} gave no answer within {} s", TIMEOUT.as_secs()))?
    }

    async fn exchange(&self, call: Call) -> Result<Response<Incoming>> {
        let mut request = Request::builder()
            .method(call.method)
            .uri(call.path)
            .header(HOST, "127.0.0.1");
        if !call.kind.is_empty() {
            request = request.header(CONTENT_TYPE, call.kind);
        }
        let request = request
            .body(Body::from(call.body))
            .context("a request can't be made")?;
        let mut connection = self.connection.lock().await;
        let is_of_use = |open: &Connection| !open.sender.is_closed() && open.last_used.elapsed() < KEEP;
        let open = connection.take().filter(is_of_use);
        let connection = connection.insert(match open {
            Some(open) => open,
            None => self.connect().await.context("the server can't be reached")?,
        });
        let Connection { sender, last_used } = connection;
        sender.ready().await.context("the server closed the connection")?;
        let answer = sender.send_request(request).await;
        *last_used = Instant::now();
        answer.context("the server closed the connection")
    }

    async fn connect(&self) -> Result<Connection> {
        let stream = TcpStream::connect(self.server).await?;
        stream.set_nodelay(true)?;
        let (sender, connection) = handshake(TokioIo::new(stream)).await?;
        // It ends when the sender is dropped or the server closes it; the request under way learns of any error.
        tokio::spawn(connection);
        Ok(Connection {
            sender,
            last_used: Instant::now(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_holds_the_file_between_its_boundaries() {
        let Form(body) = Form::of(b"\xff\xd8 jpeg");
        assert!(body.starts_with(format!("--{BOUNDARY}\r\n").as_bytes()));
        assert!(body.ends_with(format!(" jpeg\r\n--{BOUNDARY}--\r\n").as_bytes()));
    }
}
