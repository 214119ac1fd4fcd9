//! The lock that keeps a second process out of the folder, and locks between threads.

use std::fs::{File, TryLockError};
use std::io::{Read, Seek, Write};
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use lucida_core::{Error, Result, ResultExt};

const LOCK_FILE: &str = "lock";

/// Holds the lock of an index folder until it is dropped or the process ends.
#[derive(Debug)]
pub(crate) struct FolderLock {
    _file: File,
}

impl FolderLock {
    /// Takes the lock without waiting.
    ///
    /// # Errors
    /// `Unavailable` when another process holds it; those of the file system.
    pub(crate) fn take(folder: &Path) -> Result<Self> {
        let path = folder.join(LOCK_FILE);
        let locking = || format!("locking `{}`", path.display());
        let mut file = File::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .context(locking())?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut holder = String::new();
                // The id only helps the reader; the lock itself doesn't depend on it.
                let _ = file.read_to_string(&mut holder);
                return Err(Error::unavailable(format!(
                    "another lucida process{} has the index in `{}` open: stop it, set index.embedded.path to another \
                     folder, or use index.type = \"qdrant\" for several processes",
                    holder
                        .trim()
                        .parse::<u32>()
                        .map(|pid| format!(" (pid {pid})"))
                        .unwrap_or_default(),
                    folder.display(),
                )));
            }
            Err(TryLockError::Error(error)) => return Err(Error::from(error).context(locking())),
        }
        let write_pid = |file: &mut File| {
            file.set_len(0)?;
            file.rewind()?;
            writeln!(file, "{}", std::process::id())
        };
        write_pid(&mut file).context(locking())?;
        Ok(Self { _file: file })
    }
}

/// Locks a mutex. What the locks of this crate guard is whole between any two statements, so a thread that panicked
/// while it held one has left nothing half done.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Locks to read, as [`lock`] does.
pub(crate) fn read<T>(lock: &RwLock<T>) -> RwLockReadGuard<'_, T> {
    lock.read().unwrap_or_else(PoisonError::into_inner)
}

/// Locks to write, as [`lock`] does.
pub(crate) fn write<T>(lock: &RwLock<T>) -> RwLockWriteGuard<'_, T> {
    lock.write().unwrap_or_else(PoisonError::into_inner)
}
