//! Somebody who can't wait ends an import.

#![cfg(unix)]

use std::io::{BufRead, BufReader, Read};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::routing::{any, get};
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

fn interrupt(pid: u32) {
    let status = Command::new("kill").args(["-INT", &pid.to_string()]).status();
    assert!(status.unwrap().success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_ctrl_c_ends_an_import_at_once() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("a.jpg"), lucida_testkit::jpeg(40, 30, [9, 9, 9])).unwrap();
    let (url, uploading) = silent_server().await;
    let mut child = Command::new(env!("CARGO_BIN_EXE_lucida"))
        .current_dir(dir.path())
        .args(["import", "a.jpg", "--verbose", "--server", &url])
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let pid = child.id();
    let (said, stopping) = tokio::sync::oneshot::channel();
    let errors = BufReader::new(child.stderr.take().unwrap());
    let ended = tokio::task::spawn_blocking(move || {
        let (mut errors, mut text) = (errors, String::new());
        while !text.contains("finishing what was accepted") && errors.read_line(&mut text).unwrap() > 0 {}
        // Nobody waits any more: the test has failed already.
        let _ = said.send(());
        errors.read_to_string(&mut text).unwrap();
        (child.wait().unwrap().code(), text)
    });
    let both = async {
        uploading.notified().await;
        interrupt(pid);
        stopping.await.unwrap();
        interrupt(pid);
        ended.await.unwrap()
    };
    let outcome = tokio::time::timeout(PATIENCE, both).await;
    if outcome.is_err() {
        let _ = Command::new("kill").args(["-KILL", &pid.to_string()]).status();
    }
    let (code, errors) = outcome.expect("the import ends while its upload is still unanswered");
    assert_eq!(code, Some(130), "{errors}");
    assert!(errors.ends_with("stopped at once\n"), "{errors}");
    assert!(!errors.contains("interrupted after"), "{errors}");
}
