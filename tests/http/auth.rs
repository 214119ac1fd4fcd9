//! Keys: who may call what, and what a stranger learns.

use lucida_core::Scope;
use lucida_testkit::jpeg;
use reqwest::Method;
use serde_json::json;

use crate::server::{Server, Setup, file_form, send};

const ID: &str = "01890a5d-ac96-774b-bcce-b302099a8057";

/// Every call that needs a key, with the scope that it needs.
fn calls() -> Vec<(Method, String, Option<Scope>)> {
    vec![
        (Method::POST, "/embed/image".to_owned(), Some(Scope::Embed)),
        (Method::POST, "/embed/text".to_owned(), Some(Scope::Embed)),
        (Method::POST, "/v1/embeddings".to_owned(), Some(Scope::Embed)),
        (Method::POST, "/v1/search".to_owned(), Some(Scope::Read)),
        (Method::GET, "/v1/photos".to_owned(), Some(Scope::Read)),
        (
            Method::HEAD,
            format!("/v1/photos/{ID}/content"),
            Some(Scope::Read),
        ),
        (Method::GET, format!("/v1/photos/{ID}"), Some(Scope::Read)),
        (Method::GET, format!("/v1/photos/{ID}/content"), Some(Scope::Read)),
        (
            Method::GET,
            format!("/v1/photos/{ID}/thumbnail"),
            Some(Scope::Read),
        ),
        (Method::GET, "/v1/stats".to_owned(), Some(Scope::Read)),
        (Method::GET, "/v1/tags".to_owned(), Some(Scope::Read)),
        (Method::GET, "/metrics".to_owned(), Some(Scope::Read)),
        (Method::POST, "/v1/photos".to_owned(), Some(Scope::Write)),
        (Method::DELETE, format!("/v1/photos/{ID}"), Some(Scope::Write)),
        (Method::POST, format!("/v1/photos/{ID}/retry"), Some(Scope::Write)),
        (Method::GET, "/v1/models".to_owned(), None),
    ]
}

async fn keyed() -> Server {
    Setup::new()
        .key("embed-key", "erin", &[Scope::Embed])
        .key("read-key", "zoe", &[Scope::Read])
        .key("write-key", "will", &[Scope::Write])
        .start()
        .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_only_reads_is_told_so_and_the_gallery_offers_no_uploads() {
    let server = keyed().await;
    let request = server.get("/v1/stats").header("x-api-key", "read-key");
    assert_eq!(send(request).await.json()["scopes"], json!(["read"]));
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_key_or_with_a_wrong_one_every_call_is_refused_alike() {
    let server = keyed().await;
    for (method, path, _) in calls() {
        let request = || server.request(method.clone(), &path);
        let missing = send(request()).await;
        let mut wrong = Vec::new();
        for header in ["read-keY", "", "ключ", "read-key embed-key"] {
            wrong.push(send(request().header("x-api-key", header)).await);
            wrong.push(send(request().header("authorization", format!("Bearer {header}"))).await);
        }
        for reply in wrong.iter().chain([&missing]) {
            assert_eq!(reply.status, 401, "{method} {path}");
            assert!(reply.header("www-authenticate").starts_with("Bearer"), "{path}");
            if method == Method::HEAD {
                continue;
            }
            let problem = reply.problem(401, "unauthorized");
            let text = problem.to_string();
            for secret in ["zoe", "read-key", "key of"] {
                assert!(!text.contains(secret), "{text}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_may_do_what_its_scopes_say_and_nothing_else() {
    let server = keyed().await;
    let keys = [
        ("embed-key", Scope::Embed),
        ("read-key", Scope::Read),
        ("write-key", Scope::Write),
    ];
    for (method, path, needed) in calls() {
        for (key, scope) in keys {
            let reply = send(
                server
                    .request(method.clone(), &path)
                    .header("authorization", format!("Bearer {key}")),
            )
            .await;
            let allowed = needed.is_none_or(|needed| needed == scope);
            if allowed {
                assert!(
                    ![401, 403].contains(&reply.status),
                    "{method} {path} {key}: {}",
                    reply.status
                );
            } else if method == Method::HEAD {
                assert_eq!(reply.status, 403, "{path} {key}");
            } else {
                let problem = reply.problem(403, "missing_scope");
                let named = needed.unwrap().as_str();
                assert!(problem["detail"].as_str().unwrap().contains(named), "{problem}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn health_docs_and_the_gallery_need_no_key() {
    let server = keyed().await;
    for path in [
        "/healthz",
        "/readyz",
        "/openapi.json",
        "/docs/",
        "/",
        "/gallery/app.js",
    ] {
        let reply = send(server.get(path)).await;
        assert_eq!(reply.status, 200, "{path}: {}", reply.text());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_upload_is_not_even_read() {
    let server = keyed().await;
    let form = file_form(&jpeg(64, 64, [1, 2, 3]), "a.jpg");
    send(
        server
            .post("/v1/photos")
            .header("x-api-key", "read-key")
            .multipart(form),
    )
    .await
    .problem(403, "missing_scope");
    assert_eq!(server.spooled(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_keys_a_foreign_page_in_the_users_browser_is_refused() {
    let server = Server::start().await;
    let search = || server.post("/v1/search").json(&json!({"text": "red"}));
    assert_eq!(send(search()).await.status, 200);
    assert_eq!(
        send(search().header("origin", format!("http://{}", server.address)))
            .await
            .status,
        200
    );
    send(search().header("origin", "http://evil.example"))
        .await
        .problem(403, "cross_origin");
    send(search().header("origin", "null"))
        .await
        .problem(403, "cross_origin");
    send(search().header("host", "evil.example"))
        .await
        .problem(403, "cross_origin");
}

#[tokio::test(flavor = "multi_thread")]
async fn with_keys_the_key_decides_and_not_the_name_of_the_host() {
    let server = keyed().await;
    let request = server
        .get("/v1/photos")
        .header("host", "photos.example")
        .header("origin", "https://photos.example");
    assert_eq!(send(request.header("x-api-key", "read-key")).await.status, 200);
}
