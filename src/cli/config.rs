//! `lucida config`: checks, shows and documents the configuration.

use clap::Subcommand;

use super::{ConfigArgs, Outcome, print};
use crate::config::reference;
use crate::registry::Registry;

#[derive(Subcommand)]
pub(super) enum ConfigCommand {
    /// Reports what is wrong with the configuration, without opening anything
    Check(ConfigArgs),
    /// Prints the merged configuration, with the source of every value and without secrets
    Show(ConfigArgs),
    /// Prints the reference of every key as Markdown
    Reference,
}

pub(super) fn run(registry: &Registry, command: ConfigCommand) -> Outcome {
    match command {
        ConfigCommand::Check(args) => {
            args.load(registry, [])?.check_server(registry)?;
            print("the configuration is right\n")
        }
        ConfigCommand::Show(args) => print(&args.load(registry, [])?.show()),
        ConfigCommand::Reference => print(&reference(registry)),
    }
}
