//! `cargo xtask bench`: everything in place and built for release, then the benchmark program.

use std::ffi::OsString;
use std::process::{Command, ExitCode};

use anyhow::{Result, ensure};

use crate::cargo::Workspace;
use crate::subjects::{self, Subjects};
use crate::{photos, serve, servers};
use lucida_setup::cache::Cache;

/// The parts that need the Python service over CLIP and models of full size, by their words on the command line.
const WITH_CLIP: [&str; 2] = ["compare", "models"];

/// The parts that need those of other families.
const WITH_FAMILIES: [&str; 2] = ["families", "several"];

/// The parts that need the servers of a cluster.
const WITH_SERVERS: [&str; 2] = ["workers", "traffic"];

/// Runs the command. The benchmark program finds the server beside itself.
pub(crate) fn run(cache: &Cache, workspace: &Workspace, arguments: &[OsString]) -> Result<ExitCode> {
    lucida_setup::ensure(cache, false)?;
    let photos = photos::ensure(cache)?;
    let any_of = |parts: &[&str]| {
        let mut arguments = arguments.iter();
        arguments.any(|argument| parts.iter().any(|part| argument == part))
    };
    let kinds = [(WITH_CLIP, &subjects::CLIP), (WITH_FAMILIES, &subjects::FAMILIES)];
    let kinds: Vec<_> = kinds.iter().filter(|(parts, _)| any_of(parts)).collect();
    ensure!(
        kinds.len() < 2,
        "{} and {} run in different Python environments: measure them by a call each",
        WITH_CLIP.join(", "),
        WITH_FAMILIES.join(", ")
    );
    let subjects = kinds
        .first()
        .map(|(_, kind)| Subjects::ensure(kind, cache, workspace));
    let subjects = subjects.transpose()?;
    let programs = any_of(&WITH_SERVERS)
        .then(|| servers::programs(cache, workspace))
        .transpose()?;
    // In one call: apart, the two would be built with other features of the same dependencies, all twice.
    let program = workspace.build_package("lucida-bench", &["--package", "lucida", "--release"])?;
    let mut bench = Command::new(program);
    bench.args(arguments).env(photos::VARIABLE, photos);
    if let Some(subjects) = subjects {
        subjects.give(&mut bench);
    }
    for (name, value) in programs.iter().flat_map(servers::locations) {
        bench.env(name, value);
    }
    serve::become_program(&mut bench)
}
