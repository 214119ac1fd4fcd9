//! Blobs on real object stores: the contract on MinIO and SeaweedFS, what goes up and comes down through a bad
//! connection, what settings may say, and stores that are unavailable.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod contract;
mod outages;
mod reads;
mod relay;
mod settings;
mod support;
mod uploads;
