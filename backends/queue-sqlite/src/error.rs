//! What SQLite's errors mean to a caller of the queue.

use lucida_core::{Error, ErrorKind};
use rusqlite::ErrorCode;

/// Makes Lucida's error of one of SQLite's, which several callers may have to be told of.
pub(crate) fn failed(doing: &str, error: &rusqlite::Error) -> Error {
    let made = match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => {
            Error::unavailable("the disk is full: free space, or move queue.sqlite.path to a larger disk")
                .with_code("storage_full")
        }
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
            Error::unavailable("another process has kept the queue locked for too long")
        }
        Some(ErrorCode::SystemIoFailure | ErrorCode::OperationAborted | ErrorCode::OutOfMemory) => {
            Error::unavailable("the disk of queue.sqlite.path failed")
        }
        Some(ErrorCode::ReadOnly | ErrorCode::PermissionDenied | ErrorCode::CannotOpen) => Error::new(
            ErrorKind::PermissionDenied,
            "the file of queue.sqlite.path can't be opened for writing: check the owner and mode of it and its folder",
        ),
        Some(ErrorCode::NotADatabase) => Error::config(
            "path",
            "the file of queue.sqlite.path is no SQLite database: set it to another file",
        ),
        Some(ErrorCode::DatabaseCorrupt) => Error::internal(
            "the queue's file is damaged: move it away; the ledger knows what is to be done, and jobs are made anew",
        ),
        _ => Error::internal("the queue's database refused"),
    };
    made.context(format!("{doing} ({error})"))
}
