//! Vectors from another server, by the protocol that it speaks: Lucida's own, OpenAI's embeddings, text-embeddings-inference's, or
//! that of Immich's machine-learning service.
//!
//! [`Remote`] is `lucida-models`' queue and batches in front of two towers that compute nothing and ask the server. A `Watch`
//! per tower notices a model that has changed behind its name before its vectors get mixed with those of the earlier one. The
//! README beside this crate says how.

mod client;
mod config;
mod embedder;
mod error;
mod factory;
mod greeting;
mod picture;
mod probe;
mod protocol;
mod runtime;
mod tower;
mod watch;

pub use config::{PictureFormat, Protocol, RemoteConfig};
pub use embedder::Remote;
pub use factory::factory;
