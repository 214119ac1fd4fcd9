//! The real binary as a child process on a free loopback port, in a folder of its own.

use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use reqwest::multipart::{Form, Part};
use serde_json::Value;

/// How long a server may take to answer after it was started, on a machine that is busy with other tests.
const START_PATIENCE: Duration = Duration::from_secs(60);

/// A running `lucida serve`, or a worker that listens; killed when dropped.
pub(crate) struct Server {
    child: Child,
    pub(crate) url: String,
    pub(crate) client: reqwest::Client,
}

impl Server {
    /// Starts a server whose data lies in `dir`, with settings as `(key, value)`, and waits until it is ready.
    pub(crate) async fn start(dir: &Path, settings: &[(&str, &str)]) -> Self {
        let listen = free_address();
        let mut command = command(dir, settings);
        command
            .arg("serve")
            .args(["--set", &format!("server.listen={listen}")]);
        Self::spawn(command, dir, &listen).await
    }

    /// Starts a command that is to listen, and waits until it is ready.
    pub(crate) async fn spawn(mut command: Command, dir: &Path, listen: &str) -> Self {
        let child = command
            .stdout(Stdio::null())
            .stderr(log_file(dir))
            .spawn()
            .unwrap();
        let client = reqwest::Client::builder()
            .timeout(Duration::from_secs(60))
            .build()
            .unwrap();
        let mut server = Self {
            child,
            url: format!("http://{listen}"),
            client,
        };
        server.wait_until_ready(dir).await;
        server
    }

    async fn wait_until_ready(&mut self, dir: &Path) {
        let started = Instant::now();
        loop {
            let answer = self.client.get(format!("{}/readyz", self.url)).send().await;
            if answer.is_ok_and(|answer| answer.status().is_success()) {
                return;
            }
            let ended = self.child.try_wait().unwrap();
            assert!(
                ended.is_none() && started.elapsed() < START_PATIENCE,
                "the server did not get ready ({ended:?}); its log:\n{}",
                std::fs::read_to_string(dir.join("server.log")).unwrap_or_default()
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Ends the process as a power cut would.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Asks the process to stop, and returns whether it did so with success.
    pub(crate) fn stop(self) -> bool {
        self.terminate();
        self.ended()
    }

    /// Waits until the process has ended, and returns whether it did so with success.
    pub(crate) fn ended(mut self) -> bool {
        self.child.wait().unwrap().success()
    }

    /// Asks the process to stop.
    pub(crate) fn terminate(&self) {
        let pid = self.child.id().to_string();
        assert!(
            Command::new("kill")
                .args(["-TERM", &pid])
                .status()
                .unwrap()
                .success()
        );
    }

    pub(crate) async fn get(&self, path: &str) -> reqwest::Result<reqwest::Response> {
        self.client.get(format!("{}{path}", self.url)).send().await
    }

    pub(crate) async fn json(&self, path: &str) -> Value {
        let answer = self.get(path).await.unwrap();
        assert!(
            answer.status().is_success(),
            "{path}: {}",
            answer.text().await.unwrap()
        );
        answer.json().await.unwrap()
    }

    pub(crate) async fn upload(
        &self,
        bytes: Vec<u8>,
        filename: &str,
        wait: bool,
    ) -> reqwest::Result<reqwest::Response> {
        upload(&self.client, &self.url, bytes, filename, wait).await
    }

    pub(crate) async fn search_text(&self, text: &str, limit: usize) -> Value {
        let body = serde_json::json!({ "text": text, "limit": limit });
        let answer = self
            .client
            .post(format!("{}/v1/search", self.url))
            .json(&body)
            .send()
            .await
            .unwrap();
        assert!(answer.status().is_success(), "{}", answer.text().await.unwrap());
        answer.json().await.unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// An address on loopback that nobody listens on.
pub(crate) fn free_address() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().to_string()
}

/// Uploads one photo.
pub(crate) async fn upload(
    client: &reqwest::Client,
    url: &str,
    bytes: Vec<u8>,
    filename: &str,
    wait: bool,
) -> reqwest::Result<reqwest::Response> {
    let form = Form::new().part("file", Part::bytes(bytes).file_name(filename.to_owned()));
    let query = if wait { "?wait=true" } else { "" };
    client
        .post(format!("{url}/v1/photos{query}"))
        .multipart(form)
        .send()
        .await
}

/// Runs another subcommand on the same data until it ends.
pub(crate) fn run(dir: &Path, settings: &[(&str, &str)], arguments: &[&str]) -> Output {
    command(dir, settings).args(arguments).output().unwrap()
}

/// The binary, in `dir`, where all the defaults' relative paths lie; settings are environment variables.
fn command(dir: &Path, settings: &[(&str, &str)]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lucida"));
    command.current_dir(dir).stdin(Stdio::null());
    for (key, value) in settings {
        command.env(format!("LUCIDA_{}", key.to_uppercase().replace('.', "__")), value);
    }
    command
}

fn log_file(dir: &Path) -> Stdio {
    let path = dir.join("server.log");
    std::fs::OpenOptions::new()
        .create(true)
        .append(true)
        .open(path)
        .unwrap()
        .into()
}
