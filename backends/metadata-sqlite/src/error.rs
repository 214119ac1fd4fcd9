//! What SQLite's errors mean to a caller of the metadata store.

use lucida_core::{Error, ErrorKind};
use rusqlite::ErrorCode;

/// Makes Lucida's error of one of SQLite's.
pub(crate) fn failed(doing: &str, error: rusqlite::Error) -> Error {
    described(&error).with_source(error).context(doing)
}

/// Makes Lucida's error of a migration that failed.
pub(crate) fn unmigrated(doing: &str, error: rusqlite_migration::Error) -> Error {
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "the library's errors are open-ended"
    )]
    match error {
        rusqlite_migration::Error::RusqliteError { err, .. } => failed(doing, err),
        other => Error::internal("the schema could not be changed")
            .with_source(other)
            .context(doing),
    }
}

/// Makes the error of one write among several that were to be committed together and were not.
pub(crate) fn uncommitted(error: &rusqlite::Error) -> Error {
    described(error).context(format!("committing to the metadata store ({error})"))
}

fn described(error: &rusqlite::Error) -> Error {
    let Some(code) = error.sqlite_error_code() else {
        return Error::internal("the metadata store has a row that this build can't read");
    };
    #[expect(clippy::wildcard_enum_match_arm, reason = "SQLite's codes are open-ended")]
    match code {
        ErrorCode::DiskFull => {
            Error::unavailable("the disk is full: free space, or move metadata.sqlite.path to a larger disk")
                .with_code("storage_full")
        }
        ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked => Error::unavailable(
            "another process has locked the file of metadata.sqlite.path for too long: stop that process",
        ),
        ErrorCode::SystemIoFailure | ErrorCode::OperationAborted | ErrorCode::OutOfMemory => {
            Error::unavailable("the disk of metadata.sqlite.path failed: check that disk")
        }
        ErrorCode::ReadOnly | ErrorCode::PermissionDenied | ErrorCode::CannotOpen => Error::new(
            ErrorKind::PermissionDenied,
            "the file of metadata.sqlite.path can't be opened for writing: check the owner and mode of it and its folder",
        ),
        ErrorCode::NotADatabase => Error::config(
            "path",
            "the file of metadata.sqlite.path is not a SQLite database: set it to another file",
        ),
        ErrorCode::DatabaseCorrupt => {
            Error::internal("the file of metadata.sqlite.path is damaged: restore it from a backup")
        }
        _ => Error::internal("SQLite refused a statement on the file of metadata.sqlite.path"),
    }
}
