//! The settings that tests open an index with.

use std::path::Path;

use lucida_flat::FlatConfig;

/// Returns the settings of an index in a folder below `folder`.
pub(crate) fn config(folder: &Path) -> FlatConfig {
    FlatConfig {
        path: folder.join("index"),
        ..FlatConfig::default()
    }
}
