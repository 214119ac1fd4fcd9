//! A reverse proxy shows the server below a path, and takes it off the requests or not.

use lucida_testkit::jpeg;
use serde_json::json;

use crate::server::{Server, Setup, file_form, send};

const RED: [u8; 3] = [220, 30, 30];

async fn server() -> Server {
    let mut setup = Setup::new();
    setup.options.base_path = "/lucida".to_owned();
    setup.start().await
}

#[tokio::test(flavor = "multi_thread")]
async fn every_call_is_found_with_the_prefix_and_without_it() {
    let server = server().await;
    for prefix in ["/lucida", ""] {
        for path in [
            "/",
            "/gallery/app.js",
            "/docs/",
            "/openapi.json",
            "/healthz",
            "/metrics",
            "/v1/photos?limit=1",
        ] {
            let reply = send(server.get(&format!("{prefix}{path}"))).await;
            assert_eq!(reply.status, 200, "{prefix}{path}: {}", reply.text());
        }
        let body = json!({"texts": ["red"]});
        let reply = server.post_json(&format!("{prefix}/embed/text"), body).await;
        assert_eq!(reply.status, 200, "{}", reply.text());
        send(server.get(&format!("{prefix}/v1/nothing")))
            .await
            .problem(404, "not_found");
    }
    send(server.get("/lucidav1/photos"))
        .await
        .problem(404, "not_found");
    send(server.get("/lucida/lucida/v1/photos"))
        .await
        .problem(404, "not_found");
}

#[tokio::test(flavor = "multi_thread")]
async fn links_in_answers_have_the_prefix() {
    let server = server().await;
    for (number, prefix) in ["/lucida", ""].into_iter().enumerate() {
        let photo = jpeg(64, 48 + u32::try_from(number).unwrap(), RED);
        let upload = server.post(&format!("{prefix}/v1/photos?wait=true"));
        let reply = send(upload.multipart(file_form(&photo, "a.jpg"))).await;
        assert_eq!(reply.status, 201, "{}", reply.text());
        let location = reply.header("location").to_owned();
        assert!(location.starts_with("/lucida/v1/photos/"), "{location}");
        assert_eq!(send(server.get(&location)).await.json()["id"], reply.json()["id"]);
    }
    let document = send(server.get("/lucida/openapi.json")).await.json();
    assert_eq!(document["servers"], json!([{ "url": "/lucida" }]));
    let reply = send(server.get("/lucida")).await;
    assert_eq!((reply.status, reply.header("location")), (308, "/lucida/"));
    // Relative, for a proxy that took the prefix off.
    assert_eq!(send(server.get("/lucida/docs")).await.header("location"), "docs/");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_without_a_prefix_has_none() {
    let server = Server::start().await;
    let document = send(server.get("/openapi.json")).await.json();
    assert_eq!(document["servers"], json!([{ "url": "/" }]));
    send(server.get("/lucida/v1/photos"))
        .await
        .problem(404, "not_found");
}
