//! What every kind of server is to those who start it.

use std::fmt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;

use crate::Programs;

/// A server on the ports that it has chosen.
pub(crate) trait Service: fmt::Debug + Send + Sync {
    /// Every port that it listens on; it is down when all are free.
    fn ports(&self) -> &[u16];

    /// Writes its configuration into `dir`, which it may keep its data in, and returns what starts it.
    fn command(&self, programs: &Programs, dir: &Path) -> Result<Command>;

    /// Asks it something that only a server which is ready answers.
    ///
    /// # Errors
    /// With what it lacks, until it is ready.
    fn ask(&self) -> Result<()>;

    /// Where clients find it.
    fn url(&self) -> String;

    /// The environment variables by which tests find it.
    fn variables(&self) -> Vec<(&'static str, String)>;

    /// Files outside of its folder that it leaves behind when it is killed.
    fn litter(&self) -> Vec<PathBuf> {
        Vec::new()
    }
}
