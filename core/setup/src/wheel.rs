//! Python wheels pinned by version, platform and hash, of which a few files are wanted.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use crate::cache::{CacheLock, Key, files_below};
use crate::python::Python;

/// One published file. Its platform is fixed, whatever this machine is: that of a wheel of which only
/// data is wanted doesn't matter, and so a hash pins it everywhere.
#[derive(Debug)]
pub struct Wheel {
    /// Project name.
    pub name: &'static str,
    /// Exact version.
    pub version: &'static str,
    /// Platform tag, for CPython 3.11.
    pub platform: &'static str,
    /// SHA-256 of the file.
    pub sha256: &'static str,
}

impl Wheel {
    /// Stands for this file in the key of what is made from it.
    pub fn key(&self) -> &[u8] {
        self.sha256.as_bytes()
    }

    /// Downloads it, checks its hash and unpacks it into a scratch folder, whose path it returns.
    pub fn fetch(&self, lock: &CacheLock<'_>, python: &Python) -> Result<PathBuf> {
        let named = format!("{} {}", self.name, self.version);
        eprintln!("downloading {named}");
        let download = lock.scratch("download")?;
        let requirement = download.join("requirement.txt");
        let line = format!("{}=={} --hash=sha256:{}\n", self.name, self.version, self.sha256);
        fs::write(&requirement, line).with_context(|| format!("cannot write {}", requirement.display()))?;
        python
            .download(&download, &requirement, &target(self.platform))
            .with_context(|| format!("cannot download {named}"))?;
        let wheel = files_below(&download)?
            .into_iter()
            .find(|file| file.extension().is_some_and(|e| e == "whl"));
        let wheel = wheel.with_context(|| format!("pip downloaded no wheel of {named}"))?;
        let unpacked = lock.scratch("wheel")?;
        python.unpack(&wheel, &unpacked)?;
        Ok(unpacked)
    }
}

/// Returns pip's arguments for wheels of `platform` and CPython 3.11, whatever this machine has.
pub(crate) fn target(platform: &str) -> Vec<&str> {
    let mut arguments = vec!["--platform", platform];
    arguments.extend([
        "--python-version",
        "3.11",
        "--implementation",
        "cp",
        "--abi",
        "cp311",
    ]);
    arguments
}

/// The key of a folder that holds `names` out of `wheels`.
pub fn key(wheels: &[Wheel], names: &[&str]) -> Key {
    Key::of(
        wheels
            .iter()
            .map(Wheel::key)
            .chain(names.iter().map(|name| name.as_bytes())),
    )
}

/// Moves `from` to `to` within the cache.
pub fn take(from: &Path, to: &Path) -> Result<()> {
    fs::rename(from, to).with_context(|| format!("cannot move {} to {}", from.display(), to.display()))
}
