//! The server under measurement: the release binary, on a port and in a folder of its own.

use std::fs::{self, File};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};

use crate::client::Client;

const START_LIMIT: Duration = Duration::from_secs(120);
const STOP_LIMIT: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(5);

/// The server's program.
#[derive(Debug, Clone)]
pub(crate) struct Program {
    path: PathBuf,
}

impl Program {
    /// Takes the given program, else the one beside this one.
    pub(crate) fn locate(given: Option<PathBuf>) -> Result<Self> {
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
        Ok(Self { path })
    }

    /// Starts the server with its defaults, its data below `folder`, and waits until it is ready.
    pub(crate) async fn start(&self, folder: &Path) -> Result<Server> {
        let address = {
            let probe = TcpListener::bind("127.0.0.1:0").context("no free port on 127.0.0.1")?;
            probe.local_addr().context("no free port on 127.0.0.1")?
        };
        let log_path = folder.join("server.log");
        let log = File::create(&log_path).with_context(|| format!("cannot write {}", log_path.display()))?;
        let mut command = Command::new(&self.path);
        command
            .arg("serve")
            .current_dir(folder)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log);
        // The defaults are measured, not what happens to be set for the user's own server.
        let kept = ["LUCIDA_CACHE_DIR"];
        for (name, _) in std::env::vars_os() {
            let text = name.to_string_lossy();
            if text.starts_with("LUCIDA_") && !kept.contains(&&*text) {
                command.env_remove(&name);
            }
        }
        command.env("LUCIDA_SERVER__LISTEN", address.to_string());
        let begun = Instant::now();
        let child = command
            .spawn()
            .with_context(|| format!("cannot run {}", self.path.display()))?;
        let mut server = Server {
            child,
            client: Client::new(address),
            address,
            log_path,
            ready_after: Duration::ZERO,
        };
        while !server.client.is_ready().await {
            if let Some(status) = server
                .child
                .try_wait()
                .context("cannot ask for the server's state")?
            {
                bail!("the server ended with {status}:\n{}", server.log_end());
            }
            if begun.elapsed() > START_LIMIT {
                bail!(
                    "the server is not ready after {} s:\n{}",
                    START_LIMIT.as_secs(),
                    server.log_end()
                );
            }
            tokio::time::sleep(POLL).await;
        }
        server.ready_after = begun.elapsed();
        Ok(server)
    }
}

/// A running server, which is killed when it is dropped.
#[derive(Debug)]
pub(crate) struct Server {
    child: Child,
    client: Client,
    address: SocketAddr,
    log_path: PathBuf,
    ready_after: Duration,
}

impl Server {
    /// Returns the process's id.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
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
        let asked = Command::new("kill")
            .arg(self.pid().to_string())
            .status()
            .context("cannot run kill")?;
        ensure!(asked.success(), "kill could not stop the server ({asked})");
        let begun = Instant::now();
        loop {
            match self
                .child
                .try_wait()
                .context("cannot ask for the server's state")?
            {
                Some(status) if status.success() => return Ok(()),
                Some(status) => bail!("the server ended with {status}:\n{}", self.log_end()),
                None if begun.elapsed() > STOP_LIMIT => {
                    bail!(
                        "the server did not stop within {} s:\n{}",
                        STOP_LIMIT.as_secs(),
                        self.log_end()
                    )
                }
                None => tokio::time::sleep(POLL).await,
            }
        }
    }

    /// Returns the last lines of the log.
    fn log_end(&self) -> String {
        let log = fs::read_to_string(&self.log_path).unwrap_or_default();
        let lines: Vec<_> = log.lines().collect();
        lines[lines.len().saturating_sub(20)..].join("\n")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself, and then there is nobody to kill.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
