//! Folders whose entries survive a power cut.

use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::path::Path;

/// Makes the entries of a folder durable; a missing folder has none.
///
/// Some network file systems and FUSE drivers can't sync a folder and answer `EINVAL` or `ENOTSUP`; they order
/// the entries in their own way, so this is not an error. Systems other than Unix can't open a folder as a file.
///
/// # Errors
/// Any other error of the file system, such as `EIO`.
pub fn sync_folder(folder: &Path) -> io::Result<()> {
    if cfg!(not(unix)) {
        return Ok(());
    }
    match File::open(folder) {
        Ok(folder) => unless_unsupported(folder.sync_all()),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

/// Makes a folder and the missing ones above it, durably.
///
/// # Errors
/// Those of the file system; `NotADirectory` where a file has the name.
pub fn make_folder(folder: &Path) -> io::Result<()> {
    let folder = std::path::absolute(folder)?;
    let missing: Vec<&Path> = folder.ancestors().take_while(|above| !above.exists()).collect();
    fs::create_dir_all(&folder)?;
    if !folder.is_dir() {
        return Err(ErrorKind::NotADirectory.into());
    }
    for made in missing.into_iter().rev() {
        if let Some(parent) = made.parent() {
            sync_folder(parent)?;
        }
    }
    Ok(())
}

fn unless_unsupported(synced: io::Result<()>) -> io::Result<()> {
    // `InvalidInput` is EINVAL, `Unsupported` is ENOTSUP and ENOSYS.
    match synced {
        Err(error) if matches!(error.kind(), ErrorKind::InvalidInput | ErrorKind::Unsupported) => Ok(()),
        synced => synced,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// No folder below `/proc` can be synced.
    #[cfg(target_os = "linux")]
    #[test]
    fn a_file_system_that_cannot_sync_folders_is_fine() {
        let folder = Path::new("/proc/self");
        let error = File::open(folder).unwrap().sync_all().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        sync_folder(folder).unwrap();
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_disk_that_fails_is_an_error_and_a_missing_feature_is_not() {
        let (eio, einval, enotsup, enospc) = (5, 22, 95, 28);
        for (code, fine) in [(einval, true), (enotsup, true), (eio, false), (enospc, false)] {
            let synced = unless_unsupported(Err(io::Error::from_raw_os_error(code)));
            assert_eq!(synced.is_ok(), fine, "error {code}");
        }
    }

    #[test]
    fn a_folder_is_made_with_those_above_it_and_a_file_in_its_place_is_an_error() {
        let root = tempfile::tempdir().unwrap();
        let deep = root.path().join("a/b/c");
        make_folder(&deep).unwrap();
        make_folder(&deep).unwrap();
        assert!(deep.is_dir());
        fs::write(deep.join("file"), "").unwrap();
        make_folder(&deep.join("file")).unwrap_err();
        make_folder(&deep.join("file/below")).unwrap_err();
    }
}
