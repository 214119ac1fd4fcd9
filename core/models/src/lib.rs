//! Models: how a synchronous [`Model`] becomes an embedder, model folders in the layouts that people publish, and the
//! hub that they are fetched from.
//!
//! With the feature `checkpoint` the crate reads folders ([`checkpoint`]) and downloads them ([`hub`]). Without it there
//! is only what a model of any kind needs: [`Model`], [`Tower`] and [`Batched`].

mod batched;
#[cfg(feature = "checkpoint")]
pub mod checkpoint;
#[cfg(feature = "checkpoint")]
pub mod hub;
mod model;

pub use batched::{BatchOptions, BatchSettings, Batched};
pub use model::{Model, Tower};
