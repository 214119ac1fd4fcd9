//! Embeddings by ONNX Runtime, whose library is found and loaded at run time.
//!
//! [`factory`] is what a registry lists as `type = "onnx"`. It finds the configured model, recognises its layout by the files in
//! its folder and puts the model behind [`lucida_models::Batched`]. Two kinds are read: the bundled `starter`
//! (`starter`), and the layouts that people publish (`published`), whose towers are run from ONNX files where there are some
//! (`export`) and else from their weights (`checkpoint`), for which a graph is written here (`graph`, `proto`). A new layout is a module beside them that implements [`lucida_models::Model`] on top of the
//! `runtime` and `session` modules, and a line in the factory.

mod centred;
mod checkpoint;
mod config;
mod device;
mod error;
mod export;
mod factory;
mod graph;
mod pair;
mod pixels;
mod proto;
mod published;
mod runtime;
mod session;
mod starter;

pub use config::OnnxConfig;
pub use device::{Device, Precision};
pub use factory::factory;
pub use pixels::{Region, resize};
pub use runtime::Runtime;
