//! Folders that are made when a blob needs them, are durable before its put returns, and go with their last
//! blob.

use std::collections::HashSet;
use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use lucida_core::durable::sync_folder;

/// The folders below the root.
#[derive(Debug)]
pub(super) struct Folders {
    root: PathBuf,
    /// Folders whose own entry in their parent may not be on the disk yet. Whoever puts a blob below one of
    /// them syncs the parent as well, whether it made the folder or merely found it.
    unsynced: Mutex<HashSet<PathBuf>>,
}

impl Folders {
    pub(super) fn new(root: PathBuf) -> Self {
        Self {
            root,
            unsynced: Mutex::default(),
        }
    }

    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    /// Makes a folder below the root and those above it, but never the root: where that has gone, a disk is
    /// not mounted.
    pub(super) fn make(&self, folder: &Path) -> io::Result<()> {
        let mut unsynced = self.unsynced();
        let mut missing = vec![folder];
        while let Some(&folder) = missing.last() {
            match fs::create_dir(folder) {
                Ok(()) => {
                    unsynced.insert(folder.to_owned());
                    missing.pop();
                }
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                    if !folder.is_dir() {
                        return Err(ErrorKind::NotADirectory.into());
                    }
                    missing.pop();
                }
                Err(error) if error.kind() == ErrorKind::NotFound => match folder.parent() {
                    Some(parent) if parent != self.root => missing.push(parent),
                    _ => return Err(error),
                },
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Makes the entries of `folder`, and all above it that are new, survive a power cut.
    pub(super) fn sync(&self, folder: &Path) -> io::Result<()> {
        sync_folder(folder)?;
        let fresh: Vec<PathBuf> = {
            let unsynced = self.unsynced();
            if unsynced.is_empty() {
                return Ok(());
            }
            folder
                .ancestors()
                .take_while(|above| *above != self.root)
                .filter(|above| unsynced.contains(*above))
                .map(Path::to_owned)
                .collect()
        };
        for made in fresh {
            if let Some(parent) = made.parent() {
                sync_folder(parent)?;
            }
            self.unsynced().remove(&made);
        }
        Ok(())
    }

    /// Removes a folder and those above it, up to the first that holds something.
    pub(super) fn prune(&self, folder: &Path) {
        for folder in folder.ancestors().take_while(|above| *above != self.root) {
            let mut unsynced = self.unsynced();
            if fs::remove_dir(folder).is_err() {
                return;
            }
            unsynced.remove(folder);
        }
    }

    fn unsynced(&self) -> MutexGuard<'_, HashSet<PathBuf>> {
        self.unsynced.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_stay_unsynced_until_a_blob_below_them_is_synced() {
        let root = tempfile::tempdir().unwrap();
        let folders = Folders::new(root.path().to_owned());
        let deep = root.path().join("a/b/c");
        folders.make(&deep).unwrap();
        folders.make(&root.path().join("x")).unwrap();
        assert_eq!(folders.unsynced().len(), 4);
        folders.sync(&deep).unwrap();
        assert_eq!(*folders.unsynced(), HashSet::from([root.path().join("x")]));
    }

    #[test]
    fn pruning_stops_at_what_is_in_use_and_at_the_root() {
        let root = tempfile::tempdir().unwrap();
        let folders = Folders::new(root.path().to_owned());
        let deep = root.path().join("a/b/c");
        folders.make(&deep).unwrap();
        fs::write(root.path().join("a/kept"), b"").unwrap();
        folders.prune(&deep);
        assert!(root.path().join("a").is_dir() && !root.path().join("a/b").exists());
        fs::remove_file(root.path().join("a/kept")).unwrap();
        folders.prune(&root.path().join("a"));
        assert!(root.path().is_dir() && !root.path().join("a").exists());
        assert!(folders.unsynced().is_empty());
    }

    #[test]
    fn a_root_that_has_gone_is_not_made_again() {
        let parent = tempfile::tempdir().unwrap();
        let root = parent.path().join("unmounted");
        let folders = Folders::new(root.clone());
        assert_eq!(
            folders.make(&root.join("a/b")).unwrap_err().kind(),
            ErrorKind::NotFound
        );
        assert!(!root.exists());
    }
}
