//! The commands of an operator on models, as the command line gives them and as one process asks another.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A command on the models of a library.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ModelCommand {
    /// Searches use this model from now on: its name, its collection, or the beginning of its fingerprint.
    Activate(String),
    /// Searches use the model before the last change again.
    Rollback,
    /// The collection of this model is deleted.
    Drop(String),
}

impl fmt::Display for ModelCommand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Activate(model) => write!(f, "activate {model}"),
            Self::Rollback => f.write_str("rollback"),
            Self::Drop(model) => write!(f, "drop {model}"),
        }
    }
}

/// A command for a process that has the index open, from one that can't open it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Request {
    pub(super) id: uuid::Uuid,
    pub(super) command: ModelCommand,
    /// Why the command failed.
    pub(super) error: Option<String>,
}
