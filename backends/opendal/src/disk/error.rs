//! What the operating system's errors mean to a caller of the disk storage.

use std::error::Error as _;
use std::fmt::Display;
use std::io::{self, ErrorKind as Io};
use std::path::Path;

use lucida_core::{Error, ErrorKind};

/// Returns the operating system's error under one of OpenDAL's.
pub(super) fn io_error(error: &opendal::Error) -> io::Error {
    let mut source = error.source();
    while let Some(under) = source {
        if let Some(found) = under.downcast_ref::<io::Error>() {
            return match found.raw_os_error() {
                Some(code) => io::Error::from_raw_os_error(code),
                None => io::Error::new(found.kind(), found.to_string()),
            };
        }
        source = under.source();
    }
    #[expect(clippy::wildcard_enum_match_arm, reason = "OpenDAL's kinds are open-ended")]
    let kind = match error.kind() {
        opendal::ErrorKind::NotFound => Io::NotFound,
        opendal::ErrorKind::IsADirectory => Io::IsADirectory,
        opendal::ErrorKind::NotADirectory => Io::NotADirectory,
        opendal::ErrorKind::PermissionDenied => Io::PermissionDenied,
        // The file has become shorter since it was opened.
        opendal::ErrorKind::RangeNotSatisfied => Io::UnexpectedEof,
        _ => Io::Other,
    };
    io::Error::new(kind, error.message().to_owned())
}

/// Returns whether the error means that there is no blob of that name, and can't be; a folder of that name is not one.
pub(super) fn is_absent(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        Io::NotFound | Io::NotADirectory | Io::IsADirectory | Io::DirectoryNotEmpty | Io::InvalidFilename
    )
}

/// Makes the error of a root whose disk is not mounted.
pub(super) fn missing_root(root: &Path) -> Error {
    let root = root.display();
    Error::unavailable(format!(
        "the folder `{root}` of storage.disk.root is gone or empty: mount its disk again"
    ))
}

/// Makes the error of an operation of the disk that failed; never `NotFound`.
pub(super) fn failed(doing: impl Display, error: io::Error) -> Error {
    #[expect(clippy::wildcard_enum_match_arm, reason = "std's kinds are open-ended")]
    let made = match error.kind() {
        Io::StorageFull | Io::QuotaExceeded => {
            Error::unavailable("the disk is full: free space, or move storage.disk.root to a larger disk")
                .with_code("storage_full")
        }
        Io::PermissionDenied | Io::ReadOnlyFilesystem => Error::new(
            ErrorKind::PermissionDenied,
            "this process may not use the folder of storage.disk.root: change its owner or its mode",
        ),
        Io::CrossesDevices => Error::new(
            ErrorKind::ConfigInvalid,
            "storage.disk.root contains a mount or a link to another file system: all of it must be on one file system",
        )
        .with_field("root"),
        Io::NotADirectory | Io::IsADirectory => Error::invalid(
            "a blob has the name of a folder that holds other blobs: on disk, keys such as `a` and `a/b` exclude each other",
        ),
        Io::InvalidFilename | Io::FileTooLarge => {
            Error::invalid("the name or the size is beyond the limits of the file system")
        }
        _ => Error::unavailable("the disk failed: check the disk of storage.disk.root"),
    };
    made.with_source(error).context(doing.to_string())
}

/// Makes the error of a root that can't be used; it names the setting.
pub(super) fn bad_root(root: &Path, error: io::Error) -> Error {
    let root = root.display();
    #[expect(clippy::wildcard_enum_match_arm, reason = "std's kinds are open-ended")]
    let made = match error.kind() {
        Io::PermissionDenied | Io::ReadOnlyFilesystem => Error::new(
            ErrorKind::PermissionDenied,
            format!(
                "folder `{root}` can't be written to: change its owner or mode, or set storage.disk.root to another"
            ),
        ),
        Io::NotADirectory | Io::AlreadyExists => Error::new(
            ErrorKind::ConfigInvalid,
            format!("`{root}` is a file or below a file: set storage.disk.root to a folder"),
        ),
        _ => return failed(format!("opening the folder `{root}` of storage.disk.root"), error),
    };
    made.with_field("root").with_source(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_and_a_full_quota_are_unavailable_with_a_code() {
        for kind in [Io::StorageFull, Io::QuotaExceeded] {
            let error = failed("writing blob `a`", kind.into());
            assert_eq!(
                (error.kind(), error.code()),
                (ErrorKind::Unavailable, "storage_full")
            );
            assert!(
                error
                    .to_string()
                    .starts_with("writing blob `a`: the disk is full")
            );
        }
    }

    #[test]
    fn a_vanished_folder_is_not_a_missing_blob() {
        assert_eq!(
            failed("writing blob `a`", Io::NotFound.into()).kind(),
            ErrorKind::Unavailable
        );
    }
}
