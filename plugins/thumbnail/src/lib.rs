//! Makes previews of configured sizes, once, when a photo is ingested.
//!
//! The plugin takes part in `enrich` alone. Each preview is a JPEG named after its size, such as `320.jpg`, kept in
//! storage beside the original, listed in the photo's `derived` under `thumbnail/320.jpg`, and deleted with the photo.

mod config;
mod factory;
mod name;
mod plugin;
mod preview;

pub use config::ThumbnailConfig;
pub use factory::factory;
pub use name::{CONTENT_TYPE, pick};
pub use plugin::ThumbnailPlugin;
