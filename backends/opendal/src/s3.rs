//! Blobs as objects in a bucket of S3, or of a store that speaks its protocol: MinIO, Ceph, SeaweedFS and others.
//!
//! OpenDAL signs the requests and reads the answers; they go out over the HTTP client that the workspace has
//! anyway. A blob is one object. One that is larger than a part goes up in several, of which only a few are in
//! memory, and does not exist before the store has put them together.

mod bucket;
mod config;
mod error;
mod factory;
mod read;
mod transport;

pub use bucket::{Bucket, S3Storage};
pub use config::{Encryption, S3Config};
pub use factory::s3_factory;
