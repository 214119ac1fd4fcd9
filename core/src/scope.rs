//! What a key may do.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What a key may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// Turn texts and pictures into vectors.
    Embed,
    /// Look at photos and search them.
    Read,
    /// Upload, retry and delete photos.
    Write,
}

impl Scope {
    /// Every scope.
    pub const ALL: [Self; 3] = [Self::Embed, Self::Read, Self::Write];

    /// Returns the name that the configuration uses.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Embed => "embed",
            Self::Read => "read",
            Self::Write => "write",
        }
    }
}
