//! Blob storage through [OpenDAL](opendal::Operator): one [`Storage`](lucida_core::Storage) for every service, and a module
//! per service with its settings, its factory, its errors, and what OpenDAL lacks there.

#[cfg(feature = "disk")]
pub mod disk;
#[cfg(any(feature = "disk", feature = "s3"))]
mod list;
#[cfg(any(feature = "disk", feature = "s3"))]
mod read;
#[cfg(feature = "s3")]
pub mod s3;
#[cfg(any(feature = "disk", feature = "s3"))]
mod service;
#[cfg(any(feature = "disk", feature = "s3"))]
mod store;
#[cfg(any(feature = "disk", feature = "s3"))]
mod upload;

#[cfg(feature = "disk")]
pub use disk::{DiskConfig, DiskStorage, disk_factory};
#[cfg(feature = "s3")]
pub use s3::{S3Config, S3Storage, s3_factory};
#[cfg(any(feature = "disk", feature = "s3"))]
pub use store::OpendalStorage;
