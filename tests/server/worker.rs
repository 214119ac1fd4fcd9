//! A server that only takes in and a worker that only embeds, each a process, on stores that they share.
//!
//! Their index is in each one's own memory and only says that it is shared, and their model stops while a file is
//! there. So both are this very program, which runs a command line of Lucida's as its child.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::Duration;

use crate::process::{Server, free_address, run};
use lucida::Registry;
use lucida_core::config::{NoSettings, factory_fn};
use lucida_core::{Hook, OnFailure, Plugin, Result, Upload};
use lucida_memory::MemoryIndex;
use lucida_testkit::{HashModel, eventually, jpeg};
use serde_json::Value;

/// The arguments of the child, with blanks between them.
const ARGUMENTS: &str = "LUCIDA_TEST_ARGUMENTS";

/// While it is in the child's folder, the model computes nothing.
const HOLD: &str = "hold";

const CONFIG: &str = r#"
plugins = []
[index]
type = "shared"
[embedder]
type = "held"
"#;

/// Never comes back from an upload.
struct Stuck;

#[async_trait::async_trait]
impl Plugin for Stuck {
    fn name(&self) -> &str {
        "stuck"
    }

    fn hooks(&self) -> &[Hook] {
        &[Hook::Inspect]
    }

    fn timeout(&self) -> Duration {
        Duration::from_millis(100)
    }

    fn on_failure(&self, _: Hook) -> OnFailure {
        OnFailure::Record
    }

    async fn inspect(&self, _: &Upload) -> Result<()> {
        loop {
            std::thread::park();
        }
    }
}

fn registry() -> Registry {
    let index = factory_fn("shared", |_: NoSettings, _| async { Ok(MemoryIndex::new()) });
    let model = factory_fn("held", |_: NoSettings, _| async {
        let model = HashModel::new();
        let controls = model.controls();
        std::thread::spawn(move || {
            loop {
                if Path::new(HOLD).exists() {
                    controls.hold();
                } else {
                    controls.release();
                }
                std::thread::sleep(Duration::from_millis(10));
            }
        });
        Ok(model.start())
    });
    let stuck = factory_fn("stuck", |_: NoSettings, _| async { Ok(Stuck) });
    Registry::default()
        .with_index(index)
        .with_embedder(model)
        .with_plugin(stuck)
}

/// Not a test of its own: the processes that the tests start.
#[test]
#[ignore = "the child of another test"]
fn a_command_line_in_a_child() -> ExitCode {
    let Ok(arguments) = std::env::var(ARGUMENTS) else {
        return ExitCode::SUCCESS;
    };
    let arguments = arguments.split(' ').map(OsString::from);
    lucida::run_with(
        &registry(),
        std::iter::once(OsString::from("lucida")).chain(arguments),
    )
}

async fn start(dir: &Path, arguments: &str) -> Server {
    let listen = free_address();
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .current_dir(dir)
        .args(["--ignored", "--exact", "worker::a_command_line_in_a_child"])
        .env("LUCIDA_CONFIG", "lucida.toml")
        .env(ARGUMENTS, format!("{arguments} --listen {listen}"));
    Server::spawn(command, dir, &listen).await
}

fn folder() -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("lucida.toml"), CONFIG).unwrap();
    let hold = dir.path().join(HOLD);
    (dir, hold)
}

async fn upload(server: &Server, colour: [u8; 3]) -> String {
    let photo = jpeg(120, 80, colour).to_vec();
    let answer = server.upload(photo, "photo.jpg", false).await.unwrap();
    assert_eq!(answer.status(), 202, "{}", answer.text().await.unwrap());
    let photo: Value = answer.json().await.unwrap();
    photo["id"].as_str().unwrap().to_owned()
}

async fn is_ready(server: &Server, id: &str) -> bool {
    server.json(&format!("/v1/photos/{id}")).await["state"] == "ready"
}

async fn metrics(process: &Server) -> String {
    process.get("/metrics").await.unwrap().text().await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_embeds_what_a_server_takes_in_tells_how_it_is_and_finishes_what_it_began() {
    let (dir, hold) = folder();
    let server = start(dir.path(), "serve --workers 0").await;
    let worker = start(dir.path(), "worker --workers 1").await;
    let first = upload(&server, [220, 30, 30]).await;
    eventually("the worker has embedded it", async || {
        is_ready(&server, &first).await
    })
    .await;

    assert_eq!(worker.json("/healthz").await["status"], "ok");
    assert_eq!(worker.json("/readyz").await["status"], "ready");
    let settings = [("worker.listen", worker.url.trim_start_matches("http://"))];
    let health = |arguments: &[&str]| {
        let output = run(
            dir.path(),
            &settings,
            &[&["health", "--worker"], arguments].concat(),
        );
        output.status.success()
    };
    assert!(health(&[]) && health(&["--ready"]));
    let told = metrics(&worker).await;
    for line in [
        "lucida_ingest_photos_total{outcome=\"ready\"} 1",
        "lucida_breaker_open{part=\"queue\"} 0",
        "lucida_build_info{version=",
    ] {
        assert!(told.contains(line), "no line `{line}` in\n{told}");
    }
    assert!(
        metrics(&server)
            .await
            .contains("lucida_ingest_photos_total{outcome=\"ready\"} 0")
    );
    for path in ["/v1/photos", "/", "/openapi.json"] {
        assert_eq!(worker.get(path).await.unwrap().status(), 404, "{path}");
    }

    std::fs::write(&hold, "").unwrap();
    let second = upload(&server, [30, 50, 220]).await;
    eventually("the worker works on it", async || {
        let line = "lucida_queue_jobs{state=\"in_flight\"} 1";
        metrics(&worker).await.lines().any(|found| found == line)
    })
    .await;
    worker.terminate();
    eventually("the worker says that it is stopping", async || {
        let answer = worker.get("/readyz?parts=queue").await.unwrap();
        let status = answer.status().as_u16();
        let body: Value = answer.json().await.unwrap();
        status == 503 && body["detail"].as_str().unwrap().starts_with("not ready: server;")
    })
    .await;
    assert!(health(&[]) && !health(&["--ready"]));
    assert!(!is_ready(&server, &second).await);
    std::fs::remove_file(&hold).unwrap();
    assert!(worker.ended(), "the worker did not stop cleanly");
    assert!(is_ready(&server, &second).await);
    assert!(server.stop());
}

#[tokio::test(flavor = "multi_thread")]
async fn metrics_of_a_worker_need_no_key() {
    let (dir, _) = folder();
    let keys = "\n[[auth.keys]]\nname = \"a\"\nkey = \"a-long-random-word\"\nuser = \"alice\"\nscopes = [\"read\"]\n";
    std::fs::write(dir.path().join("lucida.toml"), format!("{CONFIG}{keys}")).unwrap();
    let server = start(dir.path(), "serve --workers 0").await;
    let worker = start(dir.path(), "worker").await;
    assert_eq!(server.get("/metrics").await.unwrap().status(), 401);
    assert_eq!(worker.get("/metrics").await.unwrap().status(), 200);
    assert!(worker.stop() && server.stop());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_whose_plugin_never_comes_back_stops_all_the_same() {
    let (dir, _) = folder();
    let config = CONFIG.replace("plugins = []", "plugins = [{ type = \"stuck\" }]");
    std::fs::write(dir.path().join("lucida.toml"), config).unwrap();
    let server = start(dir.path(), "serve").await;
    upload(&server, [220, 30, 30]).await;
    assert!(server.stop(), "the server had to be killed");
}
