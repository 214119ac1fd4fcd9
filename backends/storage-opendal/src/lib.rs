//! Blob storage, one module per place where blobs can lie; each has its settings, its factory, its store and
//! its errors in files of the same names.

#[cfg(feature = "disk")]
pub mod disk;
#[cfg(any(feature = "disk", feature = "s3"))]
mod range;
#[cfg(feature = "s3")]
pub mod s3;

#[cfg(feature = "disk")]
pub use disk::{DiskConfig, DiskStorage, disk_factory};
#[cfg(feature = "s3")]
pub use s3::{S3Config, S3Storage, s3_factory};
