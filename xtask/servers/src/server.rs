//! A server from its start to its end, through as many deaths as a test wants.

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use tempfile::TempDir;

use crate::kinds;
use crate::process::Process;
use crate::service::Service;
use crate::{Kind, Programs, ports};

/// How long a server may take until it answers, on a machine that is busy with other tests. RabbitMQ takes 4 s on an
/// idle one.
const START_PATIENCE: Duration = Duration::from_secs(120);

/// How long the ports of a process that was killed may stay taken.
const END_PATIENCE: Duration = Duration::from_secs(10);

/// A server whose data is in a temporary folder; it and its data are gone when it is dropped.
#[derive(Debug)]
pub struct Server {
    kind: Kind,
    service: Box<dyn Service>,
    programs: Programs,
    // Dropped before the folder that it writes to.
    process: Option<Process>,
    dir: TempDir,
}

impl Server {
    /// Starts a server without data and waits until it is ready.
    ///
    /// # Errors
    /// When its program is missing, and with the end of its log when it doesn't get ready.
    pub fn start(kind: Kind, programs: &Programs) -> Result<Self> {
        let dir = tempfile::Builder::new()
            .prefix(&format!("lucida-{}-", kind.name()))
            .tempdir()
            .context("cannot make a temporary folder")?;
        let mut server = Self {
            kind,
            service: kinds::new(kind)?,
            programs: programs.clone(),
            process: None,
            dir,
        };
        server.start_again()?;
        Ok(server)
    }

    /// Starts a server that was killed or stopped, on the same ports and with its data, and waits until it is ready.
    /// One that runs is left alone.
    ///
    /// # Errors
    /// As [`Server::start`].
    pub fn start_again(&mut self) -> Result<()> {
        if self.process.is_some() {
            return Ok(());
        }
        let command = self.service.command(&self.programs, self.dir.path())?;
        let process = self.process.insert(Process::start(&command, &self.log())?);
        while let Err(lacks) = self.service.ask() {
            if let Err(error) = process.check_starting(START_PATIENCE) {
                self.process = None;
                bail!("{} did not start: {lacks:#}; {error}", self.kind);
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(())
    }

    /// Ends it as a power cut would (SIGKILL), and returns once its ports are free.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn kill(&mut self) -> Result<()> {
        self.end(Process::kill)
    }

    /// Ends it as its operator would (SIGTERM), so that it notifies its clients, and returns once its ports are free.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn stop(&mut self) -> Result<()> {
        self.end(|process| process.stop().map(drop))
    }

    fn end(&mut self, how: impl FnOnce(&mut Process) -> Result<()>) -> Result<()> {
        let Some(mut process) = self.process.take() else {
            return Ok(());
        };
        how(&mut process)?;
        let ended = Instant::now();
        while let Some(port) = self.service.ports().iter().find(|port| !ports::is_free(**port)) {
            if ended.elapsed() > END_PATIENCE {
                bail!("port {port} of {} is still taken after its end", self.kind);
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        self.clean_up();
        Ok(())
    }

    /// What it is.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Where clients find it, with user and password where it has them.
    #[must_use]
    pub fn url(&self) -> String {
        self.service.url()
    }

    /// The environment variables by which tests find it.
    #[must_use]
    pub fn variables(&self) -> Vec<(&'static str, String)> {
        self.service.variables()
    }

    /// The file that it writes its log to.
    #[must_use]
    pub fn log(&self) -> PathBuf {
        self.dir.path().join("log")
    }

    fn clean_up(&self) {
        for file in self.service.litter() {
            // It may never have been made.
            let _ = fs::remove_file(file);
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.process = None;
        self.clean_up();
    }
}
