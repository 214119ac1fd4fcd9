//! Somebody uploads photos, and things that are none.

use std::time::Duration;

use bytes::Bytes;
use lucida_testkit::{Fault, jpeg};
use reqwest::Body;
use reqwest::multipart::{Form, Part};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::server::{MAX_UPLOAD_BYTES, Server, Setup, file_form, file_part, send};

const RED: [u8; 3] = [220, 30, 30];

fn photo() -> Bytes {
    jpeg(64, 48, RED)
}

/// A PNG whose header says 20,000 x 20,000 pixels and which has none.
fn pixel_bomb() -> Vec<u8> {
    let mut ihdr = b"IHDR".to_vec();
    ihdr.extend_from_slice(&20_000_u32.to_be_bytes());
    ihdr.extend_from_slice(&20_000_u32.to_be_bytes());
    ihdr.extend_from_slice(&[8, 2, 0, 0, 0]);
    let mut file = b"\x89PNG\r\n\x1a\n".to_vec();
    for chunk in [ihdr, b"IDAT".to_vec(), b"IEND".to_vec()] {
        file.extend_from_slice(&u32::try_from(chunk.len() - 4).unwrap().to_be_bytes());
        let crc = chunk.iter().fold(u32::MAX, |crc, &byte| {
            (0..8).fold(crc ^ u32::from(byte), |crc, _| {
                (crc >> 1) ^ (0xEDB8_8320 * (crc & 1))
            })
        });
        file.extend_from_slice(&chunk);
        file.extend_from_slice(&(!crc).to_be_bytes());
    }
    file
}

