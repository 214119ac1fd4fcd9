//! The project's own commands: `cargo xtask setup | serve | test | ci | servers | bench | generate |
//! new-backend | new-plugin`.
//!
//! Needs Rust, Python 3 with pip and a C/C++ compiler; the servers for tests need Go and a Debian besides. This crate is built before anything else
//! happens, so its dependencies stay few.

#![expect(
    clippy::print_stdout,
    reason = "a command line tool writes its results to stdout"
)]

mod bench;
mod cargo;
mod ci;
mod clients;
mod generate;
mod interrupt;
mod photos;
mod scaffold;
mod serve;
mod servers;
mod setup;
mod subjects;
mod test;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::cargo::Workspace;
use lucida_setup::cache::Cache;

#[derive(Parser)]
#[command(
    name = "cargo xtask",
    bin_name = "cargo xtask",
    about = "The project's own commands"
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Put what the default configuration needs (ONNX Runtime, the starter model) into the cache.
    Setup {
        #[command(flatten)]
        extras: setup::Extras,
    },
    /// Set up, build the server in release mode and run it in the current directory.
    Serve {
        /// What follows goes to `lucida serve`.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<OsString>,
    },
    /// Set up everything that the tests need, servers included, and run them.
    ///
    /// Servers are started only where the chosen packages' tests use any. One that can't be installed (MinIO and
    /// FerretDB are built with Go, RabbitMQ comes out of Debian's packages) is named, and the tests that need it are
    /// skipped.
    Test {
        /// What follows goes to `cargo test`, which else tests the whole workspace.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<OsString>,
    },
    /// Run every check that a change must pass; stop at the first that fails. No test may be skipped.
    Ci,
    /// Start the servers that tests use on free loopback ports, print how to reach them, and stay until Ctrl-C.
    ///
    /// MinIO, SeaweedFS, FerretDB (MongoDB's protocol), RabbitMQ and the stand-in for Qdrant, each with its data in a
    /// temporary folder. The lines on stdout are for a shell: `cargo xtask servers > servers.sh &`, then
    /// `. ./servers.sh`. The last ones name a configuration file that puts Lucida on these servers.
    Servers,
    /// Measure: set up, build the server in release mode and run the benchmarks against it.
    Bench {
        /// What follows goes to the benchmark program.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<OsString>,
    },
    /// Write the files that are made from the code.
    Generate {
        /// Write nothing and fail where a file differs from what would be written.
        #[arg(long)]
        check: bool,
    },
    /// Lay out the crate of a new backend.
    NewBackend {
        /// The role that it implements.
        role: scaffold::Role,
        /// The word that a config file will use, such as `azure-blob`.
        name: String,
    },
    /// Lay out the crate of a new plugin.
    NewPlugin {
        /// The word that a config file will use, such as `colours`.
        name: String,
    },
}

fn main() -> ExitCode {
    match run(Cli::parse().command) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> anyhow::Result<ExitCode> {
    let cache = Cache::locate()?;
    let workspace = Workspace::locate()?;
    match command {
        Command::Setup { extras } => setup::run(&cache, extras)?,
        Command::Serve { args } => return serve::run(&cache, &workspace, &args),
        Command::Test { args } => test::run(&cache, &workspace, &args)?,
        Command::Ci => ci::run(&cache, workspace)?,
        Command::Servers => servers::run(&cache, &workspace)?,
        Command::Bench { args } => return bench::run(&cache, &workspace, &args),
        Command::Generate { check } => generate::run(&workspace, check)?,
        Command::NewBackend { role, name } => scaffold::run(&workspace, role, &name)?,
        Command::NewPlugin { name } => scaffold::run_plugin(&workspace, &name)?,
    }
    Ok(ExitCode::SUCCESS)
}
