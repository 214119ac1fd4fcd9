//! The errors of rabbitmq as Lucida's. A function here for each error type of its library chooses the
//! `ErrorKind`, which decides whether a call is tried again and what a user sees.

use lucida_core::{Error, ErrorKind};

use crate::config::RabbitmqConfig;

/// Says that an operation is still to be written; goes when the last one is.
pub(crate) fn unwritten(config: &RabbitmqConfig, operation: &str) -> Error {
    let message = format!("queue type `rabbitmq` at {} has no `{operation}` yet", config.url);
    Error::new(ErrorKind::Unsupported, message)
}
