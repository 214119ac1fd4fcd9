//! Lets agents search and look at photos, over the Model Context Protocol (`POST /mcp`, streamable HTTP).
//!
//! The protocol is rmcp's, the official SDK: without sessions, each request is whole in itself. The tools work on the
//! library of the server by [`lucida_core::Library`], for the user of the caller's key.

mod answers;
mod arguments;
mod calls;
mod config;
mod factory;
mod plugin;
mod refusal;
mod server;
mod tool;

pub use config::McpConfig;
pub use factory::factory;
pub use plugin::McpPlugin;
