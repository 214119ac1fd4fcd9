//! Plugins bring routes of their own, and may refuse an upload; neither a refusal nor a panic is the server's end.

use std::sync::Arc;

use axum::extract::Extension;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use lucida_core::Scope;
use lucida_core::{Caller, Error, Hook, Plugin, PluginHost, Result, Upload};
use lucida_testkit::jpeg;

use crate::server::{Server, Setup, file_form, send};

struct Guestbook;

#[async_trait::async_trait]
impl Plugin for Guestbook {
    fn name(&self) -> &str {
        "guestbook"
    }

    fn hooks(&self) -> &[Hook] {
        &[Hook::Inspect]
    }

    async fn inspect(&self, upload: &Upload) -> Result<()> {
        if upload.width > upload.height {
            return Err(Error::invalid("only upright photos are taken: turn it").with_code("not_upright"));
        }
        Ok(())
    }

    fn router(&self, host: PluginHost) -> Option<axum::Router> {
        let count = get(move |Extension(caller): Extension<Caller>| async move {
            let counts = host.metadata.count_by_state(Some(&caller.user_id)).await.unwrap();
            format!("{} has {}", caller.user_id, counts.ready)
        });
        Some(
            axum::Router::new()
                .route("/count/{of}", count)
                .route("/sign", post(async || StatusCode::NO_CONTENT))
                .route("/fail", get(fail))
                .route(
                    "/teapot",
                    get(async || (StatusCode::IM_A_TEAPOT, "short and stout")),
                )
                .route("/panic", get(panics)),
        )
    }
}

/// Answers with an error of core's, the way that a plugin does without knowing how it will look.
async fn fail() -> Response {
    let mut response = StatusCode::INTERNAL_SERVER_ERROR.into_response();
    let error = Error::conflict("the page is being written on: wait")
        .with_code("page_taken")
        .with_field("page");
    response.extensions_mut().insert(Arc::new(error));
    response
}

async fn panics() -> StatusCode {
    panic!("the ink bottle with the secret recipe fell over")
}

async fn server() -> Server {
    Setup::new()
        .plugin(Guestbook)
        .key("reader", "alice", &[Scope::Read])
        .key("writer", "alice", &[Scope::Write])
        .start()
        .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plugins_routes_are_behind_the_keys_and_know_the_caller() {
    let server = server().await;
    let call = |request: reqwest::RequestBuilder, key: &'static str| send(request.header("x-api-key", key));
    let count = "/v1/plugins/guestbook/count/photos";
    assert_eq!(call(server.get(count), "reader").await.text(), "alice has 0");
    call(server.get(count), "writer")
        .await
        .problem(403, "missing_scope");
    call(server.post("/v1/plugins/guestbook/sign"), "reader")
        .await
        .problem(403, "missing_scope");
    assert_eq!(
        call(server.post("/v1/plugins/guestbook/sign"), "writer")
            .await
            .status,
        204
    );
    send(server.get(count)).await.problem(401, "unauthorized");
    call(server.get("/v1/plugins/guestbook/nothing"), "reader")
        .await
        .problem(404, "not_found");
    call(server.get("/v1/plugins/other"), "reader")
        .await
        .problem(404, "not_found");
    let metrics = call(server.get("/metrics"), "reader").await.text();
    assert!(
        metrics.contains(r#"route="/v1/plugins/guestbook/count/{of}""#),
        "{metrics}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plugins_failures_are_problems_like_any_other() {
    let server = server().await;
    let call = |path: &str| {
        send(
            server
                .get(&format!("/v1/plugins/guestbook/{path}"))
                .header("x-api-key", "reader"),
        )
    };
    call("fail").await.problem_of(409, "page_taken", "page");
    let teapot = call("teapot").await.problem(418, "invalid_input");
    assert_eq!(teapot["detail"], "short and stout");
    let problem = call("panic").await.problem(500, "internal");
    assert!(!problem.to_string().contains("secret recipe"), "{problem}");
    assert_eq!(send(server.get("/healthz")).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plugin_may_refuse_an_upload_in_its_own_words() {
    let server = server().await;
    let upload = |width, height| {
        let form = file_form(&jpeg(width, height, [9, 9, 9]), "a.jpg");
        send(
            server
                .post("/v1/photos")
                .header("x-api-key", "writer")
                .multipart(form),
        )
    };
    let problem = upload(64, 32).await.problem(422, "not_upright");
    assert!(
        problem["detail"].as_str().unwrap().contains("turn it"),
        "{problem}"
    );
    server.assert_spool_is_clean().await;
    assert_eq!(upload(32, 64).await.status, 202);
}
