//! Blobs as files below one folder, through OpenDAL's `fs` service, with a put that survives a power cut.
//!
//! A key is a path below the root. Names that no key can have are the store's own: `+unfinished` holds the
//! files that are being written, which are synced and then renamed to their key.

mod config;
mod error;
mod factory;
mod folders;
mod service;
mod unfinished;

pub use config::DiskConfig;
pub use factory::disk_factory;
pub use service::{Disk, DiskStorage};
