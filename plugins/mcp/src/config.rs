//! The settings of the plugin.

use lucida_core::Settings;
use schemars::JsonSchema;
use serde::Deserialize;

/// The plugin's name.
pub(crate) const PLUGIN_NAME: &str = "mcp";

/// What agents may do over the Model Context Protocol, at `/mcp`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct McpConfig {
    /// Whether agents only look, whatever their keys allow. Otherwise a key with the scope `write`, and everybody on a server
    /// without keys, has the tool that adds and removes tags.
    pub read_only: bool,
}

impl Settings for McpConfig {}
