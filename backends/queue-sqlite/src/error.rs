//! What SQLite's errors mean to a caller of the queue.

use lucida_core::{Error, ErrorKind};
use rusqlite::ErrorCode;

/// Makes Lucida's error of a migration that failed.
pub(crate) fn unmigrated(doing: &str, error: rusqlite_migration::Error) -> Error {
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "the library's errors are open-ended"
    )]
    match error {
        rusqlite_migration::Error::RusqliteError { err, .. } => failed(doing, &err),
        other => Error::internal("the schema could not be changed")
            .with_source(other)
            .context(doing),
    }
}

/// Makes Lucida's error of one of SQLite's, which several callers may wait for.
pub(crate) fn failed(doing: &str, error: &rusqlite::Error) -> Error {
    let made = match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => {
            Error::unavailable("the disk is full: free space, or move queue.sqlite.path to a larger disk")
                .with_code("storage_full")
        }
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Error::unavailable(
            "another process has locked the file of queue.sqlite.path for too long: stop that process",
        ),
        Some(ErrorCode::SystemIoFailure | ErrorCode::OperationAborted | ErrorCode::OutOfMemory) => {
            Error::unavailable("the disk of queue.sqlite.path failed: check that disk")
        }
        Some(ErrorCode::ReadOnly | ErrorCode::PermissionDenied | ErrorCode::CannotOpen) => Error::new(
            ErrorKind::PermissionDenied,
            "the file of queue.sqlite.path can't be opened for writing: check the owner and mode of it and its folder",
        ),
        Some(ErrorCode::NotADatabase) => Error::config(
            "path",
            "the file of queue.sqlite.path is not a SQLite database: set it to another file",
        ),
        Some(ErrorCode::DatabaseCorrupt) => Error::internal(
            "the file of queue.sqlite.path is damaged: move it away, and the jobs are made again from the metadata store",
        ),
        _ => Error::internal("SQLite refused a statement on the file of queue.sqlite.path"),
    };
    made.context(format!("{doing} ({error})"))
}
