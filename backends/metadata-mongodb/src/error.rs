//! The errors of mongodb as Lucida's. A function here for each error type of its library chooses the
//! `ErrorKind`, which decides whether a call is tried again and what a user sees.

use lucida_core::{Error, ErrorKind};

use crate::config::MongodbConfig;

/// Says that an operation is still to be written; goes when the last one is.
pub(crate) fn unwritten(config: &MongodbConfig, operation: &str) -> Error {
    let message = format!(
        "metadata type `mongodb` at {} has no `{operation}` yet",
        config.url
    );
    Error::new(ErrorKind::Unsupported, message)
}
