//! Whether the disk has room for what the engine is about to write.
//!
//! The engine writes through memory maps of sparse files: where the disk is full, such a write is no error but a signal
//! (`SIGBUS`) that ends the process. So the room is looked at first, and a write is refused while it still is one.

use std::path::Path;

use lucida_core::{Error, Result, ResultExt};

/// What must be free to open a collection, or to write points: the engine's files of a fixed size and some to spare.
pub(crate) const WRITE_BYTES: u64 = 128 << 20;
/// What must be free to delete points: less, since deleting is what makes room.
pub(crate) const DELETE_BYTES: u64 = 16 << 20;

/// Checks that so many bytes are free on the disk of `folder`.
///
/// # Errors
/// `Unavailable` (`storage_full`), naming the folder and what is missing.
pub(crate) fn check(folder: &Path, needed_bytes: u64) -> Result<()> {
    let looking = || format!("looking how much room `{}` has", folder.display());
    let free_bytes = fs4::available_space(folder).context(looking())?;
    if free_bytes >= needed_bytes {
        return Ok(());
    }
    let mib = |bytes: u64| bytes >> 20;
    Err(Error::unavailable(format!(
        "the disk of `{}` has {} MiB left and the index needs {}: free space, or move index.embedded.path to a larger disk",
        folder.display(),
        mib(free_bytes),
        mib(needed_bytes),
    ))
    .with_code("storage_full"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_without_room_is_unavailable_and_says_what_is_missing() {
        let folder = tempfile::tempdir().unwrap();
        check(folder.path(), 0).unwrap();
        let error = check(folder.path(), u64::MAX).unwrap_err();
        assert_eq!(
            (error.kind(), error.code()),
            (lucida_core::ErrorKind::Unavailable, "storage_full")
        );
        assert!(error.to_string().contains("index.embedded.path"), "{error}");
    }

    #[test]
    fn a_folder_that_is_not_there_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let absent = folder.path().join("absent");
        assert!(check(&absent, 0).unwrap_err().to_string().contains("absent"));
    }
}
