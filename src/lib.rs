//! Lucida, the server: configuration, HTTP surface and command line around [`lucida_core`].
//!
//! The `lucida` binary is `run(&Registry::default())`. A binary of one's own adds a backend or a plugin to the
//! registry with one call and keeps everything else; `examples/custom` is one.

pub mod app;
mod cli;
pub mod config;
pub mod http;
mod registry;
mod signals;
pub mod telemetry;

use std::process::ExitCode;

pub use registry::Registry;

/// Runs the whole command line with the types of a registry, and returns the process's exit code: 0 for success, 1
/// for a failure or findings, 2 for a wrong call or configuration.
#[must_use]
pub fn run(registry: &Registry) -> ExitCode {
    lucida_core::limit_arenas();
    cli::run(registry)
}
