//! Who lives: each open queue holds the lock of a file of its own, which the system lets go when the process ends,
//! however it ends. So the jobs of a dead process come back at once, without a heartbeat and its delay.

use std::ffi::OsString;
use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use lucida_core::{Error, Result};
use uuid::Uuid;

/// An open queue's name among the owners of jobs; dropping it shows the others that it is gone.
#[derive(Debug)]
pub(crate) struct Owner {
    folder: PathBuf,
    name: String,
    /// Holds the lock.
    _file: File,
}

impl Owner {
    /// Enters the owners of the queue at `path` under a new name, and forgets those that died.
    pub(crate) fn register(path: &Path) -> Result<Self> {
        let mut folder = OsString::from(path);
        folder.push("-owners");
        let folder = PathBuf::from(folder);
        Self::enter(&folder).map_err(|error| {
            Error::from(error).with_field("path").context(format!(
                "locking a file in `{}`, beside queue.sqlite.path",
                folder.display()
            ))
        })
    }

    fn enter(folder: &Path) -> io::Result<Self> {
        fs::create_dir_all(folder)?;
        for entry in fs::read_dir(folder)? {
            if let Some(name) = entry?.file_name().to_str() {
                is_alive(folder, name);
            }
        }
        loop {
            let name = Uuid::now_v7().simple().to_string();
            let path = folder.join(&name);
            let file = File::create_new(&path)?;
            match file.try_lock() {
                // Somebody may have found it without a lock, and removed it.
                Ok(()) if path.exists() => {
                    return Ok(Self {
                        folder: folder.to_owned(),
                        name,
                        _file: file,
                    });
                }
                Ok(()) | Err(TryLockError::WouldBlock) => {}
                Err(TryLockError::Error(error)) => return Err(error),
            }
        }
    }

    /// Returns the name.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Returns whether the owner of that name, in whichever process, lives.
    pub(crate) fn is_alive(&self, name: &str) -> bool {
        name == self.name || is_alive(&self.folder, name)
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        // Where this fails, the lock goes all the same, and the next owner cleans up.
        let _ = fs::remove_file(self.folder.join(&self.name));
    }
}

/// Returns whether anybody holds the lock of a name, and removes the file of one that nobody holds.
fn is_alive(folder: &Path, name: &str) -> bool {
    let path = folder.join(name);
    let file = match File::open(&path) {
        Ok(file) => file,
        Err(error) => return error.kind() != io::ErrorKind::NotFound,
    };
    match file.try_lock() {
        Ok(()) => {
            // Still under the lock, so that its owner, if it is just entering, sees that the file has gone.
            let _ = fs::remove_file(&path);
            false
        }
        // In doubt it lives: the visibility timeout brings its jobs back.
        Err(TryLockError::WouldBlock | TryLockError::Error(_)) => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_owner_lives_until_it_is_dropped() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("queue.db");
        let (one, other) = (Owner::register(&path).unwrap(), Owner::register(&path).unwrap());
        assert!(one.is_alive(one.name()) && one.is_alive(other.name()));
        let name = other.name().to_owned();
        drop(other);
        assert!(!one.is_alive(&name));
        assert!(one.is_alive(one.name()));
    }

    #[test]
    fn the_file_of_a_killed_owner_is_dead_and_cleaned_up() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("queue.db");
        let one = Owner::register(&path).unwrap();
        let killed = folder.path().join("queue.db-owners/killed");
        for _ in 0..2 {
            fs::write(&killed, "").unwrap();
            assert!(!one.is_alive("killed"));
            assert!(!killed.exists());
        }
        fs::write(&killed, "").unwrap();
        let _other = Owner::register(&path).unwrap();
        assert!(!killed.exists());
    }
}
