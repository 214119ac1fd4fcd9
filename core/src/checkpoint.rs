//! Model folders in the layouts that people publish: what they hold, read once for every engine.
//!
//! An engine asks for a [`hub`] repository's folder, if the model is not a folder already.

pub mod hub;
