//! Pictures: what format a file has, whether all of it is there, and its pixels, upright.

mod boxes;
mod canvas;
mod complete;
mod crop;
mod decode;
mod format;
mod header;
#[cfg(feature = "heic")]
mod heic;
#[cfg(not(feature = "heic"))]
#[path = "picture/heic_left_out.rs"]
mod heic;
mod jpeg;
mod metadata;
mod normalise;
mod pixels;
mod png_rows;
mod profile;
mod resize;
mod tiff;

pub use crop::{Centring, CropRecipe, CropSize, ResizeTo};
pub use decode::{DecodeOptions, decode, memory_bytes, truncated};
pub use format::ImageFormat;
use format::recognise;
pub use header::{ImageHeader, probe};
pub use metadata::{exif_block, stored_orientation};
pub use normalise::Normaliser;
pub use pixels::Picture;
pub use resize::{Region, ResizeFilter, resize};
