//! FerretDB on SQLite files.

use std::fs;
use std::io::{Read as _, Write as _};
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::service::Service;
use crate::{Kind, Programs, http, ports, variable};

/// Its port.
#[derive(Debug)]
pub(crate) struct Ferretdb {
    port: [u16; 1],
}

impl Ferretdb {
    pub(crate) fn new() -> Result<Self> {
        Ok(Self {
            port: [ports::choose()?],
        })
    }
}

impl Service for Ferretdb {
    fn ports(&self) -> &[u16] {
        &self.port
    }

    fn command(&self, programs: &Programs, dir: &Path) -> Result<Command> {
        let data = dir.join("data");
        fs::create_dir_all(&data).with_context(|| format!("cannot make {}", data.display()))?;
        let mut command = Command::new(programs.program(Kind::Ferretdb)?);
        command
            .args(["--listen", &ports::address(self.port[0]).to_string()])
            .arg("--data")
            .arg(data)
            .current_dir(dir)
            .env("HOME", dir);
        Ok(command)
    }

    fn ask(&self) -> Result<()> {
        ask(self.port[0])
    }

    fn url(&self) -> String {
        url(self.port[0])
    }

    fn variables(&self) -> Vec<(&'static str, String)> {
        vec![(variable::MONGODB_URI, self.url())]
    }
}

/// Asks the server at a port something that only one which is ready answers.
///
/// # Errors
/// With what it lacks.
pub(crate) fn ask(port: u16) -> Result<()> {
    let mut stream = http::connect(port)?;
    stream.write_all(&message(&ping()))?;
    // Its header, its flags and the kind of its section come before the document.
    let mut head = [0; 21];
    stream.read_exact(&mut head)?;
    let length = u32::from_le_bytes([head[0], head[1], head[2], head[3]]);
    let mut document = vec![0; (length as usize).saturating_sub(head.len()).min(4096)];
    stream.read_exact(&mut document)?;
    // A double of 1.0.
    if !document
        .windows(12)
        .any(|part| part == b"\x01ok\0\0\0\0\0\0\0\xf0\x3f")
    {
        bail!("it answers a ping with {:?}", String::from_utf8_lossy(&document));
    }
    Ok(())
}

/// Where clients find the server at a port.
pub(crate) fn url(port: u16) -> String {
    format!("mongodb://127.0.0.1:{port}/")
}

/// `{ping: 1, $db: "admin"}` in BSON.
fn ping() -> Vec<u8> {
    let elements = b"\x10ping\0\x01\0\0\0\x02$db\0\x06\0\0\0admin\0\0";
    let length = u32::try_from(4 + elements.len()).expect("it is a few bytes long");
    [&length.to_le_bytes(), elements.as_slice()].concat()
}

/// A message with one document, an `OP_MSG` of MongoDB's wire protocol.
fn message(document: &[u8]) -> Vec<u8> {
    const OP_MSG: u32 = 2013;
    let length = u32::try_from(16 + 4 + 1 + document.len()).expect("it is a few bytes long");
    let header = [length, 1, 0, OP_MSG].map(u32::to_le_bytes).concat();
    [header.as_slice(), &[0; 4], &[0], document].concat()
}
