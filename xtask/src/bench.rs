//! `cargo xtask bench`: everything in place and built for release, then the benchmark program.

use std::ffi::OsString;
use std::process::{Command, ExitCode};

use anyhow::Result;

use crate::cache::Cache;
use crate::cargo::Workspace;
use crate::subjects::Subjects;
use crate::{photos, serve, setup};

/// The parts that need a Python service and models of full size, by their words on the command line.
const WITH_SUBJECTS: [&str; 2] = ["compare", "models"];

/// Runs the command. The benchmark program finds the server beside itself.
pub(crate) fn run(cache: &Cache, workspace: &Workspace, arguments: &[OsString]) -> Result<ExitCode> {
    setup::ensure(cache, workspace)?;
    let photos = photos::ensure(cache)?;
    let with_subjects = arguments
        .iter()
        .any(|argument| WITH_SUBJECTS.iter().any(|part| argument == part));
    let subjects = with_subjects
        .then(|| Subjects::ensure(cache, workspace))
        .transpose()?;
    // In one call: apart, the two would be built with other features of the same dependencies, all twice.
    let program = workspace.build_package("lucida-bench", &["--package", "lucida", "--release"])?;
    let mut bench = Command::new(program);
    bench.args(arguments).env(photos::VARIABLE, photos);
    if let Some(subjects) = subjects {
        subjects.tell(&mut bench);
    }
    serve::become_program(&mut bench)
}
