//! The errors of qdrant as Lucida's. A function here for each error type of its library chooses the
//! `ErrorKind`, which decides whether a call is tried again and what a user sees.

use lucida_core::{Error, ErrorKind};

use crate::config::QdrantConfig;

/// Says that an operation is still to be written; goes when the last one is.
pub(crate) fn unwritten(config: &QdrantConfig, operation: &str) -> Error {
    let message = format!("index type `qdrant` at {} has no `{operation}` yet", config.url);
    Error::new(ErrorKind::Unsupported, message)
}
