//! The HTTP surface as its clients see it: a server that really listens, on memory parts and a small real model.
//!
//! One binary, since each would be linked with every backend; one module per user story.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod auth;
mod bounds;
mod clients;
mod content;
mod cors;
mod dates;
mod deadline;
mod embed;
mod endpoints;
#[cfg(feature = "plugin-api-immich")]
mod immich;
mod library;
mod limits;
mod models;
mod operate;
mod plugins;
mod search;
mod server;
mod shutdown;
mod upload;
