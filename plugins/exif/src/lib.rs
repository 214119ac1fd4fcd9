//! Reads what the camera wrote into a photo: when, where and with what.
//!
//! The plugin takes part in `enrich` alone. What it finds becomes `attributes.exif` of the photo, and the time
//! becomes the photo's `taken_at`, unless the user or an earlier plugin knew it. Files without EXIF, or with EXIF
//! that makes no sense, are no failure: then there is less to tell, or nothing.

mod attributes;
mod block;
mod config;
mod date;
mod factory;
mod fields;
mod plugin;
mod taken;

pub use attributes::{ExifAttributes, Place};
pub use config::ExifConfig;
pub use factory::factory;
pub use plugin::ExifPlugin;
pub use taken::{Taken, TakenSource};
