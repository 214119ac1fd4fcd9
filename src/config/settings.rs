//! The server's own settings, a struct per table of the config file; those of the parts are in their crates.

mod auth;
mod ingest;
mod log;
mod models;
mod resilience;
mod search;
mod server;
mod worker;

use lucida_core::{Error, Result};

pub use auth::{AuthKey, AuthSettings};
pub use ingest::IngestSettings;
pub use log::{LogFormat, LogSettings};
pub use models::ModelSettings;
pub use resilience::{CallSettings, ResilienceSettings};
pub use search::SearchSettings;
pub use server::{Listen, ServerSettings};
pub use worker::WorkerSettings;

/// Fails for a number below 1.
fn at_least_one(field: &str, number: u64) -> Result<()> {
    if number == 0 {
        return Err(Error::config(field, "must be at least 1"));
    }
    Ok(())
}
