//! The stand-in for Qdrant, which this checkout builds.

use std::io::{Read as _, Write as _};
use std::path::Path;
use std::process::Command;

use anyhow::{Result, bail};

use crate::service::Service;
use crate::{Kind, Programs, http, ports, variable};

/// Its port.
#[derive(Debug)]
pub(crate) struct StandIn {
    port: [u16; 1],
}

impl StandIn {
    pub(crate) fn new() -> Result<Self> {
        Ok(Self {
            port: [ports::choose()?],
        })
    }
}

impl Service for StandIn {
    fn ports(&self) -> &[u16] {
        &self.port
    }

    fn command(&self, programs: &Programs, dir: &Path) -> Result<Command> {
        let mut command = Command::new(programs.program(Kind::QdrantStandIn)?);
        command
            .args(["--listen", &ports::address(self.port[0]).to_string()])
            .arg("--data")
            .arg(dir.join("data"))
            .current_dir(dir);
        Ok(command)
    }

    fn ask(&self) -> Result<()> {
        ask(self.port[0])
    }

    fn url(&self) -> String {
        url(self.port[0])
    }

    fn variables(&self) -> Vec<(&'static str, String)> {
        vec![(variable::QDRANT_STAND_IN, self.url())]
    }
}

/// Asks the server at a port something that only one which is ready answers.
///
/// # Errors
/// With what it lacks.
pub(crate) fn ask(port: u16) -> Result<()> {
    const SETTINGS: u8 = 4;
    let mut stream = http::connect(port)?;
    stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")?;
    stream.write_all(&[0, 0, 0, SETTINGS, 0, 0, 0, 0, 0])?;
    // HTTP/2, and so gRPC: whoever speaks it sends its settings first.
    let mut frame = [0; 9];
    stream.read_exact(&mut frame)?;
    if frame[3] != SETTINGS {
        bail!("it answers with {frame:?}");
    }
    Ok(())
}

/// Where clients find the server at a port.
pub(crate) fn url(port: u16) -> String {
    format!("http://127.0.0.1:{port}")
}
