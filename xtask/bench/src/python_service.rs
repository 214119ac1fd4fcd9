//! A service in Python that Lucida is compared with, and the models that both run.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};
use lucida_test_servers::free_address;

use crate::server::Server;

/// The folder of the models, and what runs them in Python.
#[derive(Debug, Clone)]
pub(crate) struct PythonService {
    models: PathBuf,
    /// The interpreter, with what the service needs installed.
    python: PathBuf,
    /// The service's script.
    script: PathBuf,
}

impl PythonService {
    /// Takes what is all given, or nothing.
    pub(crate) fn of(
        models: Option<PathBuf>,
        python: Option<PathBuf>,
        script: Option<PathBuf>,
    ) -> Option<Self> {
        Some(Self {
            models: models?,
            python: python?,
            script: script?,
        })
    }

    /// Returns the folder of a model, or a file in it.
    pub(crate) fn model(&self, name: &str) -> PathBuf {
        self.models.join(name)
    }

    /// Starts the service with `arguments`, its log in `folder`.
    pub(crate) async fn start(&self, arguments: &[(&str, &Path)], folder: &Path) -> Result<Server> {
        let address = SocketAddr::from(free_address()?);
        let mut command = Command::new(&self.python);
        command.arg(&self.script);
        for (flag, value) in arguments {
            command.arg(flag).arg(value);
        }
        command.arg("--port").arg(address.port().to_string());
        let started = Server::launch(command, folder, address, "/healthz").await;
        started.context("starting the Python service")
    }
}
