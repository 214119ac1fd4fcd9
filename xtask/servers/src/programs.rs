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

    /// What a test needs that starts servers of `kinds`; where something is missing, it says so and the test is skipped.
    ///
    /// # Panics
    /// Where something is missing and the variable `CI` is set, as `cargo xtask ci` sets it.
    #[must_use]
    pub fn or_skip(kinds: &[Kind]) -> Option<Self> {
        let found = Self::from_environment()
            .with_context(|| format!("{} is not set (`cargo xtask test` sets it)", variable::SERVERS));
        let complete = found.and_then(|programs| {
            for kind in kinds {
                programs.program(*kind)?;
            }
            Ok(programs)
        });
        match complete {
            Ok(programs) => Some(programs),
            Err(error) => {
                eprintln!("skipped: {error:#}");
                assert!(std::env::var_os("CI").is_none(), "CI must not skip this test");
                None
            }
        }
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

    /// The program that starts a server.
    pub(crate) fn program(&self, kind: Kind) -> Result<PathBuf> {
        let program = match kind {
            Kind::Minio => self.folder_of(kind).join("minio"),
            Kind::Seaweedfs => self.folder_of(kind).join("weed"),
            Kind::Ferretdb => self.folder_of(kind).join("ferretdb"),
            Kind::Rabbitmq => self.folder_of(kind).join("lib/rabbitmq/bin/rabbitmq-server"),
            Kind::QdrantStandIn => self.stand_in.clone().with_context(|| {
                format!(
                    "{} is not set (`cargo xtask test` sets it)",
                    variable::QDRANT_STAND_IN_PROGRAM
                )
            })?,
            Kind::Mongodb | Kind::Qdrant => bail!("{kind} only comes as a Docker image"),
        };
        if !program.is_file() {
            bail!(
                "no {kind} in {}: `cargo xtask servers` installs it",
                program.display()
            );
        }
        Ok(program)
    }

    /// The folder of a server that is installed.
    pub(crate) fn folder_of(&self, kind: Kind) -> PathBuf {
        self.folder.join(kind.name())
    }
}
