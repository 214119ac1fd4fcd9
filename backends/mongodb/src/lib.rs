//! The photo metadata store in MongoDB, for many processes at once.
//!
//! A document per photo, and everything that must not happen twice rests on one document: a unique index on owner
//! and hash for inserts, the version in the filter for updates. No transaction is needed. Reads go to the primary
//! and writes are acknowledged by a majority, so that a process sees what another one wrote.

mod client;
mod config;
mod error;
mod event;
mod factory;
mod json;
mod layout;
mod list;
mod outbox;
mod photo;
mod store;
mod upgrade;
mod uri;

pub use config::MongodbConfig;
pub use factory::factory;
pub use store::MongodbMetadata;
