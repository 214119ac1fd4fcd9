//! `cargo xtask serve`: from a fresh clone to a running server in one command.

use std::ffi::OsString;
use std::process::{Command, ExitCode};

use anyhow::{Context as _, Result};

use crate::cargo::Workspace;
use lucida_setup::cache::Cache;

/// Runs the command. On Unix the server takes the place of this process, so that signals reach it.
pub(crate) fn run(cache: &Cache, workspace: &Workspace, arguments: &[OsString]) -> Result<ExitCode> {
    lucida_setup::ensure(cache, false)?;
    let program = workspace.build_package("lucida", &["--release"])?;
    become_program(Command::new(program).arg("serve").args(arguments))
}

/// Runs `command` in the place of this process, or ends as it ends.
#[cfg(unix)]
pub(crate) fn become_program(command: &mut Command) -> Result<ExitCode> {
    use std::os::unix::process::CommandExt as _;
    let error = command.exec();
    Err(error).with_context(|| format!("cannot run {}", command.get_program().display()))
}

/// Runs `command` in the place of this process, or ends as it ends.
#[cfg(not(unix))]
pub(crate) fn become_program(command: &mut Command) -> Result<ExitCode> {
    let status = command
        .status()
        .with_context(|| format!("cannot run {}", command.get_program().display()))?;
    Ok(if status.success() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}
