//! What SQLite's errors mean to a caller of the index.

use std::path::Path;

use lucida_core::{Error, ErrorKind, Result};
use rusqlite::ErrorCode;

/// Maps SQLite's error of one step.
pub(crate) trait Step<T> {
    /// Says what was being done, such as "reading vectors".
    fn doing(self, doing: &str) -> Result<T>;
}

impl<T> Step<T> for rusqlite::Result<T> {
    fn doing(self, doing: &str) -> Result<T> {
        self.map_err(|error| described(&error).with_source(error).context(doing))
    }
}

/// Makes the error of one write among several that were committed together and failed together.
pub(crate) fn uncommitted(error: &rusqlite::Error) -> Error {
    described(error).context(format!("writing to the index ({error})"))
}

/// Makes the error for an index whose file has lost what it held. Nothing in it is irreplaceable.
pub(crate) fn damaged(what: &str) -> Error {
    Error::internal(format!(
        "the index's file is damaged ({what}): stop the server, move the folder of index.embedded.path away, and \
         start again; the photos are then embedded again from their originals"
    ))
    .with_code("index_damaged")
}

/// Adds which folder an error is about.
pub(crate) fn opening(folder: &Path) -> String {
    format!("opening index `{}`", folder.display())
}

fn described(error: &rusqlite::Error) -> Error {
    let Some(code) = error.sqlite_error_code() else {
        return damaged("a value has an unexpected type");
    };
    #[expect(clippy::wildcard_enum_match_arm, reason = "SQLite's codes are open-ended")]
    match code {
        ErrorCode::DiskFull => Error::unavailable(
            "the disk of the index is full: free space, or move index.embedded.path to a larger disk",
        )
        .with_code("storage_full"),
        ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked => {
            Error::unavailable("another program has kept the index's file locked for too long")
        }
        ErrorCode::SystemIoFailure | ErrorCode::OperationAborted | ErrorCode::OutOfMemory => {
            Error::unavailable("the disk of index.embedded.path failed")
        }
        ErrorCode::ReadOnly | ErrorCode::PermissionDenied | ErrorCode::CannotOpen => Error::new(
            ErrorKind::PermissionDenied,
            "the file of the index can't be opened for writing: check the owner and mode of the folder of \
             index.embedded.path and of the files in it",
        ),
        ErrorCode::NotADatabase => damaged("it is not a database"),
        ErrorCode::DatabaseCorrupt => damaged("SQLite found a malformed page"),
        _ => Error::internal("the index's database refused the call"),
    }
}
