//! Reads pictures: the format of a file, whether it is complete, its pixels, upright, and what a model or a person sees of them.

mod boxes;
mod canvas;
mod complete;
mod crop;
mod decode;
mod error;
mod format;
mod gif;
mod header;
#[cfg(feature = "heic")]
mod heic;
#[cfg(not(feature = "heic"))]
#[path = "heic_left_out.rs"]
mod heic;
mod jpeg;
mod metadata;
mod normalise;
mod pixels;
mod png_rows;
mod preview;
mod profile;
mod resize;
mod tiff;
mod unread;

pub use crop::{Centring, CropRecipe, CropSize, ResizeTo};
pub use decode::{DecodeOptions, decode, memory_bytes};
pub use error::truncated;
use format::recognise;
pub use format::sniff;
pub use header::{ImageHeader, probe};
pub use lucida_core::{ImageFormat, Picture};
pub use metadata::{exif_block, stored_orientation, xmp_property};
pub use normalise::Normaliser;
pub use pixels::for_people;
pub use preview::{encode_jpeg, fitted};
pub use resize::{Region, ResizeFilter, resize};
