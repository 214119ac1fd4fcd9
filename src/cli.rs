//! The command line. Exit codes: 0 for success, 1 for a failure or findings, 2 for a wrong call or configuration, 130
//! for a command that Ctrl-C ended before it was done.

mod adopt;
mod check;
mod config;
mod config_args;
mod events;
mod health;
mod import;
mod listen;
mod models;
mod outcome;
mod probes;
mod rebuild;
mod serve;
mod setup;

use std::ffi::OsString;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, Subcommand};
use lucida_core::{Error, ErrorKind};

use self::outcome::{Failure, Outcome};
use crate::registry::Registry;
use crate::signals::INTERRUPTED;

/// Finds photos by words: an embedding server for photos and text.
#[derive(Parser)]
#[command(name = "lucida", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Serves the API and the gallery, and embeds photos
    Serve(serve::ServeArgs),
    /// Embeds the photos that servers received, without serving anything
    Worker(serve::WorkerArgs),
    /// Compares the records, the photos and the vectors with each other
    Check(check::CheckArgs),
    /// Makes the records of a lost metadata store again, from the stored photos
    Rebuild(rebuild::RebuildArgs),
    /// Imports every photo of a folder and of the folders in it, here or into a running server
    Import(import::ImportArgs),
    /// Takes over the vectors that another service computed with the same model
    Adopt(adopt::AdoptArgs),
    /// Lists the models that the library has vectors of, and changes which one searches use
    Models(models::ModelsArgs),
    /// Lists the events that a plugin such as `webhook` has not taken, and has them delivered again
    Events(events::EventsArgs),
    /// Asks a running process of this configuration whether it is alive; exits with 1 if not
    Health(health::HealthArgs),
    /// Downloads ONNX Runtime and the starter model, which the default configuration needs (200 MB); uses Python 3 with pip
    Setup(setup::SetupArgs),
    /// Checks, shows and explains the configuration
    #[command(subcommand)]
    Config(config::ConfigCommand),
}

/// How long a command that is done waits for threads that block: a write to a disk ends by then, a plugin that never comes back
/// doesn't.
const LAST_THREADS: Duration = Duration::from_secs(5);

/// Runs a command line with the types of a registry.
pub(crate) fn run(registry: &Registry, arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let cli = match Cli::try_parse_from(arguments) {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version come this way, too. There is nowhere to report that printing failed.
            let _ = error.print();
            return if error.use_stderr() {
                ExitCode::from(2)
            } else {
                ExitCode::SUCCESS
            };
        }
    };
    let outcome = match cli.command {
        Command::Setup(args) => setup::run(&args),
        Command::Config(command) => config::run(registry, command),
        Command::Serve(args) => block_on(serve::serve(registry, args)),
        Command::Worker(args) => block_on(serve::work(registry, args)),
        Command::Check(args) => block_on(check::run(registry, args)),
        Command::Rebuild(args) => block_on(rebuild::run(registry, args)),
        Command::Import(args) => block_on(import::run(registry, args)),
        Command::Adopt(args) => block_on(adopt::run(registry, args)),
        Command::Models(args) => block_on(models::run(registry, args)),
        Command::Events(args) => block_on(events::run(registry, args)),
        Command::Health(args) => block_on(health::run(registry, args)),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure::Bad) => ExitCode::FAILURE,
        Err(Failure::Interrupted) => ExitCode::from(INTERRUPTED),
        Err(Failure::Config(findings)) => {
            eprintln!("{findings}");
            ExitCode::from(2)
        }
        Err(Failure::Error(error)) => {
            if error.kind() != ErrorKind::ConfigInvalid {
                eprintln!("error: {error}");
                return ExitCode::FAILURE;
            }
            match error.field() {
                Some(key) => eprintln!("{key}: {error}"),
                None => eprintln!("error: {error}"),
            }
            ExitCode::from(2)
        }
    }
}

fn block_on(command: impl Future<Output = Outcome>) -> Outcome {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Error::from(error).context("starting the runtime"))?;
    let outcome = runtime.block_on(command);
    runtime.shutdown_timeout(LAST_THREADS);
    outcome
}
