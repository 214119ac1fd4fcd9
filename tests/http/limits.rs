//! More work than the server takes: it says so, says when to come back, and goes on.

use std::time::Duration;

use lucida_testkit::{eventually, jpeg};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::server::{Setup, file_form, send};

#[tokio::test(flavor = "multi_thread")]
async fn one_request_too_many_is_told_to_come_back_while_health_still_answers() {
    let mut setup = Setup::new();
    setup.options.max_concurrent_requests = 2;
    let server = setup.start().await;
    server.model.hold();
    let search = || server.post("/v1/search").json(&json!({"text": "red"}));
    let waiting: Vec<_> = (0..2).map(|_| tokio::spawn(send(search()))).collect();
    // One that holds no place can't tell, so ask with one that does until both places are taken.
    eventually("both places are taken", async || {
        send(server.get("/v1/photos")).await.status == 429
    })
    .await;
    let refusal = send(server.get("/v1/photos")).await;
    refusal.problem(429, "server_busy");
    assert_eq!(refusal.header("retry-after"), "1");
    assert_eq!(refused_before_its_body(&server.address).await, "HTTP/1.1 429");
    assert_eq!(send(server.get("/healthz")).await.status, 200);
    assert_eq!(send(server.get("/metrics")).await.status, 200);
    server.model.release();
    for reply in waiting {
        assert_eq!(reply.await.unwrap().status, 200);
    }
    eventually("the places are free", async || {
        send(server.get("/v1/photos")).await.status == 200
    })
    .await;
}

/// Announces an upload, sends none of it, and returns how the answer begins.
async fn refused_before_its_body(address: &str) -> String {
    let mut socket = TcpStream::connect(address).await.unwrap();
    let head = "POST /embed/image HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: multipart/form-data; boundary=x\r\n\
                content-length: 100000\r\n\r\n";
    socket.write_all(head.as_bytes()).await.unwrap();
    let mut answer = [0; 12];
    socket.read_exact(&mut answer).await.unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_takes_too_long_is_answered_for() {
    let mut setup = Setup::new();
    setup.options.request_timeout = Duration::from_millis(100);
    let server = setup.start().await;
    server.model.hold();
    server
        .post_json("/v1/search", json!({"text": "red"}))
        .await
        .problem(503, "timeout");
    server
        .post_json("/embed/text", json!({"text": "red"}))
        .await
        .problem(503, "timeout");
    let form = file_form(&jpeg(64, 64, [220, 30, 30]), "a.jpg");
    send(server.post("/embed/image").multipart(form))
        .await
        .problem(503, "timeout");
    server.model.release();
    server.assert_spool_is_clean().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_queue_of_the_model_is_an_answer() {
    let mut setup = Setup::new();
    setup.options.max_concurrent_requests = 100_000;
    setup.options.max_embed_items = 100_000;
    let server = setup.start().await;
    server.model.hold();
    // More texts than any queue has room for: some wait, and the rest are told that there is no room.
    let most = lucida_testkit::HashModel::options().queue_items;
    let texts: Vec<_> = (0..most * 2).map(|number| format!("text {number}")).collect();
    let many = tokio::spawn(send(server.post("/embed/text").json(&json!({"texts": texts}))));
    eventually("the queue is full", async || {
        let mut request = server.post("/embed/text").json(&json!({"text": "one more"}));
        request = request.timeout(Duration::from_millis(300));
        // Either it is refused, or it waits in the queue and is given up.
        request
            .send()
            .await
            .is_ok_and(|response| response.status() == 429)
    })
    .await;
    server
        .post_json("/embed/text", json!({"text": "one more"}))
        .await
        .problem(429, "overloaded");
    server
        .post_json("/embed/text", json!({"texts": ["one", "two"]}))
        .await
        .problem(429, "overloaded");
    server.model.release();
    let answer = many.await.unwrap().json();
    let refused = answer["embeddings"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|item| item.is_object())
        .count();
    assert!(
        refused > 0 && refused < most * 2,
        "{refused} of {} were refused",
        most * 2
    );
    assert_eq!(
        server
            .post_json("/embed/text", json!({"text": "one more"}))
            .await
            .status,
        200
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_without_an_end_or_sense_is_not_the_servers_end() {
    let server = Setup::new().start().await;
    let mut socket = TcpStream::connect(&server.address).await.unwrap();
    socket
        .write_all(b"\x16\x03\x01 this is not HTTP\r\n\r\n")
        .await
        .unwrap();
    let mut answer = Vec::new();
    socket.read_to_end(&mut answer).await.unwrap();
    assert!(
        answer.starts_with(b"HTTP/1.1 400"),
        "{}",
        String::from_utf8_lossy(&answer)
    );
    let mut socket = TcpStream::connect(&server.address).await.unwrap();
    let long = format!(
        "GET / HTTP/1.1\r\nhost: x\r\nx-long: {}\r\n",
        "y".repeat(1_000_000)
    );
    // The server may close before all is sent.
    let _ = socket.write_all(long.as_bytes()).await;
    assert_eq!(send(server.get("/healthz")).await.status, 200);
}
