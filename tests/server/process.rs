//! The real binary as a child process on a free loopback port, in a folder of its own.

use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use lucida_test_servers::Process;
use reqwest::multipart::{Form, Part};
use serde_json::Value;

/// How long a server may take to answer after it was started, on a machine that is busy with other tests.
const START_PATIENCE: Duration = Duration::from_secs(60);

/// A running `lucida serve`, or a worker that listens; killed when dropped.
pub(crate) struct Server {
    process: Process,
    pub(crate) url: String,
    pub(crate) client: reqwest::Client,
}

impl Server {
    /// Starts a server whose data is in `dir`, with settings as `(key, value)`, and waits until it is ready.
    pub(crate) async fn start(dir: &Path, settings: &[(&str, &str)]) -> Self {
        let listen = free_address();
        let mut command = command(dir, settings);
        command
            .arg("serve")
            .args(["--set", &format!("server.listen={listen}")]);
        Self::spawn(command, dir, &listen).await
    }

    /// Starts a command that is to listen, and waits until it is ready.
    pub(crate) async fn spawn(command: Command, dir: &Path, listen: &str) -> Self {
        let client = reqwest::Client::builder()
            .timeout(Duration::from_secs(60))
            .build()
            .unwrap();
        let mut server = Self {
            process: Process::start(&command, &dir.join("server.log")).unwrap(),
            url: format!("http://{listen}"),
            client,
        };
        while !server.is_ready().await {
            server.process.check_starting(START_PATIENCE).unwrap();
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        server
    }

    async fn is_ready(&self) -> bool {
        let answer = self.get("/readyz").await;
        answer.is_ok_and(|answer| answer.status().is_success())
    }

    /// Ends the process as a power cut would.
    pub(crate) fn kill(mut self) {
        self.process.kill().unwrap();
    }

    /// Asks the process to stop, and returns whether it did so with success.
    pub(crate) fn stop(mut self) -> bool {
        self.process.stop().unwrap().success()
    }

    /// Waits until the process has ended, and returns whether it did so with success.
    pub(crate) fn ended(mut self) -> bool {
        self.process.wait().unwrap().success()
    }

    /// Asks the process to stop.
    pub(crate) fn terminate(&self) {
        self.process.terminate().unwrap();
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

/// An address on loopback that nobody listens on.
pub(crate) fn free_address() -> String {
    lucida_test_servers::free_address().unwrap().to_string()
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

/// The binary, in `dir`, where all the defaults' relative paths lead; settings are environment variables.
pub(crate) fn command(dir: &Path, settings: &[(&str, &str)]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lucida"));
    command.current_dir(dir).stdin(Stdio::null());
    for (key, value) in settings {
        command.env(format!("LUCIDA_{}", key.to_uppercase().replace('.', "__")), value);
    }
    command
}
