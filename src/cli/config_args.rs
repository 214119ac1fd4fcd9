//! The arguments by which every command finds its configuration.

use std::path::PathBuf;

use clap::Args;

use super::outcome::Failure;
use crate::config::{Config, Flag, Sources};
use crate::registry::Registry;

/// Where the configuration comes from.
#[derive(Args)]
pub(super) struct ConfigArgs {
    /// The configuration file; only what differs from the defaults needs to be in it
    #[arg(long, value_name = "FILE", env = "LUCIDA_CONFIG")]
    config: Option<PathBuf>,
    /// Sets one key, such as storage.disk.root=/srv/photos; can be repeated
    #[arg(long, value_name = "KEY=VALUE", value_parser = Flag::parse)]
    set: Vec<Flag>,
}

impl ConfigArgs {
    pub(super) fn load(
        self,
        registry: &Registry,
        flags: impl IntoIterator<Item = Flag>,
    ) -> Result<Config, Failure> {
        let sources = Sources {
            file: self.config,
            variables: Vec::new(),
            flags: self.set.into_iter().chain(flags).collect(),
        };
        Ok(Config::load(registry, &sources.with_environment())?)
    }
}
