//! The settings of the plugin.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;

use lucida_core::config::check_range;
use lucida_core::{Error, Result, Settings};
use schemars::JsonSchema;
use serde::Deserialize;

/// What a preview may measure.
const SIZES: RangeInclusive<u32> = 16..=8192;

/// What JPEG encoders take.
const QUALITIES: RangeInclusive<u8> = 1..=100;

/// Which previews to make.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ThumbnailConfig {
    /// The long sides of the previews.
    pub sizes_pixels: Vec<u32>,
    /// The JPEG quality, 1 to 100.
    pub quality: u8,
}

impl Default for ThumbnailConfig {
    fn default() -> Self {
        Self {
            sizes_pixels: vec![320, 1280],
            quality: 82,
        }
    }
}

impl Settings for ThumbnailConfig {
    fn validate(&self) -> Result<()> {
        if self.sizes_pixels.is_empty() {
            return Err(Error::config(
                "sizes_pixels",
                "no size is given: give at least one, or leave out the plugin",
            ));
        }
        let mut seen = BTreeSet::new();
        for (at, size) in self.sizes_pixels.iter().enumerate() {
            let field = format!("sizes_pixels[{at}]");
            check_range(field.as_str(), *size, &SIZES)?;
            if !seen.insert(size) {
                return Err(Error::config(
                    field,
                    format!("{size} is listed twice: remove one"),
                ));
            }
        }
        check_range("quality", self.quality, &QUALITIES)
    }
}
