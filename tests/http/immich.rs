//! An Immich server asks Lucida in the place of its own machine-learning service.

use std::collections::BTreeMap;
use std::sync::Arc;

use lucida_api::Auth;
use lucida_core::Scope;
use lucida_plugin_api_immich::{ApiImmichConfig, ApiImmichPlugin};
use lucida_testkit::{HashModel, jpeg};
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::server::{Reply, Server, Setup, file_form, send};

const RED: [u8; 3] = [220, 30, 30];
const VISUAL: &str = r#"{"clip":{"visual":{"modelName":"ViT-B-32__openai"}}}"#;
const TEXTUAL: &str = r#"{"clip":{"textual":{"modelName":"ViT-B-32__openai","options":{"language":"en"}}}}"#;

fn plugin(auth: Auth) -> ApiImmichPlugin {
    ApiImmichPlugin::new(ApiImmichConfig {
        models: BTreeMap::from([("ViT-B-32__openai".to_owned(), "hash".to_owned())]),
        auth,
    })
}

async fn server() -> Server {
    Setup::new().plugin(plugin(Auth::Key)).start().await
}

/// Sends a form byte for byte as Node's undici does, which Immich's server uses.
fn undici(server: &Server, entries: Option<&str>, input: Option<(&str, &[u8])>) -> RequestBuilder {
    const BOUNDARY: &str = "----formdata-undici-028643152873";
    let mut body = Vec::new();
    if let Some(entries) = entries {
        body.extend_from_slice(
            format!("--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"entries\"\r\n\r\n{entries}\r\n")
                .as_bytes(),
        );
    }
    if let Some((name, bytes)) = input {
        let file = if name == "image" {
            "; filename=\"blob\"\r\nContent-Type: application/octet-stream"
        } else {
            ""
        };
        body.extend_from_slice(
            format!("--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"{name}\"{file}\r\n\r\n")
                .as_bytes(),
        );
        body.extend_from_slice(bytes);
        body.extend_from_slice(b"\r\n");
    }
    body.extend_from_slice(format!("--{BOUNDARY}--\r\n").as_bytes());
    server
        .post("/predict")
        .header(
            "content-type",
            format!("multipart/form-data; boundary={BOUNDARY}"),
        )
        .body(body)
}

fn vector(answer: &Value) -> Vec<f32> {
    serde_json::from_str(answer["clip"].as_str().unwrap()).unwrap()
}

fn numbers(vector: &Value) -> Vec<f32> {
    serde_json::from_value(vector.clone()).unwrap()
}

