//! Blobs as files below one folder, with a put that survives a power cut.
//!
//! A key is a path below the root. Names that no key can have are the store's own: `+unfinished` holds the
//! files that are being written, which are synced and then renamed to their key.

mod config;
mod error;
mod factory;
mod folders;
mod read;
mod store;
mod unfinished;
mod walk;

pub use config::DiskConfig;
pub use factory::disk_factory;
pub use store::DiskStorage;
