//! Answers as Immich's machine-learning service does: `GET /ping`, and `POST /predict` for smart search.
//!
//! The shapes are those that Immich's server 2.7 and 3.0 send and expect (`machine-learning/immich_ml/main.py`). Immich
//! takes any status but 2xx as a sign that the service is down until its next ping, and reads no body of a failure.

mod answer;
mod config;
mod factory;
mod plugin;
mod predict;
mod request;

pub use config::ApiImmichConfig;
pub use factory::factory;
pub use plugin::ApiImmichPlugin;
