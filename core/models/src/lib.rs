//! Models: how a synchronous [`Model`] becomes an embedder, model folders in the layouts that people publish, and the
//! hub that they are fetched from.
//!
//! With the feature `checkpoint` the crate reads folders ([`checkpoint`]) and downloads them ([`hub`]). Without it there
//! is only what models of any kind need: [`Model`], [`Tower`], [`Batched`], and [`ModelPool`] for several of them.

mod batched;
#[cfg(feature = "checkpoint")]
pub mod checkpoint;
#[cfg(feature = "checkpoint")]
mod export_only;
#[cfg(feature = "checkpoint")]
pub mod hub;
mod model;
mod pool;

pub use batched::{BatchOptions, BatchSettings, Batched};
pub use model::{Model, TextInput, Tower};
pub use pool::{ModelPool, ModelSpec, OpenEmbedder, PooledModel};
