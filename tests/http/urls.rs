//! Photos that clients name by URL.

use axum::Router;
use axum::body::Bytes;
use axum::routing::get;
use lucida_plugin_url_ingest::{UrlIngestConfig, UrlIngestPlugin};
use lucida_testkit::jpeg;
use reqwest::multipart::Form;
use serde_json::json;

use crate::server::{Server, Setup, file_part, send};

/// Starts a server that has one photo; returns the URL of its folder.
async fn far(photo: Bytes) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let app = Router::new().route(
        "/trip/cat.jpg",
        get(async move || ([("content-type", "image/jpeg")], photo)),
    );
    tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
    url
}

async fn fetching() -> Server {
    let config = UrlIngestConfig {
        hosts: vec!["127.0.0.1".to_owned()],
        ..UrlIngestConfig::default()
    };
    Setup::new()
        .plugin(UrlIngestPlugin::new(&config).unwrap())
        .start()
        .await
}

#[tokio::test]
async fn a_photo_is_uploaded_and_embedded_by_its_url() {
    let photo = jpeg(64, 48, [200, 30, 30]);
    let (far, server) = (far(photo.clone()).await, fetching().await);
    let url = format!("{far}/trip/cat.jpg");
    let form = Form::new()
        .text("url", url.clone())
        .text("metadata", r#"{"tags": ["trip"]}"#);
    let reply = send(server.post("/v1/photos?wait=true").multipart(form)).await;
    assert_eq!(reply.status, 201, "{}", reply.text());
    let body = reply.json();
    assert_eq!(
        (&body["filename"], &body["state"]),
        (&"cat.jpg".into(), &"ready".into())
    );
    assert_eq!(
        (&body["size_bytes"], &body["tags"][0]),
        (&photo.len().into(), &"trip".into())
    );

    let same = send(
        server
            .post("/v1/photos")
            .multipart(Form::new().part("file", file_part(&photo, "a.jpg"))),
    )
    .await;
    assert_eq!(
        (same.status, &same.json()["id"]),
        (200, &body["id"]),
        "the bytes are the same"
    );

    let form = Form::new()
        .part("file", file_part(&photo, "a.jpg"))
        .text("url", url)
        .text("url", format!("{far}/trip/dog.jpg"));
    let reply = send(server.post("/embed/image").multipart(form)).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    let results = reply.json()["embeddings"].clone();
    assert_eq!(results[0], results[1]);
    assert_eq!(results[2]["error"]["code"], "url_failed");
    server.stop().await;
}

#[tokio::test]
async fn a_url_that_may_not_be_fetched_or_an_upload_with_two_photos_is_refused() {
    let server = fetching().await;
    let upload = async |form: Form| send(server.post("/v1/photos").multipart(form)).await;
    let reply = upload(Form::new().text("url", "http://169.254.169.254/latest/meta-data")).await;
    reply.problem_of(422, "url_refused", "url");
    let photo = jpeg(64, 48, [200, 30, 30]);
    let both = Form::new()
        .part("file", file_part(&photo, "a.jpg"))
        .text("url", "http://127.0.0.1/");
    upload(both).await.problem_of(422, "duplicate_part", "file");
    server.assert_spool_is_clean().await;
    server.stop().await;
}

#[cfg(feature = "plugin-api-openai")]
#[tokio::test]
async fn an_openai_client_names_pictures_by_url() {
    let photo = jpeg(64, 48, [200, 30, 30]);
    let (far, server) = (far(photo.clone()).await, fetching().await);
    let form = Form::new().part("file", file_part(&photo, "a.jpg"));
    let own = send(server.post("/embed/image").multipart(form)).await.json();
    let url = format!("{far}/trip/cat.jpg");
    let part = json!({"type": "image_url", "image_url": {"url": url}});
    for (body, place) in [
        (json!({"input": [url], "modality": "image"}), 0),
        (json!({"input": [{"type": "text", "text": "red"}, part]}), 1),
        (json!({"messages": [{"role": "user", "content": [part]}]}), 0),
    ] {
        let answer = server.post_json("/v1/embeddings", body.clone()).await.json();
        assert_eq!(answer["data"][place]["embedding"], own["embedding"], "{body}");
    }
    for (url, code) in [
        (format!("{far}/trip/dog.jpg"), "url_failed"),
        (
            "http://169.254.169.254/latest/meta-data".to_owned(),
            "url_refused",
        ),
    ] {
        let body = json!({"input": [url], "modality": "image"});
        let problem = server.post_json("/v1/embeddings", body).await;
        problem.problem_of(422, code, "input[0]");
    }
    server.stop().await;

    let server = Server::start().await;
    let body = json!({"input": [url], "modality": "image"});
    let problem = server.post_json("/v1/embeddings", body).await;
    let problem = problem.problem_of(422, "invalid_field", "input[0]");
    let message = problem["error"]["message"].as_str().unwrap();
    assert!(
        message.contains("data:image/jpeg;base64") && message.contains("url-ingest"),
        "{message}"
    );
    server.stop().await;
}

#[tokio::test]
async fn a_server_without_the_plugin_fetches_nothing_and_says_which_it_lacks() {
    let server = Server::start().await;
    for path in ["/v1/photos", "/embed/image"] {
        let form = Form::new().text("url", "http://127.0.0.1/cat.jpg");
        let problem = send(server.post(path).multipart(form))
            .await
            .problem_of(422, "url_ingest_off", "url");
        assert!(
            problem["detail"].as_str().unwrap().contains("url-ingest"),
            "{problem}"
        );
    }
    server.stop().await;
}
