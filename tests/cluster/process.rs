//! A process of the real binary: an API, or a worker, which is killed and started again.

use std::net::SocketAddrV4;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use lucida_test_servers::free_address;
use reqwest::multipart::{Form, Part};
use serde_json::{Value, json};

/// How long a process may take to answer after it was started, on a machine that is busy with other tests.
const START_PATIENCE: Duration = Duration::from_secs(90);

/// How long all photos of a test may take until they are ready; FerretDB, which scans, is slow with them.
const READY_PATIENCE: Duration = Duration::from_secs(420);

/// A process; killed when dropped.
pub(crate) struct Process {
    process: lucida_test_servers::Process,
    name: String,
    dir: PathBuf,
    config: PathBuf,
    arguments: Vec<String>,
    listen: SocketAddrV4,
    pub(crate) url: String,
    pub(crate) client: reqwest::Client,
}

impl Process {
    /// Starts a process and waits until it answers; its log is `NAME.log` in `dir`.
    pub(crate) async fn start(dir: &Path, name: &str, config: &Path, arguments: &[&str]) -> Self {
        let listen = free_address().unwrap();
        let arguments: Vec<_> = arguments.iter().map(|argument| (*argument).to_owned()).collect();
        let client = reqwest::Client::builder()
            .timeout(Duration::from_secs(30))
            .build()
            .unwrap();
        let mut process = Self {
            process: spawn(dir, name, config, &arguments, listen),
            name: name.to_owned(),
            dir: dir.to_owned(),
            config: config.to_owned(),
            arguments,
            listen,
            url: format!("http://{listen}"),
            client,
        };
        process.wait_until_alive().await;
        process
    }

    /// The binary with a configuration; relative paths are below `dir`.
    pub(crate) fn command(dir: &Path, config: &Path) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_lucida"));
        command
            .current_dir(dir)
            .env("LUCIDA_CONFIG", config)
            .stdin(Stdio::null());
        command
    }

    async fn wait_until_alive(&mut self) {
        while !self
            .get("/healthz")
            .await
            .is_ok_and(|answer| answer.status().is_success())
        {
            self.process.check_starting(START_PATIENCE).unwrap();
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Ends the process as a power cut would.
    pub(crate) fn kill(&mut self) {
        self.process.kill().unwrap();
    }

    /// Starts it again on the same port.
    pub(crate) async fn start_again(&mut self) {
        self.process = spawn(&self.dir, &self.name, &self.config, &self.arguments, self.listen);
        self.wait_until_alive().await;
    }

    /// Asks the process to stop, and returns whether it did so with success.
    pub(crate) fn stop(mut self) -> bool {
        self.process.stop().unwrap().success()
    }

    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.dir.join(format!("{}.log", self.name))).unwrap_or_default()
    }

    pub(crate) async fn get(&self, path: &str) -> reqwest::Result<reqwest::Response> {
        self.client.get(format!("{}{path}", self.url)).send().await
    }

    pub(crate) async fn json(&self, path: &str) -> Value {
        let answer = self.get(path).await.unwrap();
        let status = answer.status();
        let body = answer.text().await.unwrap();
        assert!(status.is_success(), "{path}: {status} {body}");
        serde_json::from_str(&body).unwrap()
    }

    /// Waits until a photo is ready, and returns it.
    pub(crate) async fn until_ready(&self, path: &str) -> Value {
        let started = Instant::now();
        loop {
            let photo = self.json(path).await;
            if photo["state"] == "ready" {
                return photo;
            }
            assert_eq!(photo["state"], "pending", "{photo}");
            assert!(started.elapsed() < READY_PATIENCE, "not ready in time: {photo}");
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    /// Searches by words; the status and the body of the answer.
    pub(crate) async fn search(&self, text: &str, limit: usize) -> reqwest::Result<(u16, Value)> {
        let answer = self
            .client
            .post(format!("{}/v1/search", self.url))
            .json(&json!({ "text": text, "limit": limit }))
            .send()
            .await?;
        Ok((answer.status().as_u16(), answer.json().await?))
    }

    /// Waits until a probe says that it is ready.
    pub(crate) async fn ready(&self) {
        let started = Instant::now();
        loop {
            let answer = self.get("/readyz").await;
            let said = match answer {
                Ok(answer) if answer.status().is_success() => return,
                Ok(answer) => answer.text().await.unwrap_or_default(),
                Err(error) => error.to_string(),
            };
            assert!(
                started.elapsed() < START_PATIENCE,
                "{} is not ready: {said}\n{}",
                self.name,
                self.log()
            );
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}

fn spawn(
    dir: &Path,
    name: &str,
    config: &Path,
    arguments: &[String],
    listen: SocketAddrV4,
) -> lucida_test_servers::Process {
    let mut command = Process::command(dir, config);
    command
        .args(arguments)
        .args(["--listen", &listen.to_string()])
        .args(["--set", &format!("ingest.spool_dir=spool-{name}")]);
    lucida_test_servers::Process::start(&command, &dir.join(format!("{name}.log"))).unwrap()
}

/// Uploads a photo; the status and the body of the answer.
pub(crate) async fn upload(
    client: &reqwest::Client,
    url: &str,
    bytes: &[u8],
) -> reqwest::Result<(u16, Value)> {
    let part = Part::bytes(bytes.to_vec()).file_name("photo.jpg");
    let answer = client
        .post(format!("{url}/v1/photos"))
        .multipart(Form::new().part("file", part))
        .send()
        .await?;
    Ok((answer.status().as_u16(), answer.json().await?))
}
