//! Embeddings by ONNX Runtime, whose library is found and loaded at run time.
//!
//! [`factory`] is what a registry lists as `type = "onnx"`. It resolves the configured model to a folder, tells its
//! layout by the files in it and puts the model behind [`lucida_core::Batched`]. One layout is read so far: the
//! bundled `starter` (`starter`). A new layout is a module beside it that implements [`lucida_core::Model`] on
//! top of the `runtime` and `session` modules, and a line in the factory.

mod config;
mod device;
mod error;
mod factory;
mod pixels;
mod runtime;
mod session;
mod starter;

pub use config::{Device, OnnxConfig, Precision};
pub use factory::factory;
pub use pixels::{Region, resize};
pub use runtime::Runtime;