fn detail(reply: &Reply) -> Value {
    assert_eq!(reply.header("content-type"), "application/json");
    let body: Value = serde_json::from_slice(&reply.body).unwrap();
    assert_eq!(body.as_object().unwrap().len(), 1, "{body}");
    body["detail"].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ping_is_answered_with_pong() {
    let server = server().await;
    assert_eq!(send(server.get("/ping")).await.text(), "pong");
    let head = send(server.request(Method::HEAD, "/ping")).await;
    assert_eq!((head.status, head.body.len()), (200, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_picture_and_a_text_get_the_vectors_that_lucida_itself_gives() {
    let server = server().await;
    let picture = jpeg(48, 32, RED);
    let answer = send(undici(&server, Some(VISUAL), Some(("image", &picture))))
        .await
        .json();
    assert_eq!(
        (&answer["imageHeight"], &answer["imageWidth"]),
        (&json!(32), &json!(48))
    );
    let own = send(
        server
            .post("/embed/image")
            .multipart(file_form(&picture, "a.jpg")),
    )
    .await
    .json();
    assert_eq!(vector(&answer), numbers(&own["embedding"]));
    let text = answer["clip"].as_str().unwrap();
    assert!(
        text.starts_with('[') && text.ends_with(']') && !text.contains(' '),
        "{text}"
    );

    let answer = send(undici(&server, Some(TEXTUAL), Some(("text", b"red"))))
        .await
        .json();
    let own = server
        .post_json("/embed/text", json!({"text": "red"}))
        .await
        .json();
    assert_eq!(vector(&answer), numbers(&own["embedding"]));
    assert_eq!(answer.as_object().unwrap().len(), 1, "{answer}");

    let form = form_urlencoded::Serializer::new(String::new())
        .append_pair("entries", TEXTUAL)
        .append_pair("text", "red")
        .finish();
    let urlencoded = server
        .post("/predict")
        .header("content-type", "application/x-www-form-urlencoded")
        .body(form);
    assert_eq!(send(urlencoded).await.json(), answer);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_without_tasks_is_answered_without_results() {
    let server = server().await;
    let answer = send(undici(&server, Some("{}"), Some(("text", b"red"))))
        .await
        .json();
    assert_eq!(answer, json!({}));
}

#[tokio::test(flavor = "multi_thread")]
async fn refusals_are_those_of_immichs_service() {
    let server = server().await;
    let picture = jpeg(48, 32, RED);
    let large = jpeg(640, 480, RED);
    let image = Some(("image", &*picture));
    let faces = r#"{"facial-recognition":{"detection":{"modelName":"buffalo_l","options":{"minScore":0.7}},"recognition":{"modelName":"buffalo_l"}}}"#;
    let ocr = r#"{"ocr":{"detection":{"modelName":"PP-OCRv5_mobile","options":{"minScore":0.5,"maxResolution":736}},"recognition":{"modelName":"PP-OCRv5_mobile","options":{"minScore":0.8}}}}"#;
    let unknown = r#"{"clip":{"visual":{"modelName":"ViT-L-14__openai"}}}"#;
    for (entries, input, status, words) in [
        (Some(VISUAL), None, 400, "Either image or text must be provided"),
        (
            Some(TEXTUAL),
            Some(("text", &b""[..])),
            400,
            "Either image or text must be provided",
        ),
        (Some(VISUAL), Some(("image", &b""[..])), 500, "is empty"),
        (Some("{"), image, 422, "Invalid request format."),
        (Some(r#"{"clip":5}"#), image, 422, "Invalid request format."),
        (Some(faces), image, 501, "facial-recognition is not answered here"),
        (Some(ocr), image, 501, "ocr is not answered here"),
        (Some(unknown), image, 404, "ViT-B-32__openai, hash"),
        (Some(VISUAL), Some(("image", &b"words"[..])), 500, "not an image"),
        (
            Some(VISUAL),
            Some(("image", &large[..large.len() / 2])),
            500,
            "ends",
        ),
    ] {
        let reply = send(undici(&server, entries, input)).await;
        assert_eq!(reply.status, status, "{entries:?}: {}", reply.text());
        let detail = detail(&reply);
        assert!(detail.as_str().unwrap().contains(words), "{words}: {detail}");
    }
    for entries in [None, Some("")] {
        let missing = send(undici(&server, entries, image)).await;
        assert_eq!(missing.status, 422);
        assert_eq!(detail(&missing)[0]["loc"], json!(["body", "entries"]));
    }
    let metrics = send(server.get("/metrics")).await.text();
    assert!(
        metrics.contains(r#"lucida_api_inputs_refused_total{plugin="api-immich"}"#),
        "{metrics}"
    );
    assert!(metrics.contains(r#"route="/predict""#), "{metrics}");
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_and_limits_of_the_server_hold_and_their_refusals_have_immichs_shape() {
    let start = |auth| {
        Setup::new()
            .plugin(plugin(auth))
            .key("embedder", "alice", &[Scope::Embed])
            .key("reader", "alice", &[Scope::Read])
            .start()
    };
    let server = start(Auth::Key).await;
    let text = || undici(&server, Some(TEXTUAL), Some(("text", b"red")));
    let refused = send(text()).await;
    assert_eq!(refused.status, 401);
    assert!(detail(&refused).as_str().unwrap().contains("x-api-key"));
    assert_eq!(send(text().header("x-api-key", "reader")).await.status, 403);
    assert_eq!(send(text().header("x-api-key", "embedder")).await.status, 200);
    assert_eq!(send(server.get("/ping")).await.status, 200);
    let large = vec![7; 400_000];
    let refused = undici(&server, Some(VISUAL), Some(("image", &large))).header("x-api-key", "embedder");
    let refused = send(refused).await;
    assert_eq!(refused.status, 413);
    assert!(
        detail(&refused)
            .as_str()
            .unwrap()
            .contains("server.max_upload_bytes")
    );

    let open = start(Auth::None).await;
    assert_eq!(
        send(undici(&open, Some(TEXTUAL), Some(("text", b"red"))))
            .await
            .status,
        200
    );
    send(open.get("/v1/photos")).await.problem(401, "unauthorized");
}

/// Sends a recorded request, and returns the answer's status and body. Only the header that lets the server compress its
/// answer is left out.
async fn replay(server: &Server, request: &[u8]) -> (u16, String) {
    const ENCODINGS: &[u8] = b"accept-encoding: gzip, deflate\r\n";
    let mut places = request.windows(ENCODINGS.len());
    let place = places.position(|window| window == ENCODINGS).unwrap();
    let mut socket = TcpStream::connect(&server.address).await.unwrap();
    socket.write_all(&request[..place]).await.unwrap();
    socket
        .write_all(&request[place + ENCODINGS.len()..])
        .await
        .unwrap();
    let (mut answer, mut piece) = (Vec::new(), [0; 4096]);
    loop {
        let text = String::from_utf8_lossy(&answer);
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head
                .lines()
                .find_map(|line| line.strip_prefix("content-length: "));
            if length.and_then(|length| length.parse().ok()) == Some(body.len()) {
                let status = head.split(' ').nth(1).unwrap().parse().unwrap();
                return (status, body.to_owned());
            }
        }
        let read = socket.read(&mut piece).await.unwrap();
        assert!(read > 0, "{text}");
        answer.extend_from_slice(&piece[..read]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_recorded_requests_of_immichs_server_get_its_answers() {
    let server = server().await;
    let own = server
        .post_json("/embed/text", json!({"text": "red"}))
        .await
        .json();
    let (status, body) = replay(&server, include_bytes!("recorded/immich-ping.http")).await;
    assert_eq!((status, body.as_str()), (200, "pong"));
    let (status, body) = replay(&server, include_bytes!("recorded/immich-visual.http")).await;
    assert_eq!(status, 200, "{body}");
    let answer: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(
        (&answer["imageHeight"], &answer["imageWidth"]),
        (&json!(32), &json!(48))
    );
    let cosine: f32 = vector(&answer)
        .iter()
        .zip(numbers(&own["embedding"]))
        .map(|(a, b)| a * b)
        .sum();
    assert!(cosine > 0.9, "a red picture is near the word: {cosine}");
    let (status, body) = replay(&server, include_bytes!("recorded/immich-textual.http")).await;
    let answer: Value = serde_json::from_str(&body).unwrap();
    assert_eq!((status, vector(&answer)), (200, numbers(&own["embedding"])));
    let (status, body) = replay(&server, include_bytes!("recorded/immich-faces.http")).await;
    assert_eq!(status, 501, "{body}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_of_a_hub_is_found_by_the_name_that_immich_has_for_it() {
    let model = HashModel::named("immich-app/ViT-B-32__openai");
    let server = Setup::new()
        .plugin(ApiImmichPlugin::new(ApiImmichConfig::default()))
        .model(Arc::new(model.start()))
        .start()
        .await;
    let own = json!({"text": "red", "model": "immich-app/ViT-B-32__openai"});
    let own = server.post_json("/embed/text", own).await.json();
    let answer = send(undici(&server, Some(TEXTUAL), Some(("text", b"red"))))
        .await
        .json();
    assert_eq!(vector(&answer), numbers(&own["embedding"]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_queue_is_429_which_says_when_to_come_back() {
    let mut setup = Setup::new().plugin(plugin(Auth::Key));
    setup.options.max_concurrent_requests = 1;
    let server = setup.start().await;
    server.model.hold();
    let first = tokio::spawn(send(undici(&server, Some(TEXTUAL), Some(("text", b"red")))));
    lucida_testkit::eventually("a request is refused", async || {
        send(server.get("/ping")).await.status == 429
    })
    .await;
    let refused = send(undici(&server, Some(TEXTUAL), Some(("text", b"red")))).await;
    assert_eq!(refused.status, 429);
    assert!(
        detail(&refused)
            .as_str()
            .unwrap()
            .contains("server.max_concurrent_requests")
    );
    assert!(!refused.header("retry-after").is_empty());
    server.model.release();
    assert_eq!(first.await.unwrap().status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_without_the_plugin_has_none_of_its_routes() {
    let server = Server::start().await;
    send(server.get("/ping")).await.problem(404, "not_found");
    send(undici(&server, Some(VISUAL), None))
        .await
        .problem(404, "not_found");
}
