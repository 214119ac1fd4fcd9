//! Many clients on a slow model: each gets an answer, for each of its inputs, soon after the deadline.

use std::time::Duration;

use lucida_testkit::{HashModel, eventually, jpeg};
use reqwest::multipart::Form;
use serde_json::{Value, json};

use crate::server::{Reply, Server, Setup, file_part, send};

/// An answer that takes so long never comes; every deadline of these tests is far below.
const NO_ANSWER: Duration = Duration::from_secs(60);

fn pictures(count: u8) -> Form {
    (0..count).fold(Form::new(), |form, number| {
        form.part("file", file_part(&jpeg(48, 48, [number * 3, 9, 90]), "a.jpg"))
    })
}

async fn answer(request: reqwest::RequestBuilder) -> Reply {
    tokio::time::timeout(NO_ANSWER, send(request))
        .await
        .expect("every client gets an answer")
}

/// Counts the vectors and the failures for lack of time in an answer, which must have nothing else.
#[track_caller]
fn vectors_and_late(answer: &Value) -> (usize, usize) {
    let items = answer["embeddings"].as_array().unwrap();
    let vectors = items.iter().filter(|item| item.is_array()).count();
    let late = items
        .iter()
        .filter(|item| {
            item["error"]["code"] == "timeout"
                && item["error"]["status"] == 503
                && item["error"]["retry_after_secs"].as_u64() > Some(0)
        })
        .count();
    assert_eq!(vectors + late, items.len(), "{answer}");
    (vectors, late)
}

async fn slow_server(limit: Duration, items: usize) -> Server {
    let mut setup = Setup::new();
    setup.options.request_timeout = limit;
    setup.options.max_embed_items = items;
    setup.options.max_upload_bytes = 10_000_000;
    setup.start().await
}

#[tokio::test(flavor = "multi_thread")]
async fn every_one_of_many_clients_with_many_pictures_is_answered_for_each_picture() {
    let server = slow_server(Duration::from_secs(3), 64).await;
    // Four pictures take 200 ms: the time of all is far beyond the limit, that of some is not.
    server.model.set_delay(Duration::from_millis(200));
    let clients: Vec<_> = (0..12)
        .map(|_| tokio::spawn(answer(server.post("/embed/image").multipart(pictures(64)))))
        .collect();
    let (mut vectors, mut late) = (0, 0);
    for client in clients {
        let reply = client.await.unwrap();
        if reply.status == 200 {
            let counts = vectors_and_late(&reply.json());
            assert_eq!(counts.0 + counts.1, 64);
            vectors += counts.0;
            late += counts.1;
        } else {
            let code = serde_json::from_slice::<Value>(&reply.body).unwrap()["code"].clone();
            match code.as_str().unwrap() {
                "timeout" => _ = reply.problem(503, "timeout"),
                other => _ = reply.problem(429, other),
            }
        }
    }
    assert!(late > 0, "{vectors} pictures were embedded and {late} were late");
    server.model.set_delay(Duration::ZERO);
    server.assert_spool_is_clean().await;
    let after = answer(server.post("/embed/image").multipart(pictures(3))).await;
    assert_eq!(vectors_and_late(&after.json()), (3, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_with_many_pictures_has_one_deadline_and_not_one_for_each_picture() {
    let server = slow_server(Duration::from_secs(2), 64).await;
    server.model.hold();
    // A deadline for each picture, eight at a time, would let this call take eight times as long as its limit, which
    // is beyond the patience of this client.
    let reply = tokio::time::timeout(
        Duration::from_secs(10),
        send(server.post("/embed/image").multipart(pictures(64))),
    );
    reply
        .await
        .expect("an answer soon after the deadline")
        .problem(503, "timeout");
    server.model.release();
    server.assert_spool_is_clean().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn texts_that_are_done_at_the_deadline_are_not_lost_for_those_that_are_not() {
    let server = slow_server(Duration::from_secs(3), 1000).await;
    server.model.set_delay(Duration::from_millis(150));
    let texts: Vec<_> = (0..1000).map(|number| format!("text {number}")).collect();
    let reply = answer(server.post("/embed/text").json(&json!({"texts": texts}))).await;
    let (vectors, late) = vectors_and_late(&reply.json());
    assert!(vectors > 0 && late > 0, "{vectors} and {late}");
    let failed = answer(server.post("/v1/embeddings").json(&json!({"input": texts}))).await;
    failed.problem(503, "timeout");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_time_that_a_client_takes_to_send_is_its_own() {
    let server = slow_server(Duration::from_secs(1), 4).await;
    let picture = jpeg(48, 48, [9, 9, 90]);
    let mut pieces =
        vec![b"--b\r\ncontent-disposition: form-data; name=\"file\"; filename=\"a.jpg\"\r\n\r\n".to_vec()];
    pieces.extend(picture.chunks(picture.len().div_ceil(6)).map(<[u8]>::to_vec));
    pieces.push(b"\r\n--b--\r\n".to_vec());
    let slowly = futures::stream::unfold(pieces.into_iter(), |mut pieces| async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        let piece = pieces.next()?;
        Some((Ok::<_, std::io::Error>(piece), pieces))
    });
    let request = server
        .post("/embed/image")
        .header("content-type", "multipart/form-data; boundary=b")
        .body(reqwest::Body::wrap_stream(slowly));
    assert_eq!(answer(request).await.json()["dimensions"], 64);
}

#[tokio::test(flavor = "multi_thread")]
async fn more_texts_than_the_queue_has_room_for_are_embedded_whole() {
    let server = slow_server(Duration::from_secs(60), 100_000).await;
    let most = HashModel::options().queue_items;
    let texts: Vec<_> = (0..most * 3).map(|number| format!("text {number}")).collect();
    let reply = answer(server.post("/embed/text").json(&json!({"texts": texts}))).await;
    assert_eq!(vectors_and_late(&reply.json()), (most * 3, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_queue_that_others_have_filled_refuses_a_whole_request() {
    let mut setup = Setup::new();
    setup.options.max_concurrent_requests = 100_000;
    setup.options.max_embed_items = 1000;
    let server = setup.start().await;
    server.model.hold();
    let most = HashModel::options().queue_items;
    let others: Vec<_> = (0..most / 32)
        .map(|client| {
            let texts: Vec<_> = (0..64).map(|number| format!("text {client} {number}")).collect();
            tokio::spawn(send(server.post("/embed/text").json(&json!({"texts": texts}))))
        })
        .collect();
    eventually("the queue is full", async || {
        let request = server.post("/embed/text").json(&json!({"text": "one more"}));
        // Either it is refused, or it waits in the queue and is given up.
        request
            .timeout(Duration::from_millis(300))
            .send()
            .await
            .is_ok_and(|response| response.status() == 429)
    })
    .await;
    for body in [
        json!({"text": "one more"}),
        json!({"texts": ["one", "two", "three"]}),
    ] {
        let problem = server
            .post_json("/embed/text", body)
            .await
            .problem(429, "overloaded");
        assert!(
            problem["detail"].as_str().unwrap().contains("queue_items"),
            "{problem}"
        );
    }
    server
        .post_json("/v1/embeddings", json!({"input": ["one", "two"]}))
        .await
        .problem(429, "overloaded");
    server.model.release();
    for other in others {
        let reply = other.await.unwrap();
        if reply.status == 200 {
            assert_eq!(vectors_and_late(&reply.json()), (64, 0));
        } else {
            reply.problem(429, "overloaded");
        }
    }
    let after = server.post_json("/embed/text", json!({"text": "one more"})).await;
    assert_eq!(after.status, 200);
}
