//! Files that can be run.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};

/// Writes a script that can be run.
pub(super) fn write_program(path: &Path, text: &[u8]) -> Result<()> {
    fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))?;
    make_executable(path)
}

/// Lets a file be run as a program.
#[cfg(unix)]
pub(super) fn make_executable(path: &Path) -> Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    fs::set_permissions(path, fs::Permissions::from_mode(0o755))
        .with_context(|| format!("cannot make {} a program", path.display()))
}

/// Lets a file be run as a program, which needs nothing here.
#[cfg(not(unix))]
pub(super) fn make_executable(_path: &Path) -> Result<()> {
    Ok(())
}
