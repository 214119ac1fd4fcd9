//! Embeddings by ONNX Runtime, whose library is found and loaded at run time.
//!
//! [`factory`] is what a registry lists as `type = "onnx"`. It finds the configured model, tells its layout by the files in
//! its folder and puts the model behind [`lucida_core::Batched`]. Two layouts are read: the bundled `starter`
//! (`starter`), and checkpoints in the layouts that people publish (`checkpoint`), for which a graph is written here
//! (`graph`, `proto`). A new layout is a module beside them that implements [`lucida_core::Model`] on top of the
//! `runtime` and `session` modules, and a line in the factory.

mod checkpoint;
mod config;
mod device;
mod error;
mod factory;
mod graph;
mod pixels;
mod proto;
mod runtime;
mod session;
mod starter;

pub use config::{Device, OnnxConfig, Precision};
pub use factory::factory;
pub use pixels::{Region, resize};
pub use runtime::Runtime;
