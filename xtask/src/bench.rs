//! `cargo xtask bench`: everything in place and built for release, then the benchmark program.

use std::ffi::OsString;
use std::process::{Command, ExitCode};

use anyhow::Result;

use crate::cache::Cache;
use crate::cargo::Workspace;
use crate::{photos, serve, setup};

/// Runs the command. The benchmark program finds the server beside itself.
pub(crate) fn run(cache: &Cache, workspace: &Workspace, arguments: &[OsString]) -> Result<ExitCode> {
    setup::ensure(cache, workspace)?;
    let photos = photos::ensure(cache)?;
    // In one call: apart, the two would be built with other features of the same dependencies, all twice.
    let program = workspace.build_package("lucida-bench", &["--package", "lucida", "--release"])?;
    serve::become_program(
        Command::new(program)
            .args(arguments)
            .env(photos::VARIABLE, photos),
    )
}
