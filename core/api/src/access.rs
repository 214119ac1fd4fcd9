//! Who may make a plugin's calls.

use lucida_core::{Access, Scope};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Who may ask.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Auth {
    /// A caller with a key; on a server without keys, everybody on its own machine.
    #[default]
    Key,
    /// Everybody who reaches the server.
    None,
}

impl Auth {
    /// Returns the access of a call that embeds.
    #[must_use]
    pub const fn to_embed(self) -> Access {
        match self {
            Self::Key => Access::scope(Scope::Embed),
            Self::None => Access::Open,
        }
    }

    /// Returns the access of a call that only describes the server: any key will do.
    #[must_use]
    pub const fn to_look(self) -> Access {
        match self {
            Self::Key => Access::Key {
                scope: None,
                also_in: None,
            },
            Self::None => Access::Open,
        }
    }
}
