//! The settings of the plugin.

use lucida_core::Settings;
use schemars::JsonSchema;
use serde::Deserialize;

/// What to read from a photo's EXIF.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ExifConfig {
    /// Whether the place is kept among the attributes; the original file keeps it either way. Example: `false`
    #[serde(default = "yes")]
    pub gps: bool,
}

const fn yes() -> bool {
    true
}

impl Default for ExifConfig {
    fn default() -> Self {
        Self { gps: yes() }
    }
}

impl Settings for ExifConfig {}
