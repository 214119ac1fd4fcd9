//! Lucida, the server: configuration, HTTP surface and command line around [`lucida_core`].
//!
//! The `lucida` binary is `run(&Registry::default())`. A custom binary adds a backend, a plugin or a layer of configuration
//! to the registry with one call and keeps everything else; `examples/custom` is one.

pub mod app;
mod cli;
pub mod config;
mod factories;
pub mod http;
pub mod keys;
mod names;
mod registry;
mod schema;
mod signals;
pub mod telemetry;

use std::ffi::OsString;
use std::process::ExitCode;

pub use factories::Selection;
pub use registry::Registry;

/// Runs the command line of this process with the types of a registry, and returns the process's exit code: 0 for
/// success, 1 for a failure or findings, 2 for a wrong call or configuration.
#[must_use]
pub fn run(registry: &Registry) -> ExitCode {
    run_with(registry, std::env::args_os())
}

/// Runs a command line as [`run`] does, for a program whose own is another; the first argument is the program's name.
#[must_use]
pub fn run_with(registry: &Registry, arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    lucida_core::limit_arenas();
    cli::run(registry, arguments)
}
