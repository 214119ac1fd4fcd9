//! `cargo xtask serve`: from a fresh clone to a running server in one command.

use std::ffi::OsString;
use std::process::{Command, ExitCode};

use anyhow::{Context as _, Result};

use crate::cargo::Workspace;
use lucida_setup::cache::Cache;

/// The Cargo feature with what the default configuration names.
const STANDALONE: &str = "standalone";

/// Runs the command. On Unix the server takes the place of this process, so that signals reach it.
pub(crate) fn run(cache: &Cache, workspace: &Workspace, arguments: &[OsString]) -> Result<ExitCode> {
    lucida_setup::ensure(cache, false)?;
    let mut build = vec!["--release"];
    if has_settings(arguments, std::env::vars_os().map(|(name, _)| name)) {
        eprintln!("Building every backend and plugin, since there are settings besides the defaults.");
    } else {
        eprintln!(
            "Building what the default configuration uses; with settings of any kind everything is built."
        );
        build.extend(["--no-default-features", "--features", STANDALONE]);
    }
    let program = workspace.build_package("lucida", &build)?;
    become_program(Command::new(program).arg("serve").args(arguments))
}

/// Says whether anything may select a backend, a plugin or a model that the default configuration doesn't name: any
/// argument but `--listen ADDRESS`, or a variable with a key or a configuration file.
fn has_settings(arguments: &[OsString], mut variables: impl Iterator<Item = OsString>) -> bool {
    let mut arguments = arguments.iter().map(|argument| argument.to_string_lossy());
    while let Some(argument) = arguments.next() {
        if argument == "--listen" {
            arguments.next();
        } else if !argument.starts_with("--listen=") {
            return true;
        }
    }
    variables.any(|name| {
        let name = name.to_string_lossy();
        name == "LUCIDA_CONFIG" || (name.starts_with("LUCIDA_") && name.contains("__"))
    })
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_defaults_are_built_where_nothing_else_is_named() {
        let settings = |arguments: &[&str], variables: &[&str]| {
            let arguments: Vec<_> = arguments.iter().map(OsString::from).collect();
            has_settings(&arguments, variables.iter().map(OsString::from))
        };
        assert!(!settings(&[], &["PATH", "LUCIDA_CACHE_DIR"]));
        assert!(!settings(&["--listen", "127.0.0.1:0"], &[]));
        assert!(!settings(&["--listen=127.0.0.1:0"], &[]));
        assert!(settings(&["--config", "lucida.toml"], &[]));
        assert!(settings(
            &["--listen", "127.0.0.1:0", "--set", "index.type=qdrant"],
            &[]
        ));
        assert!(settings(&[], &["LUCIDA_CONFIG"]));
        assert!(settings(&[], &["LUCIDA_EMBEDDER__TYPE"]));
    }
}
