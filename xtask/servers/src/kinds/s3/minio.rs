//! MinIO on one folder.

use std::path::Path;
use std::process::Command;

use anyhow::Result;

use crate::service::Service;
use crate::{Kind, Programs, ports};

/// Its ports: S3 and the console, which can't be left out but is off.
#[derive(Debug)]
pub(crate) struct Minio {
    ports: [u16; 2],
}

impl Minio {
    pub(crate) fn new() -> Result<Self> {
        Ok(Self {
            ports: [ports::choose()?, ports::choose()?],
        })
    }
}

impl Service for Minio {
    fn ports(&self) -> &[u16] {
        &self.ports
    }

    fn command(&self, programs: &Programs, dir: &Path) -> Result<Command> {
        let mut command = Command::new(programs.program(Kind::Minio)?);
        let [port, console] = self.ports;
        command
            .args(["server", "--quiet"])
            .args(["--address", &format!("127.0.0.1:{port}")])
            .args(["--console-address", &format!("127.0.0.1:{console}")])
            .arg(dir.join("data"))
            .env("HOME", dir)
            .env("MINIO_ROOT_USER", super::ACCESS_KEY_ID)
            .env("MINIO_ROOT_PASSWORD", super::SECRET_ACCESS_KEY)
            .env("MINIO_BROWSER", "off")
            .env("MINIO_UPDATE", "off");
        Ok(command)
    }

    fn ask(&self) -> Result<()> {
        super::ask(self.ports[0])
    }

    fn url(&self) -> String {
        super::url(self.ports[0])
    }

    fn variables(&self) -> Vec<(&'static str, String)> {
        super::variables(self.url())
    }
}
