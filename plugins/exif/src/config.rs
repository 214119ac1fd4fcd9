//! The settings of the plugin.

use lucida_core::Settings;
use schemars::JsonSchema;
use serde::Deserialize;

/// What to read from a photo's EXIF.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ExifConfig {
    /// Whether the attributes include the location; the original file keeps it either way.
    pub gps: bool,
}

impl Default for ExifConfig {
    fn default() -> Self {
        Self { gps: true }
    }
}

impl Settings for ExifConfig {}
