//! `lucida models`: lists the models that a library has vectors of, and changes which one searches use.

use std::fmt::Write as _;
use std::time::Duration;

use clap::{Args, Subcommand};
use lucida_core::ErrorKind;
use lucida_library::{ModelCommand, ModelStatus, request_of_models};

use super::config_args::ConfigArgs;
use super::outcome::{Outcome, print};
use crate::config::Config;
use crate::registry::Registry;
use crate::{app, telemetry};

/// How long a running server may take to carry out the request.
const SERVER_PATIENCE: Duration = Duration::from_secs(30);

#[derive(Args)]
pub(super) struct ModelsArgs {
    #[command(flatten)]
    config: ConfigArgs,
    #[command(subcommand)]
    command: Option<ModelsCommand>,
}

#[derive(Subcommand)]
enum ModelsCommand {
    /// Lists the models with their collections; the default
    List,
    /// Searches with another model that the library has vectors of
    Activate {
        /// Its name, its collection, or the beginning of its fingerprint
        model: String,
    },
    /// Searches with the previous model again
    Rollback,
    /// Deletes the collection of a model that searches don't use
    Drop {
        /// Its name, its collection, or the beginning of its fingerprint
        model: String,
    },
}

/// Lists or changes the models; a server that holds the index is asked to do it.
pub(super) async fn run(registry: &Registry, args: ModelsArgs) -> Outcome {
    let config = args.config.load(registry, [])?;
    telemetry::start_logs(&config.log)?;
    let command = match args.command {
        None | Some(ModelsCommand::List) => return list(registry, &config).await,
        Some(ModelsCommand::Activate { model }) => ModelCommand::Activate(model),
        Some(ModelsCommand::Rollback) => ModelCommand::Rollback,
        Some(ModelsCommand::Drop { model }) => ModelCommand::Drop(model),
    };
    let metadata = app::open_metadata(registry, &config).await?;
    match app::open_models(registry, &config, metadata.clone()).await {
        Ok(models) => {
            let done = models.run(&command).await?;
            print(&format!("{done}\n"))
        }
        Err(error) if held_by_another(error.kind()) => {
            let asked = command.to_string();
            request_of_models(&*metadata, command, SERVER_PATIENCE).await?;
            print(&format!("done by the running server: {asked}\n"))
        }
        Err(error) => Err(error.into()),
    }
}

/// Returns whether an index that only one process can open may be held by a server.
const fn held_by_another(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::Conflict | ErrorKind::Unavailable)
}

async fn list(registry: &Registry, config: &Config) -> Outcome {
    let metadata = app::open_metadata(registry, config).await?;
    let models = app::open_models(registry, config, metadata)
        .await
        .map_err(|error| {
            if held_by_another(error.kind()) {
                error.context("a server holds the index; GET /v1/models lists the models")
            } else {
                error
            }
        })?;
    let models = models.list().await?;
    if models.is_empty() {
        return print("the library has no vectors yet\n");
    }
    let mut out = String::new();
    for model in &models {
        // Writing to a string can't fail.
        let _ = writeln!(out, "{}", line(model));
    }
    print(&out)
}

fn line(model: &ModelStatus) -> String {
    let ModelStatus {
        info,
        role,
        collection,
        points,
        photos,
        problem,
        configured: _,
    } = model;
    let of = photos.map(|photos| format!(" of {photos}")).unwrap_or_default();
    let problem = problem
        .as_ref()
        .map(|problem| format!(" ({problem})"))
        .unwrap_or_default();
    let (role, fingerprint) = (role.as_str(), &info.fingerprint);
    format!(
        "{role:8}  {}  {points}{of} vectors  {fingerprint}  in {collection}{problem}",
        info.model
    )
}
