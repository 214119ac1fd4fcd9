//! How a command ends, and what it prints.

use std::io::{self, Write as _};

use lucida_core::Error;

use crate::config::Findings;

/// Why a command ended without success.
pub(super) enum Failure {
    /// The configuration is wrong.
    Config(Findings),
    /// Something failed.
    Error(Error),
    /// The command found something wrong, and has reported it.
    Bad,
    /// A signal ended the command before it was done, which it has reported.
    Interrupted,
}

impl From<Findings> for Failure {
    fn from(findings: Findings) -> Self {
        Self::Config(findings)
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Error(error)
    }
}

pub(super) type Outcome = Result<(), Failure>;

/// Prints to the standard output; a closed one is not a failure.
pub(super) fn print(text: &str) -> Outcome {
    match io::stdout().lock().write_all(text.as_bytes()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Error::from(error).context("printing").into())
        }
        Ok(()) | Err(_) => Ok(()),
    }
}
