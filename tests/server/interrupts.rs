//! Somebody who can't wait ends an import.

#![cfg(unix)]

use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::routing::{any, get};
use lucida_test_servers::Process;
use tokio::net::TcpListener;
use tokio::sync::Notify;

/// How long something may take that happens in another process.
const PATIENCE: Duration = Duration::from_secs(180);

/// A server that takes uploads and never answers them; returns its URL and what an upload notifies.
async fn silent_server() -> (String, Arc<Notify>) {
    let uploading = Arc::new(Notify::new());
    let arrived = Arc::clone(&uploading);
    let never = move || {
        let arrived = Arc::clone(&arrived);
        async move {
            arrived.notify_one();
            std::future::pending::<()>().await;
        }
    };
    let routes = Router::new()
        .route("/healthz", get(|| async {}))
        .fallback(any(never));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, routes).await });
    (url, uploading)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_ctrl_c_ends_an_import_at_once() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("a.jpg"), lucida_testkit::jpeg(40, 30, [9, 9, 9])).unwrap();
    let (url, uploading) = silent_server().await;
    let mut command = Command::new(env!("CARGO_BIN_EXE_lucida"));
    command
        .current_dir(dir.path())
        .args(["import", "a.jpg", "--verbose", "--server", &url]);
    let log = dir.path().join("import.log");
    let mut import = Process::start(&command, &log).unwrap();
    let printed = || std::fs::read_to_string(&log).unwrap();
    let interrupted_twice = async {
        uploading.notified().await;
        import.interrupt().unwrap();
        while !printed().contains("finishing what was accepted") {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        import.interrupt().unwrap();
        loop {
            if let Some(status) = import.ended().unwrap() {
                break status.code();
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let code = tokio::time::timeout(PATIENCE, interrupted_twice)
        .await
        .expect("the import ends while its upload is still unanswered");
    let errors = printed();
    assert_eq!(code, Some(130), "{errors}");
    assert!(errors.ends_with("stopped at once\n"), "{errors}");
    assert!(!errors.contains("interrupted after"), "{errors}");
}
