//! The server under measurement: the release binary, or another program, on a port and in a folder of its own.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::str::FromStr;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use lucida::config::Flag;
use lucida_test_servers::{Process, free_address};

use crate::client::Client;
use crate::slow;

const START_LIMIT: Duration = Duration::from_secs(120);
const POLL: Duration = Duration::from_millis(5);

/// The server's program, and its settings beside the defaults.
#[derive(Debug, Clone)]
pub(crate) struct Program {
    path: PathBuf,
    /// What comes before the server's own arguments.
    lead: Option<&'static str>,
    /// A configuration file.
    config: Option<PathBuf>,
    settings: Vec<Setting>,
}

/// A key of the configuration and its value: `embedder.onnx.precision=int8`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Setting {
    pub(crate) key: String,
    pub(crate) value: String,
}

impl Setting {
    /// Sets a key.
    pub(crate) fn new(key: &str, value: impl Into<String>) -> Self {
        Self {
            key: key.to_owned(),
            value: value.into(),
        }
    }

    /// Selects an engine, and sets keys of it.
    pub(crate) fn of_engine(engine: &str, keys: &[(&str, &str)]) -> Vec<Self> {
        let keys = keys
            .iter()
            .map(|(key, value)| Self::new(&format!("embedder.{engine}.{key}"), *value));
        std::iter::once(Self::new("embedder.type", engine))
            .chain(keys)
            .collect()
    }

    /// Returns the value that a key was given last.
    pub(crate) fn find<'a>(settings: &'a [Self], key: &str) -> Option<&'a str> {
        let last = settings.iter().rev().find(|setting| setting.key == key);
        last.map(|setting| setting.value.as_str())
    }
}

impl FromStr for Setting {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        let (key, value) = text.split_once('=').context("expected key=value")?;
        Ok(Self::new(key, value))
    }
}

impl Program {
    /// Takes the given program, else the one beside this one.
    pub(crate) fn locate(given: Option<PathBuf>, settings: Vec<Setting>) -> Result<Self> {
        let path = match given {
            Some(path) => std::path::absolute(path).context("the server's path can't be used")?,
            None => {
                let own = std::env::current_exe().context("cannot tell where this program is")?;
                own.with_file_name(format!("lucida{}", std::env::consts::EXE_SUFFIX))
            }
        };
        ensure!(
            path.is_file(),
            "{} is not there: run `cargo xtask bench`",
            path.display()
        );
        Ok(Self {
            path,
            lead: None,
            config: None,
            settings,
        })
    }

    /// Returns the same program with a configuration file, for what flags can't say.
    pub(crate) fn with_config(&self, config: &Path) -> Self {
        Self {
            config: Some(config.to_owned()),
            ..self.clone()
        }
    }

    /// Returns the same program with more settings.
    pub(crate) fn with(&self, settings: impl IntoIterator<Item = Setting>) -> Self {
        let settings = self.settings.iter().cloned().chain(settings).collect();
        Self {
            settings,
            ..self.clone()
        }
    }

    /// Returns this program itself as a server with the model `slow`, told `settings` unless the user set others.
    pub(crate) fn slow(&self, settings: impl IntoIterator<Item = Setting>) -> Result<Self> {
        let model = Setting::new("embedder.type", slow::TYPE_NAME);
        let settings = settings.into_iter().chain([model]);
        Ok(Self {
            path: std::env::current_exe().context("cannot tell where this program is")?,
            lead: Some(slow::SUBCOMMAND),
            config: None,
            settings: settings.chain(self.settings.iter().cloned()).collect(),
        })
    }

    /// Returns its settings beside the defaults.
    pub(crate) fn settings(&self) -> &[Setting] {
        &self.settings
    }

    /// Returns its settings, for those who read its configuration as it does.
    pub(crate) fn flags(&self) -> Vec<Flag> {
        let flag = |Setting { key, value }: &Setting| Flag::new(key, value.clone(), key);
        self.settings.iter().map(flag).collect()
    }

    /// Starts the server, its data below `folder`, and waits until it is ready.
    pub(crate) async fn start(&self, folder: &Path) -> Result<Server> {
        self.start_as("serve", folder).await
    }

    /// Starts a process that only embeds photos, and waits until it is ready.
    pub(crate) async fn start_worker(&self, folder: &Path) -> Result<Server> {
        self.start_as("worker", folder).await
    }

    async fn start_as(&self, subcommand: &str, folder: &Path) -> Result<Server> {
        let address = SocketAddr::from(free_address()?);
        let mut command = Command::new(&self.path);
        command.args(self.lead).arg(subcommand);
        // The defaults are measured, not what happens to be set for the user's own server.
        let kept = ["LUCIDA_CACHE_DIR"];
        for (name, _) in std::env::vars_os() {
            let text = name.to_string_lossy();
            if text.starts_with("LUCIDA_") && !kept.contains(&&*text) {
                command.env_remove(&name);
            }
        }
        if let Some(config) = &self.config {
            command.arg("--config").arg(config);
        }
        for Setting { key, value } in &self.settings {
            command.arg("--set").arg(format!("{key}={value}"));
        }
        command.arg("--listen").arg(address.to_string());
        Server::launch(command, folder, address, "/readyz").await
    }
}

/// A running server, which is killed when it is dropped.
#[derive(Debug)]
pub(crate) struct Server {
    process: Process,
    client: Client,
    address: SocketAddr,
    ready_after: Duration,
}

impl Server {
    /// Runs `command` in `folder`, and waits until a GET of `health` is answered well.
    pub(crate) async fn launch(
        mut command: Command,
        folder: &Path,
        address: SocketAddr,
        health: &'static str,
    ) -> Result<Self> {
        command.current_dir(folder);
        let begun = Instant::now();
        let mut server = Self {
            process: Process::start(&command, &folder.join("server.log"))?,
            client: Client::new(address),
            address,
            ready_after: Duration::ZERO,
        };
        while !server.client.is_well(health).await {
            server.process.check_starting(START_LIMIT)?;
            tokio::time::sleep(POLL).await;
        }
        server.ready_after = begun.elapsed();
        Ok(server)
    }

    /// Returns the process's id.
    pub(crate) fn pid(&self) -> u32 {
        self.process.id()
    }

    /// Returns where it listens.
    pub(crate) const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns a client of it.
    pub(crate) const fn client(&self) -> &Client {
        &self.client
    }

    /// Returns how long it took from its start until it was ready.
    pub(crate) const fn ready_after(&self) -> Duration {
        self.ready_after
    }

    /// Asks it to stop and waits until it has.
    pub(crate) async fn stop(mut self) -> Result<()> {
        tokio::task::spawn_blocking(move || {
            let status = self.process.stop()?;
            ensure!(
                status.success(),
                "the server ended with {status}:\n{}",
                self.process.log_end()
            );
            Ok(())
        })
        .await
        .context("stopping a server")?
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_setting_is_cut_at_its_first_equals_sign() {
        let setting: Setting = "embedder.onnx.model=/a=b".parse().unwrap();
        assert_eq!(setting, Setting::new("embedder.onnx.model", "/a=b"));
        assert!("embedder.onnx.model".parse::<Setting>().is_err());
    }
}
