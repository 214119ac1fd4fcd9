//! A plugin that blocks the threads that it is called on.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::http::Method;
use axum::routing::get;
use lucida_core::{Access, BodyKind, Endpoint, Hook, OnFailure, Plugin, PluginHost, Result, Upload};
use lucida_testkit::{eventually, jpeg};
use serde_json::json;

use crate::server::{Server, Setup, file_form, send};

/// More than the threads of the runtime, and than a plugin may hold.
const CALLS: usize = 24;

/// Blocks its thread in whatever it is asked, for as long as it is asleep.
#[derive(Clone)]
struct Sleeper {
    asleep: Arc<AtomicBool>,
}

impl Sleeper {
    fn asleep() -> Self {
        Self {
            asleep: Arc::new(AtomicBool::new(true)),
        }
    }

    fn wake(&self) {
        self.asleep.store(false, Ordering::SeqCst);
    }

    fn block(&self) {
        while self.asleep.load(Ordering::SeqCst) {
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

#[async_trait::async_trait]
impl Plugin for Sleeper {
    fn name(&self) -> &str {
        "sleeper"
    }

    fn hooks(&self) -> &[Hook] {
        &[Hook::Inspect]
    }

    fn timeout(&self) -> Duration {
        Duration::from_millis(200)
    }

    fn on_failure(&self, _: Hook) -> OnFailure {
        OnFailure::Record
    }

    async fn inspect(&self, _: &Upload) -> Result<()> {
        self.block();
        Ok(())
    }

    fn router(&self, _: PluginHost) -> Option<axum::Router> {
        let sleeper = self.clone();
        let handler = get(async move || {
            sleeper.block();
            "awake"
        });
        Some(axum::Router::new().route("/sleep", handler))
    }

    fn endpoints(&self, _: PluginHost) -> Vec<Endpoint> {
        let sleeper = self.clone();
        vec![Endpoint {
            method: Method::GET,
            path: "/sleep".to_owned(),
            access: Access::Open,
            body: BodyKind::None,
            handler: get(async move || {
                sleeper.block();
                "awake"
            }),
            operation: json!({ "summary": "Sleeps.", "responses": {} }),
        }]
    }
}

async fn server(sleeper: &Sleeper) -> Server {
    let mut setup = Setup::new().plugin(sleeper.clone());
    setup.options.request_timeout = Duration::from_secs(2);
    setup.options.wait_timeout = Duration::from_secs(1);
    setup.start().await
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_that_block_are_answered_at_their_deadline_and_hold_up_no_others() {
    for path in ["/sleep", "/v1/plugins/sleeper/sleep"] {
        let sleeper = Sleeper::asleep();
        let server = server(&sleeper).await;
        let calls: Vec<_> = (0..CALLS).map(|_| tokio::spawn(send(server.get(path)))).collect();
        for _ in 0..5 {
            assert_eq!(send(server.get("/healthz")).await.status, 200);
            let reply = server.post_json("/embed/text", json!({"text": "red"})).await;
            assert_eq!(reply.status, 200, "{}", reply.text());
        }
        for call in calls {
            let reply = call.await.unwrap();
            assert_eq!(reply.status, 503, "{}", reply.text());
        }
        send(server.get(path)).await.problem(503, "plugin_stuck");
        sleeper.wake();
        eventually("the plugin is called again", async || {
            send(server.get(path)).await.status == 200
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hook_that_blocks_costs_its_own_result_only() {
    let sleeper = Sleeper::asleep();
    let server = server(&sleeper).await;
    for number in 0..CALLS {
        let photo = jpeg(64, 64, [220, 30, u8::try_from(number * 10).unwrap()]);
        let upload = server.post("/v1/photos").multipart(file_form(&photo, "a.jpg"));
        let reply = send(upload).await;
        assert_eq!(reply.status, 202, "{}", reply.text());
    }
    eventually("all photos are found", async || {
        send(server.get("/v1/stats")).await.json()["photos"]["ready"] == CALLS
    })
    .await;
    sleeper.wake();
}