#[tokio::test(flavor = "multi_thread")]
async fn a_photo_is_taken_at_once_and_ready_soon() {
    let server = Server::start().await;
    let reply = send(
        server
            .post("/v1/photos")
            .multipart(file_form(&photo(), "me/beach.jpg")),
    )
    .await;
    assert_eq!(reply.status, 202, "{}", reply.text());
    let taken = reply.json();
    let id = taken["id"].as_str().unwrap();
    assert_eq!(reply.header("location"), format!("/v1/photos/{id}"));
    assert_eq!(taken["filename"], "beach.jpg");
    assert_eq!(taken["user_id"], "local");

    lucida_testkit::eventually("the photo is ready", async || {
        server.photo(id).await["state"] == "ready"
    })
    .await;
    let ready = server.photo(id).await;
    assert_eq!(ready["content_type"], "image/jpeg");
    assert_eq!(ready["size_bytes"], photo().len());
    assert_eq!((&ready["width"], &ready["height"]), (&json!(64), &json!(48)));
    assert_eq!(ready["hash"], blake3::hash(&photo()).to_hex().as_str());
    assert_eq!(ready["error"], json!(null));
    server.assert_spool_is_clean().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn waiting_gives_a_ready_photo_and_the_same_bytes_again_give_the_same_photo() {
    let server = Server::start().await;
    let first = send(
        server
            .post("/v1/photos?wait=true")
            .multipart(file_form(&photo(), "a.jpg")),
    )
    .await;
    assert_eq!(first.status, 201, "{}", first.text());
    assert_eq!(first.json()["state"], "ready");
    for path in ["/v1/photos", "/v1/photos?wait=true"] {
        let again = send(server.post(path).multipart(file_form(&photo(), "b.jpg"))).await;
        assert_eq!(again.status, 200, "{}", again.text());
        assert_eq!(again.json(), first.json());
    }
    server.assert_spool_is_clean().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn waiting_ends_when_its_time_is_up() {
    let mut setup = Setup::new();
    setup.options.wait_timeout = Duration::from_millis(50);
    let server = setup.start().await;
    server.model.hold();
    let reply = send(
        server
            .post("/v1/photos?wait=true")
            .multipart(file_form(&photo(), "a.jpg")),
    )
    .await;
    server.model.release();
    assert_eq!(reply.status, 202);
    assert_eq!(reply.json()["state"], "pending");
}

#[tokio::test(flavor = "multi_thread")]
async fn metadata_may_come_before_or_after_the_file() {
    let server = Server::start().await;
    let metadata = || {
        Part::text(json!({"tags": ["b", "a", " b "], "taken_at": "2024-08-17T18:04:05+02:00"}).to_string())
    };
    for (colour, form) in [(RED, true), ([30, 50, 220], false)] {
        let file = file_part(&jpeg(40, 40, colour), "a.jpg");
        let form = if form {
            Form::new().part("metadata", metadata()).part("file", file)
        } else {
            Form::new().part("file", file).part("metadata", metadata())
        };
        let reply = send(server.post("/v1/photos").multipart(form)).await;
        assert_eq!(reply.status, 202, "{}", reply.text());
        assert_eq!(reply.json()["tags"], json!(["a", "b"]));
        assert_eq!(reply.json()["taken_at"], "2024-08-17T16:04:05Z");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_metadata_is_refused_by_field() {
    let server = Server::start().await;
    let many: Vec<_> = (0..65).map(|number| number.to_string()).collect();
    for (metadata, status, code, field) in [
        (
            json!({"tag": ["a"]}).to_string(),
            422,
            "unknown_field",
            "metadata.tag",
        ),
        (
            json!({"taken_at": "yesterday"}).to_string(),
            422,
            "invalid_field",
            "metadata.taken_at",
        ),
        (
            json!({"tags": "a"}).to_string(),
            422,
            "invalid_field",
            "metadata.tags",
        ),
        (
            json!({"tags": [""]}).to_string(),
            422,
            "invalid_field",
            "metadata.tags",
        ),
        (
            json!({"tags": ["x".repeat(201)]}).to_string(),
            422,
            "invalid_field",
            "metadata.tags",
        ),
        (
            json!({"tags": many}).to_string(),
            422,
            "invalid_field",
            "metadata.tags",
        ),
        ("[[\"a\"]]".to_owned(), 422, "invalid_field", "metadata"),
        ("{".to_owned(), 400, "malformed_json", "metadata"),
        ("x".repeat(70_000), 413, "payload_too_large", "metadata"),
    ] {
        let form = file_form(&photo(), "a.jpg").part("metadata", Part::text(metadata));
        send(server.post("/v1/photos").multipart(form))
            .await
            .problem_of(status, code, field);
    }
    let nothing_was_kept = send(server.get("/v1/photos")).await.json();
    assert_eq!(nothing_was_kept["photos"], json!([]));
    server.assert_spool_is_clean().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_photo_is_told_apart_and_leaves_nothing() {
    let server = Server::start().await;
    let whole = jpeg(200, 150, RED);
    for (name, bytes, status, code) in [
        ("a.jpg", &b""[..], 422, "empty_file"),
        ("a.jpg", b"these are words, not pixels", 415, "not_an_image"),
        ("a.pdf", b"%PDF-1.7 and so on", 415, "not_an_image"),
        (
            "a.avif",
            b"\0\0\0\x18ftypavif\0\0\0\0mif1avif",
            415,
            "unsupported_image_type",
        ),
        ("a.png", &whole, 422, "type_mismatch"),
        ("a.jpg", &whole[..whole.len() * 2 / 3], 422, "truncated_image"),
        ("a.png", &pixel_bomb(), 422, "too_many_pixels"),
    ] {
        let reply = send(
            server
                .post("/v1/photos?wait=true")
                .multipart(file_form(bytes, name)),
        )
        .await;
        reply.problem_of(status, code, "file");
        server.assert_spool_is_clean().await;
    }
    assert_eq!(send(server.get("/v1/photos")).await.json()["photos"], json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_truncated_photo_is_taken_where_that_is_asked_for() {
    let mut setup = Setup::new();
    setup.accept_truncated = true;
    let server = setup.start().await;
    let whole = jpeg(200, 150, RED);
    let form = file_form(&whole[..whole.len() * 2 / 3], "a.jpg");
    let reply = send(server.post("/v1/photos?wait=true").multipart(form)).await;
    assert_eq!(reply.status, 201, "{}", reply.text());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_form_that_is_not_one_photo_is_refused_by_part() {
    let server = Server::start().await;
    let form = || file_form(&photo(), "a.jpg");
    for (form, code, field) in [
        (Form::new(), "missing_field", "file"),
        (Form::new().text("metadata", "{}"), "missing_field", "file"),
        (
            form().part("file", file_part(&photo(), "b.jpg")),
            "duplicate_part",
            "file",
        ),
        (
            form().text("metadata", "{}").text("metadata", "{}"),
            "duplicate_part",
            "metadata",
        ),
        (form().text("caption", "the sea"), "unknown_field", "caption"),
        (
            Form::new().part("image", file_part(&photo(), "a.jpg")),
            "unknown_field",
            "image",
        ),
        (
            Form::new().part("file", file_part(b"", "")),
            "missing_field",
            "file",
        ),
    ] {
        send(server.post("/v1/photos").multipart(form))
            .await
            .problem_of(422, code, field);
    }
    server.assert_spool_is_clean().await;
    send(server.post("/v1/photos?await=true").multipart(form()))
        .await
        .problem_of(422, "unknown_field", "await");
    send(server.post("/v1/photos?wait=yes").multipart(form()))
        .await
        .problem_of(422, "invalid_field", "wait");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_is_no_form_is_refused() {
    let server = Server::start().await;
    let with_type = |kind: &str| server.post("/v1/photos").header("content-type", kind).body("x");
    send(server.post("/v1/photos").json(&json!({})))
        .await
        .problem(415, "unsupported_media_type");
    send(server.post("/v1/photos").body(photo()))
        .await
        .problem(415, "unsupported_media_type");
    send(with_type("multipart/form-data"))
        .await
        .problem(400, "malformed_form");
    send(with_type("multipart/form-data; boundary=b"))
        .await
        .problem(400, "malformed_form");
    let cut = server
        .post("/v1/photos")
        .header("content-type", "multipart/form-data; boundary=b")
        .body("--b\r\ncontent-disposition: form-data; name=\"file\"; filename=\"a.jpg\"\r\n\r\nbytes without an end");
    send(cut).await.problem(400, "malformed_form");
    server.assert_spool_is_clean().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_over_the_limit_is_refused_whether_its_length_is_announced_or_not() {
    let server = Server::start().await;
    let too_much = vec![7; usize::try_from(MAX_UPLOAD_BYTES).unwrap() * 8];
    let announced = file_form(&too_much, "a.jpg");
    let problem = send(server.post("/v1/photos").multipart(announced))
        .await
        .problem(413, "payload_too_large");
    assert!(
        problem["detail"]
            .as_str()
            .unwrap()
            .contains(&MAX_UPLOAD_BYTES.to_string()),
        "{problem}"
    );

    let pieces = too_much
        .chunks(10_000)
        .map(|piece| Ok::<_, std::io::Error>(piece.to_vec()))
        .collect::<Vec<_>>();
    let stream = Body::wrap_stream(futures::stream::iter(pieces));
    let form = Form::new().part("file", Part::stream(stream).file_name("a.jpg"));
    send(server.post("/v1/photos").multipart(form))
        .await
        .problem(413, "payload_too_large");
    server.assert_spool_is_clean().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_waits_for_leave_to_send_is_told_before_it_sends() {
    let server = Server::start().await;
    let mut socket = TcpStream::connect(&server.address).await.unwrap();
    let head = format!(
        "POST /v1/photos HTTP/1.1\r\nhost: {}\r\ncontent-type: multipart/form-data; boundary=b\r\n\
         content-length: {}\r\nexpect: 100-continue\r\n\r\n",
        server.address,
        MAX_UPLOAD_BYTES + 1
    );
    socket.write_all(head.as_bytes()).await.unwrap();
    let mut start = [0; 12];
    socket.read_exact(&mut start).await.unwrap();
    assert_eq!(&start, b"HTTP/1.1 413");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_reads_only_after_sending_everything_gets_its_refusal() {
    const LENGTH: usize = 40_000_000;
    let server = Server::start().await;
    let mut socket = TcpStream::connect(&server.address).await.unwrap();
    let head = format!(
        "POST /v1/photos HTTP/1.1\r\nhost: {}\r\ncontent-type: multipart/form-data; boundary=b\r\n\
         content-length: {LENGTH}\r\nconnection: close\r\n\r\n",
        server.address
    );
    socket.write_all(head.as_bytes()).await.unwrap();
    for _ in 0..LENGTH / 100_000 {
        socket.write_all(&[7; 100_000]).await.unwrap();
    }
    let mut answer = Vec::new();
    socket.read_to_end(&mut answer).await.unwrap();
    let answer = String::from_utf8(answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
    assert!(answer.contains("payload_too_large"), "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_goes_away_in_the_middle_leaves_nothing() {
    let server = Server::start().await;
    let mut socket = TcpStream::connect(&server.address).await.unwrap();
    let head = format!(
        "POST /v1/photos HTTP/1.1\r\nhost: {}\r\ncontent-type: multipart/form-data; boundary=b\r\n\
         content-length: 100000\r\n\r\n--b\r\ncontent-disposition: form-data; name=\"file\"; filename=\"a.jpg\"\r\n\r\n",
        server.address
    );
    socket.write_all(head.as_bytes()).await.unwrap();
    socket.write_all(&photo()).await.unwrap();
    lucida_testkit::eventually("the upload has begun", async || server.spooled() == 1).await;
    drop(socket);
    server.assert_spool_is_clean().await;
    assert_eq!(send(server.get("/v1/photos")).await.json()["photos"], json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_photo_that_the_model_can_not_take_fails_and_can_be_retried() {
    let server = Server::start().await;
    server.model.fault_on_size(64, 48, Fault::NotANumber);
    let reply = send(
        server
            .post("/v1/photos?wait=true")
            .multipart(file_form(&photo(), "a.jpg")),
    )
    .await;
    let code = serde_json::from_slice::<serde_json::Value>(&reply.body).unwrap()["code"]
        .as_str()
        .unwrap()
        .to_owned();
    let problem = reply.problem(422, &code);
    let id = problem["photo_id"].as_str().unwrap().to_owned();
    let failed = server.photo(&id).await;
    assert_eq!(failed["state"], "failed");
    assert_eq!(failed["error"]["code"], code);
    assert_eq!(failed["attempts"], 2);
    let listed = send(server.get("/v1/photos?state=failed")).await.json();
    assert_eq!(listed["photos"][0]["id"], id);

    server.model.clear_faults();
    let retried = send(server.post(&format!("/v1/photos/{id}/retry"))).await;
    assert_eq!(retried.status, 202, "{}", retried.text());
    lucida_testkit::eventually("the photo is ready", async || {
        server.photo(&id).await["state"] == "ready"
    })
    .await;
    send(server.post(&format!("/v1/photos/{id}/retry")))
        .await
        .problem(409, "not_failed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_refuses_for_now_and_recovers() {
    let server = Server::start().await;
    server.disk.set_full(true);
    send(server.post("/v1/photos").multipart(file_form(&photo(), "a.jpg")))
        .await
        .problem(503, "storage_full");
    server.assert_spool_is_clean().await;
    assert_eq!(send(server.get("/v1/photos")).await.json()["photos"], json!([]));
    server.disk.set_full(false);
    server.add(&photo(), json!({})).await;
}
