//! The real binary: a command that ends, and a server in memory.

use std::io::Cursor;
use std::path::Path;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use lucida_test_servers::{Process, free_address};
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
    let mut command = binary();
    command.current_dir(folder).args(arguments);
    let mut process = Process::start(&command, &path).unwrap();
    let started = Instant::now();
    while process.ended().unwrap().is_none() && started.elapsed() < at_most {
        std::thread::sleep(Duration::from_millis(50));
    }
    process.kill().unwrap();
    std::fs::read_to_string(path).unwrap()
}

/// A running `lucida serve` whose stores are in memory; killed when dropped.
pub(crate) struct Server {
    process: Process,
    pub(crate) port: u16,
    client: reqwest::Client,
}

impl Server {
    pub(crate) async fn start(folder: &Path) -> Self {
        let listen = free_address().unwrap();
        let mut command = binary();
        for part in ["STORAGE", "METADATA", "INDEX", "QUEUE"] {
            command.env(format!("LUCIDA_{part}__TYPE"), "memory");
        }
        command
            .current_dir(folder)
            .args(["serve", "--listen", &listen.to_string()]);
        let mut server = Self {
            process: Process::start(&command, &folder.join("log")).unwrap(),
            port: listen.port(),
            client: reqwest::Client::new(),
        };
        loop {
            let answer = server.client.get(server.url("/readyz")).send().await;
            if answer.is_ok_and(|answer| answer.status().is_success()) {
                return server;
            }
            server.process.check_starting(START_PATIENCE).unwrap();
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
