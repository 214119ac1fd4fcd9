//! The real binary: a command that ends, and a server in memory.

use std::io::Cursor;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use reqwest::multipart::{Form, Part};

/// How long a server may take to get ready, on a machine that is busy with other tests.
const START_PATIENCE: Duration = Duration::from_secs(60);

/// The binary, without the variables of the tests' own environment that could configure it.
fn binary() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lucida"));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("LUCIDA_") && name != "LUCIDA_CACHE_DIR" {
            command.env_remove(name);
        }
    }
    command
}

/// Runs a command until it ends.
pub(crate) fn run<'a>(
    arguments: &[&str],
    variables: impl IntoIterator<Item = (&'a String, &'a String)>,
) -> Output {
    binary().args(arguments).envs(variables).output().unwrap()
}

/// Runs a command until it ends or the time is up, and returns everything that it printed.
pub(crate) fn printed_within(folder: &Path, arguments: &[&str], at_most: Duration) -> String {
    let path = folder.join("printed");
    let file = std::fs::File::create(&path).unwrap();
    let mut child = binary()
        .current_dir(folder)
        .args(arguments)
        .stdout(file.try_clone().unwrap())
        .stderr(file)
        .spawn()
        .unwrap();
    let started = Instant::now();
    while child.try_wait().unwrap().is_none() && started.elapsed() < at_most {
        std::thread::sleep(Duration::from_millis(50));
    }
    // It may have ended by itself.
    let _ = child.kill();
    child.wait().unwrap();
    std::fs::read_to_string(path).unwrap()
}

/// A running `lucida serve` whose stores are in memory; killed when dropped.
pub(crate) struct Server {
    child: Child,
    pub(crate) port: u16,
    client: reqwest::Client,
}

impl Server {
    pub(crate) async fn start(folder: &Path) -> Self {
        let port = TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        let mut command = binary();
        for part in ["STORAGE", "METADATA", "INDEX", "QUEUE"] {
            command.env(format!("LUCIDA_{part}__TYPE"), "memory");
        }
        let log = std::fs::File::create(folder.join("log")).unwrap();
        let child = command
            .current_dir(folder)
            .args(["serve", "--listen", &format!("127.0.0.1:{port}")])
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        let client = reqwest::Client::new();
        let mut server = Self { child, port, client };
        let started = Instant::now();
        loop {
            let answer = server.client.get(server.url("/readyz")).send().await;
            if answer.is_ok_and(|answer| answer.status().is_success()) {
                return server;
            }
            let ended = server.child.try_wait().unwrap();
            assert!(
                ended.is_none() && started.elapsed() < START_PATIENCE,
                "the server did not get ready ({ended:?}): {}",
                std::fs::read_to_string(folder.join("log")).unwrap()
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    /// Gets a page that must be there.
    pub(crate) async fn get(&self, path: &str) -> String {
        let answer = self.client.get(self.url(path)).send().await.unwrap();
        assert!(answer.status().is_success(), "{path}: {}", answer.status());
        answer.text().await.unwrap()
    }

    /// Uploads a photo and searches for it, so that whatever counts has counted.
    pub(crate) async fn use_it(&self) {
        let mut photo = Vec::new();
        let gradient = lucida_core::Picture::gradient(300, 200);
        gradient
            .pixels()
            .write_to(&mut Cursor::new(&mut photo), image::ImageFormat::Jpeg)
            .unwrap();
        let form = Form::new().part("file", Part::bytes(photo).file_name("gradient.jpg"));
        let upload = self.client.post(self.url("/v1/photos?wait=true")).multipart(form);
        assert_eq!(upload.send().await.unwrap().status(), 201);
        let body = serde_json::json!({ "text": "a gradient" });
        let search = self.client.post(self.url("/v1/search")).json(&body);
        assert_eq!(search.send().await.unwrap().status(), 200);
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
