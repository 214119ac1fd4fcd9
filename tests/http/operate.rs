//! Somebody looks after the server: health, metrics, ids of requests, the docs and the gallery.

use lucida_core::{Scope, metrics};
use lucida_testkit::{eventually, jpeg};
use reqwest::Method;
use serde_json::{Value, json};

use crate::server::{Server, Setup, file_form, send};

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_well_says_so_part_by_part() {
    let server = Server::start().await;
    assert_eq!(send(server.get("/healthz")).await.json()["status"], "ok");
    let ready = send(server.get("/readyz")).await.json();
    assert_eq!(ready["status"], "ready");
    let parts: Vec<_> = ready["parts"]
        .as_array()
        .unwrap()
        .iter()
        .map(|part| part["part"].as_str().unwrap())
        .collect();
    assert_eq!(parts, ["storage", "metadata", "index", "queue", "embedder"]);
    assert!(
        ready["parts"]
            .as_array()
            .unwrap()
            .iter()
            .all(|part| part["status"] == "ok"),
        "{ready}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_part_that_is_not_well_is_named_until_it_recovers() {
    let server = Server::start().await;
    server.disk.set_full(true);
    let problem = send(server.get("/readyz")).await.problem(503, "not_ready");
    assert!(
        problem["detail"].as_str().unwrap().contains("storage"),
        "{problem}"
    );
    let part = |name: &str| {
        let parts = problem["parts"].as_array().unwrap();
        parts.iter().find(|part| part["part"] == name).unwrap().clone()
    };
    assert_eq!(part("storage")["status"], "failed");
    assert!(
        part("storage")["error"]
            .as_str()
            .unwrap()
            .contains("the disk is full")
    );
    assert_eq!(part("metadata")["status"], "ok");
    assert_eq!(
        send(server.get("/healthz")).await.status,
        200,
        "it is alive all the same"
    );
    server.disk.set_full(false);
    assert_eq!(send(server.get("/readyz")).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn absolute_paths_are_shown_to_callers_with_a_key_only() {
    let server = Setup::new()
        .key("some-key", "alice", &[Scope::Embed])
        .start()
        .await;
    server.disk.set_full(true);
    let storage = async |request: reqwest::RequestBuilder| {
        let problem = send(request).await.problem(503, "not_ready");
        problem["parts"][0]["error"].as_str().unwrap().to_owned()
    };
    let stranger = storage(server.get("/readyz")).await;
    assert!(stranger.contains("the disk is full: …/lucida"), "{stranger}");
    assert!(!stranger.contains("/srv"), "{stranger}");
    let wrong = storage(server.get("/readyz").header("x-api-key", "wrong")).await;
    assert_eq!(wrong, stranger);
    let known = storage(server.get("/readyz").header("x-api-key", "some-key")).await;
    assert!(known.contains("/srv/my photos/lucida"), "{known}");
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_parts_that_are_asked_for_decide_whether_it_is_ready() {
    let server = Server::start().await;
    server.disk.set_full(true);
    let ready = send(server.get("/readyz?parts=metadata,index,embedder"))
        .await
        .json();
    assert_eq!(ready["status"], "ready");
    assert_eq!(ready["parts"].as_array().unwrap().len(), 5, "{ready}");
    assert_eq!(
        (&ready["parts"][0]["part"], &ready["parts"][0]["status"]),
        (&json!("storage"), &json!("failed"))
    );
    let problem = send(server.get("/readyz?parts=index,%20storage"))
        .await
        .problem(503, "not_ready");
    assert_eq!(problem["detail"], "not ready: storage; `parts` says why");

    let problem =
        send(server.get("/readyz?parts=index,ledger"))
            .await
            .problem_of(422, "invalid_field", "parts");
    assert_eq!(
        problem["detail"],
        "there is no part `ledger`: `parts` takes storage, metadata, index, queue, embedder"
    );
    for query in ["parts=", "parts=server", "parts=index&parts=queue"] {
        send(server.get(&format!("/readyz?{query}")))
            .await
            .problem_of(422, "invalid_field", "parts");
    }
    send(server.get("/readyz?part=index"))
        .await
        .problem_of(422, "unknown_field", "part");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_that_fails_to_load_is_named_and_comes_back_by_itself() {
    let server = Setup::new().with_model(|model| model.fail_loads(2)).start().await;
    let refused = server.post_json("/v1/search", json!({"text": "red"})).await;
    assert_eq!(refused.problem(503, "unavailable")["status"], 503);
    let problem = send(server.get("/readyz")).await.problem(503, "not_ready");
    assert!(
        problem["detail"].as_str().unwrap().contains("embedder"),
        "{problem}"
    );
    eventually("the model is there", async || {
        server
            .post_json("/v1/search", json!({"text": "red"}))
            .await
            .status
            == 200
            && send(server.get("/readyz")).await.status == 200
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_are_counted_by_route_and_never_by_id() {
    let server = Server::start().await;
    let id = server.add(&jpeg(64, 64, [220, 30, 30]), json!({})).await;
    send(server.get(&format!("/v1/photos/{id}"))).await.json();
    server
        .post_json("/v1/search", json!({"text": "red"}))
        .await
        .json();
    send(server.get("/nowhere/at/all"))
        .await
        .problem(404, "not_found");
    send(server.request(Method::from_bytes(b"BREW").unwrap(), "/v1/photos"))
        .await
        .problem(405, "method_not_allowed");
    let reply = send(server.get("/metrics")).await;
    assert!(
        reply.header("content-type").starts_with("text/plain"),
        "{}",
        reply.header("content-type")
    );
    let text = reply.text();
    for line in [
        r#"lucida_http_requests_total{route="/v1/photos",method="POST",status="201"}"#,
        r#"lucida_http_requests_total{route="/v1/photos/{id}",method="GET",status="200"}"#,
        r#"lucida_http_requests_total{route="/v1/search",method="POST",status="200"}"#,
        r#"lucida_http_requests_total{route="unmatched",method="GET",status="404"}"#,
        r#"lucida_http_requests_total{route="/v1/photos",method="OTHER",status="405"}"#,
        r#"lucida_http_request_duration_seconds_count{route="/v1/search",method="POST"}"#,
        "lucida_http_requests_in_flight ",
    ] {
        assert!(text.contains(line), "{line} is not in\n{text}");
    }
    for secret in [id.as_str(), "nowhere", "BREW"] {
        assert!(!text.contains(secret), "{secret} is in\n{text}");
    }
    for line in text
        .lines()
        .filter(|line| !line.starts_with('#') && !line.is_empty())
    {
        let name = line.split(['{', ' ']).next().unwrap();
        let name = ["_bucket", "_sum", "_count"]
            .iter()
            .find_map(|ending| name.strip_suffix(ending))
            .unwrap_or(name);
        let known = metrics::ALL.iter().any(|metric| metric.name == name);
        assert!(known, "{name} is not listed in core/src/metrics.rs");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_answer_carries_the_requests_id() {
    let server = Server::start().await;
    let given = send(server.get("/v1/photos").header("x-request-id", "my-id.42")).await;
    assert_eq!(given.header("x-request-id"), "my-id.42");
    let problem = send(server.get("/nowhere").header("x-request-id", "my-id.42"))
        .await
        .problem(404, "not_found");
    assert_eq!(problem["request_id"], "my-id.42");
    let forged = send(server.get("/v1/photos").header("x-request-id", "a b<script>")).await;
    assert_eq!(forged.header("x-request-id").len(), 32, "a new one");
    let made = send(server.get("/")).await;
    assert_ne!(made.header("x-request-id"), forged.header("x-request-id"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_there_is_a_problem_too() {
    let server = Server::start().await;
    send(server.get("/v2/photos")).await.problem(404, "not_found");
    send(server.get("/gallery/secret.txt"))
        .await
        .problem(404, "not_found");
    send(server.get("/gallery/..%2Fmod.rs"))
        .await
        .problem(404, "not_found");
    let wrong = send(server.delete("/v1/search")).await;
    wrong.problem(405, "method_not_allowed");
    assert_eq!(wrong.header("allow"), "POST");
}

#[tokio::test(flavor = "multi_thread")]
async fn stats_and_models_say_what_there_is() {
    let server = Server::start().await;
    server.add(&jpeg(64, 64, [220, 30, 30]), json!({})).await;
    let stats = send(server.get("/v1/stats")).await.json();
    assert_eq!(
        stats["photos"],
        json!({"pending": 0, "ready": 1, "failed": 0, "deleting": 0})
    );
    assert_eq!(stats["model"], "hash");
    assert_eq!(stats["scopes"], json!(["embed", "read", "write"]));
    let models = send(server.get("/v1/models")).await.json();
    let model = &models["data"][0];
    assert_eq!(
        (&models["object"], &model["id"], &model["dimensions"]),
        (&json!("list"), &json!("hash"), &json!(64))
    );
    assert_eq!(model["modalities"], json!(["image", "text"]));
    // What OpenAI's clients expect of a model besides.
    assert_eq!(
        (&model["object"], &model["created"], &model["owned_by"]),
        (&json!("model"), &json!(0), &json!("lucida"))
    );
    assert_eq!(model["vectors"], 1);
    assert_eq!(model["fingerprint"].as_str().unwrap().len(), 32);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_document_lists_every_call_and_each_of_them_is_there() {
    let server = Server::start().await;
    let document = send(server.get("/openapi.json")).await.json();
    let mut listed = Vec::new();
    for (path, calls) in document["paths"].as_object().unwrap() {
        for (method, call) in calls.as_object().unwrap() {
            listed.push(format!("{method} {path}"));
            let method: Method = method.to_uppercase().parse().unwrap();
            let reply = send(server.request(method, &path.replace("{id}", "1"))).await;
            assert!(
                reply.status != 405 && !reply.text().contains("\"code\":\"not_found\""),
                "{path}: {}",
                reply.text()
            );
            assert!(call["summary"].is_string(), "{path} has no summary");
        }
    }
    listed.sort();
    assert_eq!(
        listed,
        [
            "delete /v1/photos/{id}",
            "get /healthz",
            "get /metrics",
            "get /readyz",
            "get /v1/models",
            "get /v1/models/{id}",
            "get /v1/photos",
            "get /v1/photos/{id}",
            "get /v1/photos/{id}/content",
            "get /v1/photos/{id}/thumbnail",
            "get /v1/stats",
            "get /v1/tags",
            "patch /v1/photos/{id}",
            "post /embed/image",
            "post /embed/text",
            "post /tokenize",
            "post /v1/embeddings",
            "post /v1/photos",
            "post /v1/photos/{id}/retry",
            "post /v1/search",
        ]
    );
    assert_references_resolve(&document, &document);
    assert!(document["components"]["securitySchemes"]["key"].is_object());
    assert!(document["components"]["schemas"]["PhotoBody"]["example"]["id"].is_string());
    assert!(
        document["info"]["description"]
            .as_str()
            .unwrap()
            .contains("| `truncated_image` |")
    );
}

/// Checks that everything that a document refers to is in it.
fn assert_references_resolve(document: &Value, part: &Value) {
    match part {
        Value::Object(members) => {
            if let Some(reference) = members.get("$ref").and_then(Value::as_str) {
                let pointer = reference.trim_start_matches('#');
                assert!(
                    document.pointer(pointer).is_some(),
                    "{reference} is not in the document"
                );
            }
            members
                .values()
                .for_each(|member| assert_references_resolve(document, member));
        }
        Value::Array(items) => items
            .iter()
            .for_each(|item| assert_references_resolve(document, item)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_docs_page_comes_whole_from_this_server() {
    let server = Server::start().await;
    let moved = send(server.get("/docs")).await;
    assert_eq!((moved.status, moved.header("location")), (308, "docs/"));
    let page = send(server.get("/docs/")).await;
    assert_eq!(page.status, 200);
    assert!(page.header("content-type").starts_with("text/html"));
    assert!(
        page.header("content-security-policy")
            .contains("default-src 'self'")
    );
    let text = page.text();
    let mut loaded = 0;
    for piece in text
        .split(['"', '\''])
        .filter(|piece| piece.ends_with(".js") || piece.ends_with(".css"))
    {
        assert!(!piece.contains("//"), "{piece} comes from elsewhere");
        let file = send(server.get(&format!("/docs/{}", piece.trim_start_matches("./")))).await;
        assert_eq!(file.status, 200, "{piece}");
        loaded += 1;
    }
    assert!(loaded >= 3, "{text}");
    let start = send(server.get("/docs/swagger-initializer.js")).await.text();
    assert!(start.contains("../openapi.json"), "{start}");
    send(server.get("/docs/nothing.js"))
        .await
        .problem(404, "not_found");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_gallery_is_served_with_a_strict_policy_and_revalidated() {
    let server = Server::start().await;
    let page = send(server.get("/")).await;
    assert_eq!(page.header("content-type"), "text/html; charset=utf-8");
    let policy = page.header("content-security-policy");
    for part in [
        "default-src 'self'",
        "img-src 'self' blob: data:",
        "object-src 'none'",
        "frame-ancestors 'none'",
    ] {
        assert!(policy.contains(part), "{policy}");
    }
    for (path, kind) in [
        ("gallery/app.js", "text/javascript"),
        ("gallery/style.css", "text/css"),
    ] {
        assert!(page.text().contains(path), "the page loads {path}");
        let file = send(server.get(&format!("/{path}"))).await;
        assert!(file.header("content-type").starts_with(kind));
        let again = send(
            server
                .get(&format!("/{path}"))
                .header("if-none-match", file.header("etag")),
        )
        .await;
        assert_eq!((again.status, again.body.len()), (304, 0));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn text_is_compressed_for_who_asks_and_photos_are_not() {
    let server = Server::start().await;
    let photo = jpeg(200, 200, [220, 30, 30]);
    let id = send(
        server
            .post("/v1/photos?wait=true")
            .multipart(file_form(&photo, "a.jpg")),
    )
    .await
    .json()["id"]
        .clone();
    let zipped = |path: &str| server.get(path).header("accept-encoding", "gzip");
    let page = send(zipped("/")).await;
    assert_eq!(page.header("content-encoding"), "gzip");
    assert!(page.body.len() < send(server.get("/")).await.body.len());
    assert_eq!(
        send(zipped("/v1/photos")).await.header("content-encoding"),
        "gzip"
    );
    let content = send(zipped(&format!("/v1/photos/{}/content", id.as_str().unwrap()))).await;
    assert_eq!((content.header("content-encoding"), &content.body), ("", &photo));
}
