//! Hands the hooks of a plugin to a program in any language: one JSON call for each, over HTTP or a Unix socket.
//!
//! The program sees each photo's record and a JPEG of the asked size, and answers with tags, attributes and blobs, a
//! refusal, a changed search or a new order of hits. The messages are in `protocol.rs` and, as OpenAPI, in
//! `openapi.json`.

mod config;
mod factory;
mod jpeg;
mod openapi;
mod plugin;
mod program;
mod protocol;

pub use config::RemoteConfig;
pub use factory::factory;
pub use openapi::document;
pub use plugin::RemotePlugin;
