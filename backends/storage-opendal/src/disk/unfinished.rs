//! Files that are being written: out of sight until they are whole, gone when they never become so.

use std::fs::{self, File};
use std::io::{self, ErrorKind, IoSlice, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use uuid::Uuid;

use super::folders::Folders;

/// The folder of unfinished files below the root; `+` is in no key.
pub(super) const FOLDER: &str = "+unfinished";

/// How long nothing was written to an unfinished file before it is taken for what a crash left behind.
/// Other processes may be writing to the same root, so it is far longer than any write takes.
const ABANDONED_AFTER: Duration = Duration::from_secs(24 * 60 * 60);

/// How often a put makes its folder again, which deletes may be removing at the same moment.
const FOLDER_TRIES: usize = 16;

/// A file that is being written, and is removed unless it is finished.
#[derive(Debug)]
pub(super) struct Unfinished {
    path: PathBuf,
    file: File,
    finished: bool,
}

impl Unfinished {
    /// Starts a file below `root`.
    pub(super) fn create(root: &Path) -> io::Result<Self> {
        let path = root.join(FOLDER).join(Uuid::now_v7().simple().to_string());
        let file = File::create_new(&path)?;
        Ok(Self {
            path,
            file,
            finished: false,
        })
    }

    /// Appends pieces, in as few calls of the system as it takes.
    pub(super) fn write(&mut self, pieces: &[Bytes]) -> io::Result<()> {
        let mut slices: Vec<IoSlice<'_>> = pieces.iter().map(|piece| IoSlice::new(piece)).collect();
        let mut left = slices.as_mut_slice();
        while !left.is_empty() {
            match self.file.write_vectored(left) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(written) => IoSlice::advance_slices(&mut left, written),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Gives the file its name, durably: first its bytes, then its name, then the folders that hold it.
    pub(super) fn finish(mut self, folders: &Folders, target: &Path) -> io::Result<()> {
        let folder = target.parent().unwrap_or(folders.root());
        self.file.sync_data()?;
        let mut tries = 0;
        while let Err(error) = fs::rename(&self.path, target) {
            tries += 1;
            if error.kind() != ErrorKind::NotFound || tries > FOLDER_TRIES {
                return Err(error);
            }
            folders.make(folder)?;
        }
        self.finished = true;
        folders.sync(folder)
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        if !self.finished {
            // Where this fails, the next start cleans up.
            let _ = fs::remove_file(&self.path);
        }
    }
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
