//! Checks of what settings name on this machine: that it can be used, without making or changing anything.

use std::fs;
use std::io;
use std::path::Path;

use crate::error::{Error, ErrorKind, Result};

/// Checks that a folder can be written to, or created if it is missing.
///
/// # Errors
/// `ConfigInvalid` with `field`, naming what is in the way.
pub fn writable_folder(field: &str, folder: &Path) -> Result<()> {
    match fs::metadata(folder) {
        Ok(found) if !found.is_dir() => Err(Error::config(
            field,
            format!("{} is a file; expected a folder", folder.display()),
        )),
        Ok(_) => writable(field, folder),
        Err(error) if is_missing(&error) => can_be_made(field, folder),
        Err(error) => Err(unreachable(field, folder, error)),
    }
}

/// Checks that a file can be written to, or created if it is missing, with others beside it.
///
/// # Errors
/// `ConfigInvalid` with `field`, naming what is in the way.
pub fn writable_file(field: &str, file: &Path) -> Result<()> {
    match fs::metadata(file) {
        Ok(found) if found.is_dir() => {
            return Err(Error::config(
                field,
                format!("{} is a folder; expected a file", file.display()),
            ));
        }
        Ok(_) => writable(field, file)?,
        Err(error) if is_missing(&error) => {}
        Err(error) => return Err(unreachable(field, file, error)),
    }
    match file.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        Some(folder) => writable_folder(field, folder),
        None => writable(field, Path::new(".")),
    }
}

/// Checks that a file can be read.
///
/// # Errors
/// `ConfigInvalid` with `field`, naming the file.
pub fn readable_file(field: &str, file: &Path) -> Result<()> {
    let opened = fs::File::open(file).and_then(|opened| opened.metadata());
    let found = opened.map_err(|error| {
        Error::config(field, format!("{} can't be read", file.display())).with_source(error)
    })?;
    if found.is_dir() {
        let message = format!("{} is a folder; expected a file", file.display());
        return Err(Error::config(field, message));
    }
    Ok(())
}

/// Returns whether nothing is at a path, also because a part of it is a file.
fn is_missing(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
    )
}

/// Checks the nearest folder that exists.
fn can_be_made(field: &str, folder: &Path) -> Result<()> {
    let parents = folder.ancestors().skip(1);
    for parent in parents {
        // The first part of a relative path is in the working directory.
        let parent = if parent.as_os_str().is_empty() {
            Path::new(".")
        } else {
            parent
        };
        match fs::metadata(parent) {
            Ok(found) if found.is_dir() => {
                return writable(field, parent)
                    .map_err(|error| error.context(format!("{} can't be created", folder.display())));
            }
            Ok(_) => {
                let message = format!(
                    "{} can't be created: {} is a file",
                    folder.display(),
                    parent.display()
                );
                return Err(Error::config(field, message));
            }
            Err(error) if is_missing(&error) => {}
            Err(error) => return Err(unreachable(field, parent, error)),
        }
    }
    Ok(())
}

#[cfg(unix)]
fn writable(field: &str, path: &Path) -> Result<()> {
    use rustix::fs::{Access, access};

    let mode = if path.is_dir() {
        Access::WRITE_OK | Access::EXEC_OK
    } else {
        Access::WRITE_OK
    };
    access(path, mode).map_err(|error| {
        let message = format!("{} is not writable for this user", path.display());
        Error::config(field, message).with_source(io::Error::from(error))
    })
}

#[cfg(not(unix))]
fn writable(field: &str, path: &Path) -> Result<()> {
    let found = fs::metadata(path).map_err(|error| unreachable(field, path, error))?;
    // Of a folder, the flag says nothing.
    if found.is_file() && found.permissions().readonly() {
        return Err(Error::config(field, format!("{} is read-only", path.display())));
    }
    Ok(())
}

fn unreachable(field: &str, path: &Path, error: io::Error) -> Error {
    Error::new(
        ErrorKind::ConfigInvalid,
        format!("{} can't be opened", path.display()),
    )
    .with_field(field)
    .with_source(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(result: Result<()>) -> String {
        let error = result.unwrap_err();
        assert_eq!(error.field(), Some("path"));
        error.to_string()
    }

    #[test]
    fn what_is_there_and_what_can_be_made_is_right_and_nothing_is_made() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        fs::write(&file, "text").unwrap();
        let missing = folder.path().join("a/b");
        writable_folder("path", folder.path()).unwrap();
        writable_folder("path", &missing).unwrap();
        writable_folder("path", Path::new("data/photos")).unwrap();
        writable_file("path", &file).unwrap();
        writable_file("path", &missing).unwrap();
        writable_file("path", Path::new("here.db")).unwrap();
        readable_file("path", &file).unwrap();
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_file_in_the_way_of_a_folder_and_a_folder_in_that_of_a_file_are_named() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        fs::write(&file, "text").unwrap();
        assert!(message(writable_folder("path", &file)).ends_with("file is a file; expected a folder"));
        let below = message(writable_folder("path", &file.join("a/b")));
        assert!(below.contains(&file.display().to_string()), "{below}");
        assert!(message(writable_file("path", folder.path())).ends_with("is a folder; expected a file"));
        assert!(message(readable_file("path", folder.path())).ends_with("is a folder; expected a file"));
        let missing = folder.path().join("key");
        assert!(message(readable_file("path", &missing)).contains("key can't be read: "));
    }

    #[cfg(unix)]
    #[test]
    fn a_folder_of_another_user_is_named() {
        use std::os::unix::fs::PermissionsExt as _;

        let folder = tempfile::tempdir().unwrap();
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o500)).unwrap();
        // For root, everything is writable.
        if fs::write(folder.path().join("probe"), "").is_ok() {
            return;
        }
        let error = message(writable_folder("path", &folder.path().join("photos")));
        assert!(error.contains("is not writable for this user"), "{error}");
        assert!(error.contains("photos can't be created"), "{error}");
    }
}
