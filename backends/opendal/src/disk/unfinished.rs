//! Files that are being written: out of sight until they are whole, gone when they never become so.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use uuid::Uuid;

use super::folders::Folders;

/// The folder of unfinished files below the root; `+` is in no key.
pub(super) const FOLDER: &str = "+unfinished";

/// How long nothing was written to an unfinished file before it is taken for what a crash left behind.
/// Other processes may be writing to the same root, so it is far longer than any write takes.
const ABANDONED_AFTER: Duration = Duration::from_secs(24 * 60 * 60);

/// How often a put makes its folder again, which deletes may be removing at the same moment.
const FOLDER_TRIES: usize = 16;

/// Returns a new name for an unfinished file, relative to the root.
pub(super) fn path() -> String {
    format!("{FOLDER}/{}", Uuid::now_v7().simple())
}

/// An unfinished file, which is removed unless it gets its name.
#[derive(Debug)]
pub(super) struct Unfinished {
    path: PathBuf,
    renamed: bool,
}

impl Unfinished {
    /// Takes care of a file, which may not exist yet.
    pub(super) fn at(path: PathBuf) -> Self {
        Self { path, renamed: false }
    }

    /// Gives the file, whose bytes are synced, its name, and syncs the folders that hold it.
    pub(super) fn rename(mut self, folders: &Folders, target: &Path) -> io::Result<()> {
        let folder = target.parent().unwrap_or(folders.root());
        let mut tries = 0;
        while let Err(error) = fs::rename(&self.path, target) {
            tries += 1;
            if error.kind() != ErrorKind::NotFound || tries > FOLDER_TRIES {
                return Err(error);
            }
            folders.make(folder)?;
        }
        self.renamed = true;
        folders.sync(folder)
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        if !self.renamed {
            // Where this fails, the next start cleans up.
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Writes one byte below `root` and takes it back. OpenDAL would make a root that is gone.
pub(super) fn probe(root: &Path) -> io::Result<()> {
    let unfinished = Unfinished::at(root.join(path()));
    File::create_new(&unfinished.path)?.write_all(b"?")
}

/// Removes what crashes left behind long ago.
pub(super) fn clean(root: &Path) -> io::Result<()> {
    let limit = SystemTime::now().checked_sub(ABANDONED_AFTER);
    for entry in fs::read_dir(root.join(FOLDER))? {
        let entry = entry?;
        let abandoned = entry
            .metadata()
            .and_then(|metadata| metadata.modified())
            .is_ok_and(|written| limit.is_some_and(|limit| written < limit));
        if abandoned {
            match fs::remove_file(entry.path()) {
                Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
                Ok(()) | Err(_) => {}
            }
        }
    }
    Ok(())
}
