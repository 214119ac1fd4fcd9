//! Blob storage, one module per place where blobs can lie; each has its settings, its factory, its store and
//! its errors in files of the same names.

#[cfg(feature = "disk")]
pub mod disk;

#[cfg(feature = "disk")]
pub use disk::{DiskConfig, DiskStorage, disk_factory};
