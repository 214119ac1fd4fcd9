//! Where the servers' programs are, as `cargo xtask` lays them out.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};

use crate::{Kind, variable};

/// The folder that holds each server's programs, and the program of the stand-in for Qdrant.
#[derive(Debug, Clone)]
pub struct Programs {
    folder: PathBuf,
    stand_in: Option<PathBuf>,
}

impl Programs {
    /// Takes the folder that holds a folder for each server, [`Kind::name`], and the stand-in where it has been built.
    #[must_use]
    pub fn new(folder: PathBuf, stand_in: Option<PathBuf>) -> Self {
        Self { folder, stand_in }
    }

    /// Takes what `cargo xtask test` says in the environment; none outside of it.
    #[must_use]
    pub fn from_environment() -> Option<Self> {
        let folder = std::env::var_os(variable::SERVERS)?;
        let stand_in = std::env::var_os(variable::QDRANT_STAND_IN_PROGRAM);
        Some(Self::new(folder.into(), stand_in.map(PathBuf::from)))
    }

    /// The folder that holds a folder for each server.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The program of the stand-in for Qdrant, where it has been built.
    #[must_use]
    pub fn stand_in(&self) -> Option<&Path> {
        self.stand_in.as_deref()
    }

    /// The program `relative` of a server.
    pub(crate) fn find(&self, kind: Kind, relative: &str) -> Result<PathBuf> {
        let program = match kind {
            Kind::QdrantStandIn => {
                let built = self.stand_in.clone();
                built.with_context(|| {
                    format!(
                        "{} is not set: run the tests by `cargo xtask test`",
                        variable::QDRANT_STAND_IN_PROGRAM
                    )
                })?
            }
            Kind::Minio | Kind::Seaweedfs | Kind::Ferretdb | Kind::Rabbitmq => {
                self.folder.join(kind.name()).join(relative)
            }
        };
        if !program.is_file() {
            bail!(
                "no {kind} in {}: `cargo xtask servers` installs it",
                program.display()
            );
        }
        Ok(program)
    }
}
