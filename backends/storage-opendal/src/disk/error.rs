//! What the operating system's errors mean to a caller of the disk storage.

use std::fmt::Display;
use std::io::{self, ErrorKind as Io};
use std::path::Path;

use lucida_core::{BlobKey, Error, ErrorKind};

/// Tells whether the error means that there is no blob of that name, and can't be.
pub(super) fn is_absent(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        Io::NotFound | Io::NotADirectory | Io::IsADirectory | Io::InvalidFilename
    )
}

/// Makes the error of a blob that isn't there.
pub(super) fn absent(key: &BlobKey) -> Error {
    Error::not_found(format!("blob `{key}` is not stored"))
}

/// Makes the error of something that went wrong with the disk; never `NotFound`.
pub(super) fn failed(doing: impl Display, error: io::Error) -> Error {
    #[expect(clippy::wildcard_enum_match_arm, reason = "std's kinds are open-ended")]
    let made = match error.kind() {
        Io::StorageFull | Io::QuotaExceeded => {
            Error::unavailable("the disk is full: free space, or move storage.disk.root to a larger disk")
                .with_code("storage_full")
        }
        Io::PermissionDenied | Io::ReadOnlyFilesystem => Error::new(
            ErrorKind::PermissionDenied,
            "the folder of storage.disk.root may not be used by this process: change its owner or its mode",
        ),
        Io::CrossesDevices => Error::new(
            ErrorKind::ConfigInvalid,
            "storage.disk.root holds a mount or a link to another file system: it must be one file system",
        )
        .with_field("root"),
        Io::NotADirectory | Io::IsADirectory => Error::invalid(
            "a blob's name is another one's folder: keys such as `a` and `a/b` exclude each other on disk",
        ),
        Io::InvalidFilename | Io::FileTooLarge => {
            Error::invalid("the name or the size is more than the file system can hold")
        }
        _ => Error::unavailable("the disk failed"),
    };
    made.with_source(error).context(doing.to_string())
}

/// Makes the error of a root that can't be used, which names the setting.
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
            format!("`{root}` is a file or lies below one: set storage.disk.root to a folder"),
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
    fn a_vanished_folder_is_no_missing_blob() {
        assert_eq!(
            failed("writing blob `a`", Io::NotFound.into()).kind(),
            ErrorKind::Unavailable
        );
    }
}
