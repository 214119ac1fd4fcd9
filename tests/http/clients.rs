//! Clients that send bodies in their own ways: fast, compressed, oddly named, or not at all.

use lucida_testkit::jpeg;
use reqwest::Method;
use reqwest::multipart::{Form, Part};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::server::{MAX_JSON_BYTES, Server, Setup, file_form, file_part, send};

const RED: [u8; 3] = [220, 30, 30];

/// Makes a JPEG of so many bytes at least: a small picture behind many comments.
fn large_file(shade: u8, bytes: usize) -> Vec<u8> {
    const COMMENT_BYTES: usize = 65_000;
    let picture = jpeg(40, 40, [shade, 40, 90]);
    let mut file = picture[..2].to_vec();
    while file.len() + picture.len() < bytes {
        file.extend_from_slice(&[0xFF, 0xFE]);
        file.extend_from_slice(&u16::try_from(COMMENT_BYTES + 2).unwrap().to_be_bytes());
        file.extend((0..COMMENT_BYTES).map(|place| (place % 251) as u8));
    }
    file.extend_from_slice(&picture[2..]);
    file
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fast_client_may_send_many_large_pictures_in_one_form() {
    let mut setup = Setup::new();
    setup.options.max_embed_items = 64;
    setup.options.max_upload_bytes = 128 << 20;
    let server = setup.start().await;
    let form = (0..64).fold(Form::new(), |form, number| {
        form.part("file", file_part(&large_file(number, 600_000), "a.jpg"))
    });
    let answer = send(server.post("/embed/image").multipart(form)).await.json();
    let embeddings = answer["embeddings"].as_array().unwrap();
    assert_eq!(embeddings.len(), 64);
    assert!(embeddings.iter().all(Value::is_array), "{answer}");
    server.assert_spool_is_clean().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_form_whose_headers_never_end_is_refused_before_all_of_it_is_read() {
    let mut setup = Setup::new();
    setup.options.max_upload_bytes = 128 << 20;
    let server = setup.start().await;
    for start in ["--b\r\nx-long: ", "no boundary at all "] {
        let mut body = start.as_bytes().to_vec();
        body.resize(8 << 20, b'x');
        let request = server
            .post("/embed/image")
            .header("content-type", "multipart/form-data; boundary=b")
            .body(body);
        let problem = send(request).await.problem(400, "malformed_form");
        assert!(
            problem["detail"]
                .as_str()
                .unwrap()
                .contains("headers are too large"),
            "{problem}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn forms_of_odd_clients_are_read_or_refused_by_part() {
    let server = Server::start().await;
    let picture = jpeg(40, 40, RED);
    let raw = |disposition: &str| {
        let mut body = format!("--b\r\ncontent-disposition: form-data; {disposition}\r\n\r\n").into_bytes();
        body.extend_from_slice(&picture);
        body.extend_from_slice(b"\r\n--b--\r\n");
        server
            .post("/embed/image")
            .header("content-type", "multipart/form-data; boundary=\"b\"")
            .body(body)
    };
    for disposition in [
        "name=file; filename=a.jpg",
        "name=\"file\"; filename=\"\u{fc}\u{1f600}.jpg\"",
        "name=\"file\"; filename*=UTF-8''a%20b.jpg",
        "name=\"file\"",
    ] {
        let reply = send(raw(disposition)).await;
        assert_eq!(reply.status, 200, "{disposition}: {}", reply.text());
    }
    for (disposition, field) in [
        ("name=\"f\u{ef}le\"; filename=\"a.jpg\"", "f\u{ef}le"),
        ("name=\"\"; filename=\"a.jpg\"", ""),
        ("filename=\"a.jpg\"", ""),
        ("name=\"FILE\"; filename=\"a.jpg\"", "FILE"),
    ] {
        send(raw(disposition))
            .await
            .problem_of(422, "unknown_field", field);
    }
    // A preamble and an epilogue are allowed, and say nothing.
    let mut body = b"preamble\r\n--b\r\ncontent-disposition: form-data; name=\"file\"\r\n\r\n".to_vec();
    body.extend_from_slice(&picture);
    body.extend_from_slice(b"\r\n--b--\r\nepilogue");
    let request = server
        .post("/embed/image")
        .header("content-type", "Multipart/Form-Data; charset=utf-8; boundary=b")
        .body(body);
    assert_eq!(send(request).await.status, 200);
    server.assert_spool_is_clean().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn too_many_files_are_counted_against_the_setting() {
    let server = Server::start().await;
    let files = |count: usize| {
        (0..count).fold(Form::new(), |form, _| {
            form.part("file", file_part(&jpeg(40, 40, RED), "a.jpg"))
        })
    };
    let problem = send(server.post("/embed/image").multipart(files(5)))
        .await
        .problem_of(422, "invalid_field", "file");
    assert_eq!(
        problem["detail"],
        "the form has more than 4 files, the most allowed (server.max_embed_items)"
    );
    let texts = server
        .post_json("/embed/text", json!({"texts": ["a", "b", "c", "d", "e"]}))
        .await
        .problem_of(422, "invalid_field", "texts");
    assert_eq!(
        texts["detail"],
        "`texts` has 5 inputs; 1 to 4 are allowed (server.max_embed_items)"
    );
    let none = server
        .post_json("/embed/text", json!({"texts": []}))
        .await
        .problem_of(422, "invalid_field", "texts");
    assert_eq!(
        none["detail"],
        "`texts` has 0 inputs; 1 to 4 are allowed (server.max_embed_items)"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_compressed_body_is_refused_with_the_fix() {
    let server = Server::start().await;
    for (path, kind) in [
        ("/v1/search", "application/json"),
        ("/embed/text", "application/json"),
        ("/embed/image", "multipart/form-data; boundary=b"),
        ("/v1/photos", "multipart/form-data; boundary=b"),
    ] {
        let request = server
            .post(path)
            .header("content-type", kind)
            .header("content-encoding", "gzip")
            .body(vec![0x1F, 0x8B, 8, 0]);
        let problem = send(request).await.problem(415, "unsupported_media_type");
        let detail = problem["detail"].as_str().unwrap();
        assert!(
            detail.contains("`gzip`") && detail.contains("content-encoding"),
            "{detail}"
        );
    }
    let plain = server
        .post("/embed/text")
        .header("content-encoding", "identity")
        .json(&json!({"text": "red"}));
    assert_eq!(send(plain).await.status, 200);
}

/// Sends bytes as they are, and returns the answer's head and what has come of its body.
async fn answer_to(server: &Server, request: &[u8]) -> String {
    let mut socket = TcpStream::connect(&server.address).await.unwrap();
    socket.write_all(request).await.unwrap();
    let mut answer = Vec::new();
    let mut piece = [0; 4096];
    while !String::from_utf8_lossy(&answer).contains("\"request_id\"") {
        match socket.read(&mut piece).await.unwrap() {
            0 => break,
            length => answer.extend_from_slice(&piece[..length]),
        }
    }
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_announced_json_body_over_the_limit_is_refused_at_once() {
    let server = Server::start().await;
    let head = format!(
        "POST /v1/search HTTP/1.1\r\nhost: {}\r\ncontent-type: application/json\r\ncontent-length: 10000000000\r\n\r\n",
        server.address
    );
    // Nothing of the body is ever sent.
    let answer = answer_to(&server, head.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
    assert!(answer.contains("server.max_json_bytes"), "{answer}");

    let chunked = futures::stream::iter(
        (0..MAX_JSON_BYTES / 10_000 + 1).map(|_| Ok::<_, std::io::Error>(vec![b' '; 10_000])),
    );
    let request = server
        .post("/v1/search")
        .header("content-type", "application/json")
        .body(reqwest::Body::wrap_stream(chunked));
    let problem = send(request).await.problem(413, "payload_too_large");
    assert!(
        problem["detail"]
            .as_str()
            .unwrap()
            .contains("server.max_json_bytes"),
        "{problem}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_names_exactly_one_host() {
    let server = Server::start().await;
    for hosts in [
        "host: localhost\r\nhost: localhost\r\n",
        "host: localhost\r\nHost: evil.example\r\n",
        "",
        "host: local host\r\n",
        "host: user@localhost\r\n",
        "host: http://localhost/\r\n",
    ] {
        let request = format!("GET /v1/photos HTTP/1.1\r\n{hosts}\r\n");
        let answer = answer_to(&server, request.as_bytes()).await;
        assert!(answer.starts_with("HTTP/1.1 400"), "{hosts:?}: {answer}");
        assert!(answer.contains("bad_host"), "{hosts:?}: {answer}");
    }
    for request in [
        "GET /healthz HTTP/1.1\r\nhost: localhost:80\r\nconnection: close\r\n\r\n",
        "GET /healthz HTTP/1.1\r\nhost: [::1]\r\nconnection: close\r\n\r\n",
        "GET /healthz HTTP/1.0\r\n\r\n",
    ] {
        let answer = answer_to(&server, request.as_bytes()).await;
        assert!(answer.contains(" 200 OK"), "{request:?}: {answer}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn null_is_absent_in_every_optional_field() {
    let server = Server::start().await;
    for (path, body) in [
        ("/embed/text", json!({"text": "red", "texts": null})),
        ("/embed/text", json!({"text": null, "texts": ["red"]})),
        (
            "/v1/search",
            json!({"text": "red", "photo_id": null, "limit": null, "filter": null}),
        ),
        (
            "/v1/search",
            json!({"text": "red", "filter": {"tags": null, "taken_from": null, "taken_to": null}}),
        ),
        (
            "/v1/embeddings",
            json!({"input": "red", "model": null, "encoding_format": null, "dimensions": null, "user": null}),
        ),
    ] {
        let reply = server.post_json(path, body.clone()).await;
        assert_eq!(reply.status, 200, "{path} {body}: {}", reply.text());
    }
    server
        .post_json("/v1/embeddings", json!({"input": null}))
        .await
        .problem_of(422, "missing_field", "input");
    let picture = jpeg(40, 40, RED);
    for (path, metadata) in [
        ("/v1/photos", ("metadata", "null")),
        ("/v1/photos", ("metadata", r#"{"tags":null,"taken_at":null}"#)),
        ("/v1/search", ("filter", "null")),
        ("/v1/search", ("limit", "null")),
    ] {
        let form = file_form(&picture, "a.jpg").part(metadata.0, Part::text(metadata.1));
        let reply = send(server.post(path).multipart(form)).await;
        assert!(reply.status < 300, "{path} {metadata:?}: {}", reply.text());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_type_is_named_with_its_field_and_is_not_called_bad_json() {
    let server = Server::start().await;
    for (path, body, field) in [
        (
            "/v1/embeddings",
            json!({"input": "a", "encoding_format": 5}),
            "encoding_format",
        ),
        (
            "/v1/embeddings",
            json!({"input": "a", "encoding_format": {"a": 1}}),
            "encoding_format",
        ),
        (
            "/v1/embeddings",
            json!({"input": "a", "dimensions": "64"}),
            "dimensions",
        ),
        ("/v1/search", json!({"text": "a", "filter": []}), "filter"),
        (
            "/v1/search",
            json!({"text": "a", "filter": {"tags": "x"}}),
            "filter.tags",
        ),
        (
            "/v1/search",
            json!({"text": "a", "filter": {"tags": [1]}}),
            "filter.tags[0]",
        ),
        ("/v1/search", json!({"text": ["a"]}), "text"),
        ("/v1/search", json!({"text": "a", "limit": 1.5}), "limit"),
        ("/v1/search", json!({"text": "a", "limit": -1}), "limit"),
        ("/embed/text", json!({"text": 1}), "text"),
    ] {
        let problem = server
            .post_json(path, body)
            .await
            .problem_of(422, "invalid_field", field);
        assert!(
            problem["detail"]
                .as_str()
                .unwrap()
                .starts_with(&format!("`{field}`")),
            "{problem}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn json_of_odd_clients_is_read_or_refused_clearly() {
    let server = Server::start().await;
    let post = |body: Vec<u8>| {
        send(
            server
                .post("/embed/text")
                .header("content-type", "application/json")
                .body(body),
        )
    };
    let marked = [&b"\xEF\xBB\xBF"[..], br#"{"text":"red"}"#].concat();
    assert_eq!(post(marked).await.status, 200);
    let utf_16: Vec<u8> = r#"{"text":"red"}"#.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let problem = post(utf_16).await.problem(400, "malformed_json");
    assert!(problem["detail"].as_str().unwrap().contains("UTF-8"), "{problem}");
    let twice = br#"{"text":"red","text":"blue"}"#.to_vec();
    post(twice).await.problem_of(422, "invalid_field", "text");
    let deep = format!("{{\"text\":{}{}}}", "[".repeat(200_000), "]".repeat(200_000));
    post(deep.into_bytes())
        .await
        .problem_of(422, "invalid_field", "text");
    post(b"{\"text\":\"\xFF\"}".to_vec())
        .await
        .problem(400, "malformed_json");
    post(Vec::new()).await.problem(400, "malformed_json");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_path_is_one_path_however_it_is_written() {
    let server = Server::start().await;
    let id = server.add(&jpeg(40, 40, RED), json!({})).await;
    let encoded: String = id.bytes().map(|byte| format!("%{byte:02X}")).collect();
    let same = send(server.get(&format!("/v1/photos/{encoded}"))).await.json();
    assert_eq!(same["id"], id);
    for path in ["/v1/photos/", "/v1//photos", "/V1/photos", "/embed/text/"] {
        send(server.get(path)).await.problem(404, "not_found");
    }
    send(server.get("/v1/photos/%FF%FE"))
        .await
        .problem(404, "photo_not_found");
    send(server.get("/v1/photos/..%2F..%2Fetc"))
        .await
        .problem(404, "photo_not_found");
    let head = send(server.request(Method::HEAD, &format!("/v1/photos/{id}"))).await;
    assert_eq!((head.status, head.body.len()), (200, 0));
    let missing = send(server.request(Method::HEAD, "/v1/photos/nothing")).await;
    assert_eq!((missing.status, missing.body.len()), (404, 0));
    assert_eq!(
        send(server.request(Method::HEAD, "/embed/text")).await.status,
        405
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tag_has_one_spelling_in_uploads_filters_and_lists() {
    let server = Server::start().await;
    let id = server
        .add(
            &jpeg(40, 40, RED),
            json!({"tags": [" cafe\u{301} ", "caf\u{e9}", "sea"]}),
        )
        .await;
    assert_eq!(server.photo(&id).await["tags"], json!(["caf\u{e9}", "sea"]));
    let filter = json!({"text": "red", "filter": {"tags": ["cafe\u{301}"]}});
    let found = server.post_json("/v1/search", filter).await.json();
    assert_eq!(found["hits"][0]["photo"]["id"], id);
    let listed = send(server.get("/v1/photos?tag=cafe%CC%81%20")).await.json();
    assert_eq!(listed["photos"][0]["id"], id);

    let reversed = "gpj\u{202E}.cat";
    let metadata = json!({"tags": [reversed]}).to_string();
    let form = file_form(&jpeg(40, 40, [9, 9, 9]), "a.jpg").part("metadata", Part::text(metadata));
    let problem = send(server.post("/v1/photos").multipart(form)).await.problem_of(
        422,
        "invalid_field",
        "metadata.tags",
    );
    assert!(
        problem["detail"].as_str().unwrap().contains("U+202E"),
        "{problem}"
    );
    let filter = json!({"text": "red", "filter": {"tags": [reversed]}});
    server
        .post_json("/v1/search", filter)
        .await
        .problem_of(422, "invalid_field", "filter.tags");
    send(server.get("/v1/photos?tag=a%E2%80%AEb"))
        .await
        .problem_of(422, "invalid_field", "tag");
}
