//! A web page of another origin calls the API from a browser.

use lucida_core::Scope;
use reqwest::{Method, RequestBuilder};
use serde_json::json;

use crate::server::{Server, Setup, send};

const PAGE: &str = "https://app.example";

async fn server(origins: &[&str]) -> Server {
    let mut setup = Setup::new().key("a-key", "alice", &[Scope::Embed]);
    setup.options.cors_origins = origins.iter().map(|&origin| origin.to_owned()).collect();
    setup.start().await
}

fn preflight(server: &Server, origin: &str) -> RequestBuilder {
    server
        .request(Method::OPTIONS, "/embed/text")
        .header("origin", origin)
        .header("access-control-request-method", "POST")
        .header("access-control-request-headers", "x-api-key,content-type")
}

fn call(server: &Server, origin: &str) -> RequestBuilder {
    server
        .post("/embed/text")
        .header("origin", origin)
        .header("x-api-key", "a-key")
        .json(&json!({"text": "red"}))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_of_a_listed_origin_may_ask_first_without_a_key_and_then_call() {
    let server = server(&[PAGE]).await;
    let asked = send(preflight(&server, PAGE)).await;
    assert_eq!(asked.status, 200);
    assert_eq!(asked.header("access-control-allow-origin"), PAGE);
    assert!(asked.header("access-control-allow-methods").contains("POST"));
    assert!(asked.header("access-control-allow-headers").contains("x-api-key"));
    let answer = send(call(&server, PAGE)).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("access-control-allow-origin"), PAGE);
    let refused = send(server.get("/v1/photos").header("origin", PAGE)).await;
    refused.problem(401, "unauthorized");
    assert_eq!(refused.header("access-control-allow-origin"), PAGE);
    assert!(
        refused
            .header("access-control-expose-headers")
            .contains("x-request-id")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_of_another_origin_is_not_allowed_to_read_answers() {
    let listed = server(&[PAGE]).await;
    let none = server(&[]).await;
    for server in [&listed, &none] {
        for reply in [
            send(preflight(server, "https://evil.example")).await,
            send(call(server, "https://evil.example")).await,
        ] {
            assert_eq!(reply.header("access-control-allow-origin"), "");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_star_allows_every_page_and_credentials_for_none() {
    let server = server(&["*"]).await;
    for reply in [
        send(preflight(&server, "https://any.example")).await,
        send(call(&server, "https://any.example")).await,
    ] {
        assert_eq!(reply.header("access-control-allow-origin"), "*");
        assert_eq!(reply.header("access-control-allow-credentials"), "");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_without_keys_accepts_only_pages_that_are_listed_by_name() {
    let start = async |origin: &str| {
        let mut setup = Setup::new();
        setup.options.cors_origins = vec![origin.to_owned()];
        setup.start().await
    };
    let listed = start(PAGE).await;
    assert_eq!(
        send(listed.get("/v1/photos").header("origin", PAGE)).await.status,
        200
    );
    let star = start("*").await;
    send(star.get("/v1/photos").header("origin", PAGE))
        .await
        .problem(403, "cross_origin");
}
