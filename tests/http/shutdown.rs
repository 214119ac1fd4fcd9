//! The server stops, and finishes what it has begun.

use lucida_testkit::{eventually, jpeg};
use reqwest::multipart::{Form, Part};
use serde_json::json;
use tokio::net::TcpStream;
use tokio::sync::mpsc;

use crate::server::{Server, file_form, send};

#[tokio::test(flavor = "multi_thread")]
async fn what_was_begun_is_finished_and_nothing_new_is_taken() {
    let server = Server::start().await;
    server.model.hold();
    let search = tokio::spawn(send(server.post("/v1/search").json(&json!({"text": "red"}))));
    server.model.wait_until_held().await;

    // An upload of which the second half comes only after the server was told to stop.
    let photo = jpeg(200, 150, [220, 30, 30]);
    let (pieces, body) = mpsc::unbounded_channel::<Result<Vec<u8>, std::io::Error>>();
    let (first, second) = photo.split_at(photo.len() / 2);
    pieces.send(Ok(first.to_vec())).unwrap();
    let stream = futures::stream::unfold(body, |mut body| async {
        body.recv().await.map(|piece| (piece, body))
    });
    let part = Part::stream(reqwest::Body::wrap_stream(stream)).file_name("a.jpg");
    let upload = tokio::spawn(send(
        server
            .post("/v1/photos")
            .multipart(Form::new().part("file", part)),
    ));
    eventually("the upload has begun", async || server.spooled() == 1).await;

    server.shutdown.cancel();
    let refused = async || TcpStream::connect(&server.address).await.is_err();
    eventually("nothing new is taken", refused).await;
    assert!(!server.serving.is_finished());

    pieces.send(Ok(second.to_vec())).unwrap();
    drop(pieces);
    assert_eq!(upload.await.unwrap().status, 202);
    server.model.release();
    assert_eq!(search.await.unwrap().status, 200);
    server.serving.await.unwrap().unwrap();
    server.workers.finished().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_connection_does_not_hold_the_server_up() {
    let server = Server::start().await;
    // The client keeps its connection for the next request.
    send(server.get("/healthz")).await.json();
    server.shutdown.cancel();
    server.serving.await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_whose_client_hangs_up_after_sending_it_is_kept() {
    let server = Server::start().await;
    let form = file_form(&jpeg(64, 64, [220, 30, 30]), "a.jpg");
    server.model.hold();
    // The client waits for the model, which is held, and gives up.
    let request = server
        .post("/v1/photos?wait=true")
        .multipart(form)
        .timeout(std::time::Duration::from_millis(300));
    assert!(request.send().await.unwrap_err().is_timeout());
    server.model.release();
    eventually("the photo is ready", async || {
        let page = send(server.get("/v1/photos?state=ready")).await.json();
        page["photos"].as_array().unwrap().len() == 1
    })
    .await;
}
