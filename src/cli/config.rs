//! `lucida config`: checks, shows and documents the configuration.

use clap::{Args, Subcommand};
use lucida_core::BuildContext;
use lucida_core::config::Inspection;

use super::config_args::ConfigArgs;
use super::outcome::{Outcome, print};
use crate::config::{defaults, reference};
use crate::registry::Registry;

#[derive(Subcommand)]
pub(super) enum ConfigCommand {
    /// Reports what is wrong with the configuration, and which folders, files and models it names can't be used
    Check(CheckArgs),
    /// Prints the result of all layers, with the source of every value and without secrets
    Show(ConfigArgs),
    /// Prints every key with its default and its meaning, as TOML to start a configuration file from
    Defaults,
    /// Prints the reference of every key as Markdown
    Reference,
}

#[derive(Args)]
pub(super) struct CheckArgs {
    #[command(flatten)]
    config: ConfigArgs,
    /// Checks only what is written, and opens none of the folders, files and models that it names
    #[arg(long)]
    offline_only: bool,
    /// Also opens the folders of the models: every tensor, tokenizer and graph is located, and nothing is loaded
    #[arg(long, conflicts_with = "offline_only")]
    models: bool,
}

pub(super) fn run(registry: &Registry, command: ConfigCommand) -> Outcome {
    match command {
        ConfigCommand::Check(args) => {
            let config = args.config.load(registry, [])?;
            config.check_server(registry)?;
            if !args.offline_only {
                let mut context = BuildContext::from_env();
                if args.models {
                    context = context.inspecting(Inspection::default());
                }
                config.check_local(registry, &context)?;
            }
            print("the configuration is right\n")
        }
        ConfigCommand::Show(args) => print(&args.load(registry, [])?.show()),
        ConfigCommand::Defaults => print(&defaults(registry)),
        ConfigCommand::Reference => print(&reference(registry)),
    }
}
