//! The per-user cache: where it is, and folders in it that are either complete or absent.
//!
//! A folder is made in a staging place, moved into its own with a rename, and then described by a
//! stamp beside it: the key of what it was made from and the size of each file. A folder whose
//! stamp says otherwise is made anew, so that an interrupted run or a deleted file mends itself.

use std::ffi::OsStr;
use std::fmt::Write as _;
use std::fs::{self, File, TryLockError};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use sha2::{Digest as _, Sha256};

/// The variable that moves the cache, for this program and for the server.
pub const VARIABLE: &str = "LUCIDA_CACHE_DIR";

/// The folder that everything which is downloaded or converted goes to.
#[derive(Debug, Clone)]
pub struct Cache {
    root: PathBuf,
}

impl Cache {
    /// Finds it by the rule that the server follows too: `$LUCIDA_CACHE_DIR`, else
    /// `$XDG_CACHE_HOME/lucida`, else `~/.cache/lucida`.
    pub fn locate() -> Result<Self> {
        let set = |name: &str| {
            std::env::var_os(name)
                .filter(|value| !value.is_empty())
                .map(PathBuf::from)
        };
        let root = match (set(VARIABLE), set("XDG_CACHE_HOME"), std::env::home_dir()) {
            (Some(own), ..) => own,
            (None, Some(xdg), _) => xdg.join("lucida"),
            (None, _, Some(home)) if !home.as_os_str().is_empty() => home.join(".cache").join("lucida"),
            _ => bail!("no home directory to put the cache in: set LUCIDA_CACHE_DIR"),
        };
        Self::at(root)
    }

    /// Uses `root`, which need not exist yet.
    pub fn at(root: impl AsRef<Path>) -> Result<Self> {
        let root = root.as_ref();
        let root = std::path::absolute(root).with_context(|| format!("{} is no path", root.display()))?;
        Ok(Self { root })
    }

    /// Its folder, absolute.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The path of `relative` in the cache.
    pub fn path(&self, relative: impl AsRef<Path>) -> PathBuf {
        self.root.join(relative)
    }

    /// Waits until no other process is filling the cache. The lock lives as long as the result.
    pub fn lock(&self) -> Result<CacheLock<'_>> {
        fs::create_dir_all(&self.root).with_context(|| {
            format!(
                "cannot make {}: set LUCIDA_CACHE_DIR to a folder that can be written",
                self.root.display()
            )
        })?;
        let path = self.path("setup.lock");
        let file = File::create(&path).with_context(|| format!("cannot write {}", path.display()))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                eprintln!("waiting for another setup that fills {}", self.root.display());
                file.lock()
                    .with_context(|| format!("cannot lock {}", path.display()))?;
            }
            Err(TryLockError::Error(error)) => {
                return Err(error).with_context(|| format!("cannot lock {}", path.display()));
            }
        }
        let staging = self.path("tmp");
        remove_dir(&staging)?;
        Ok(CacheLock {
            cache: self,
            staging,
            _file: file,
        })
    }

    /// Whether `folder` is complete and was made from what `key` stands for.
    pub fn holds(&self, folder: &Path, key: &Key) -> bool {
        let Ok(stamp) = fs::read_to_string(stamp_path(folder)) else {
            return false;
        };
        let mut lines = stamp.lines();
        lines.next() == Some(key.as_str())
            && lines.all(|line| {
                line.split_once(' ').is_some_and(|(size, name)| {
                    let found = fs::metadata(folder.join(name)).map(|file| file.len());
                    found.is_ok_and(|found| size.parse() == Ok(found))
                })
            })
    }
}

/// The right to change the cache.
pub struct CacheLock<'a> {
    cache: &'a Cache,
    staging: PathBuf,
    _file: File,
}

impl CacheLock<'_> {
    /// The cache that is locked.
    pub fn cache(&self) -> &Cache {
        self.cache
    }

    /// Makes an empty folder that is gone when the lock is.
    pub fn scratch(&self, name: &str) -> Result<PathBuf> {
        let path = self.staging.join(name);
        remove_dir(&path)?;
        fs::create_dir_all(&path).with_context(|| format!("cannot make {}", path.display()))?;
        Ok(path)
    }

    /// Fills a new folder with `fill` and puts it in the place of `folder`.
    ///
    /// When `fill` fails, what was there before is still there.
    pub fn replace(&self, folder: &Path, key: &Key, fill: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
        let made = self.scratch("made")?;
        fill(&made)?;
        let old = self.staging.join("old");
        remove_dir(&old)?;
        let stamp = stamp_path(folder);
        remove_file(&stamp)?;
        if let Some(parent) = folder.parent() {
            fs::create_dir_all(parent).with_context(|| format!("cannot make {}", parent.display()))?;
        }
        match fs::rename(folder, &old) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                return Err(error).with_context(|| format!("cannot replace {}", folder.display()));
            }
            _ => {}
        }
        fs::rename(&made, folder).with_context(|| format!("cannot move into {}", folder.display()))?;
        self.stamp(folder, key)?;
        remove_dir(&old)
    }

    /// Writes down that `folder` is complete, with every file that it holds.
    fn stamp(&self, folder: &Path, key: &Key) -> Result<()> {
        let mut text = format!("{}\n", key.as_str());
        for file in files_below(folder)? {
            let size = fs::metadata(&file)
                .with_context(|| format!("cannot read {}", file.display()))?
                .len();
            let name = file.strip_prefix(folder).unwrap_or(&file);
            let _ = writeln!(text, "{size} {}", name.display());
        }
        let draft = self.staging.join("stamp");
        fs::write(&draft, text).with_context(|| format!("cannot write {}", draft.display()))?;
        let stamp = stamp_path(folder);
        fs::rename(&draft, &stamp).with_context(|| format!("cannot write {}", stamp.display()))
    }
}

impl Drop for CacheLock<'_> {
    fn drop(&mut self) {
        // What stays behind is removed by the next that takes the lock.
        let _ = remove_dir(&self.staging);
    }
}

/// Stands for everything that a folder was made from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key(String);

impl Key {
    /// Digests `parts`, so that a change of any of them is another key.
    pub fn of<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> Self {
        let mut digest = Sha256::new();
        for part in parts {
            digest.update((part.len() as u64).to_le_bytes());
            digest.update(part);
        }
        let mut text = String::with_capacity(64);
        for byte in digest.finalize() {
            let _ = write!(text, "{byte:02x}");
        }
        Self(text)
    }

    /// Digests the scripts and lists of packages in a folder.
    pub fn of_scripts(folder: &Path) -> Result<Self> {
        let mut parts = Vec::new();
        for file in files_below(folder)? {
            let name = file.strip_prefix(folder).unwrap_or(&file);
            let matters = name.extension().is_some_and(|kind| kind == "py" || kind == "txt");
            if matters {
                parts.push(name.as_os_str().as_encoded_bytes().to_vec());
                parts.push(fs::read(&file).with_context(|| format!("cannot read {}", file.display()))?);
            }
        }
        Ok(Self::of(parts.iter().map(Vec::as_slice)))
    }

    /// The digest in hexadecimal.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Lists every file below `folder`, sorted by path.
pub fn files_below(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(folder) = folders.pop() {
        let unreadable = || format!("cannot list {}", folder.display());
        for entry in fs::read_dir(&folder).with_context(unreadable)? {
            let path = entry.with_context(unreadable)?.path();
            if path.is_dir() {
                folders.push(path)
            } else {
                files.push(path)
            }
        }
    }
    files.sort();
    Ok(files)
}

/// `models/starter` → `models/starter.stamp`.
fn stamp_path(folder: &Path) -> PathBuf {
    let mut name = folder.file_name().unwrap_or(OsStr::new("cache")).to_os_string();
    name.push(".stamp");
    folder.with_file_name(name)
}

/// Removes a folder that may not be there.
pub fn remove_dir(path: &Path) -> Result<()> {
    absent_is_fine(fs::remove_dir_all(path)).with_context(|| format!("cannot remove {}", path.display()))
}

fn remove_file(path: &Path) -> Result<()> {
    absent_is_fine(fs::remove_file(path)).with_context(|| format!("cannot remove {}", path.display()))
}

fn absent_is_fine(result: std::io::Result<()>) -> std::io::Result<()> {
    match result {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(cache: &Cache, key: &Key, content: &str) -> PathBuf {
        let folder = cache.path("models/starter");
        let lock = cache.lock().unwrap();
        lock.replace(&folder, key, |made| {
            fs::create_dir(made.join("onnx"))?;
            Ok(fs::write(made.join("onnx/model.onnx"), content)?)
        })
        .unwrap();
        folder
    }

    #[test]
    fn a_folder_is_held_until_its_key_changes_or_a_file_is_gone_or_cut_short() {
        let home = tempfile::tempdir().unwrap();
        let cache = Cache::at(home.path()).unwrap();
        let key = Key::of([b"one".as_slice()]);
        let folder = cache.path("models/starter");
        assert!(!cache.holds(&folder, &key));

        filled(&cache, &key, "weights");
        assert!(cache.holds(&folder, &key));
        assert!(!cache.holds(&folder, &Key::of([b"two".as_slice()])));

        fs::write(folder.join("onnx/model.onnx"), "weigh").unwrap();
        assert!(!cache.holds(&folder, &key));
        fs::remove_file(folder.join("onnx/model.onnx")).unwrap();
        assert!(!cache.holds(&folder, &key));

        filled(&cache, &key, "weights");
        assert!(cache.holds(&folder, &key));
    }

    #[test]
    fn a_replacement_that_fails_leaves_what_was_there() {
        let home = tempfile::tempdir().unwrap();
        let cache = Cache::at(home.path()).unwrap();
        let key = Key::of([b"one".as_slice()]);
        let folder = filled(&cache, &key, "weights");

        let lock = cache.lock().unwrap();
        let failed = lock.replace(&folder, &Key::of([b"two".as_slice()]), |made| {
            fs::write(made.join("half"), "…")?;
            bail!("no network")
        });
        assert_eq!(failed.unwrap_err().to_string(), "no network");
        assert!(cache.holds(&folder, &key));
    }

    #[test]
    fn a_replacement_takes_away_the_files_of_the_folder_before() {
        let home = tempfile::tempdir().unwrap();
        let cache = Cache::at(home.path()).unwrap();
        let key = Key::of([b"one".as_slice()]);
        let folder = filled(&cache, &key, "weights");
        fs::write(folder.join("stray"), "").unwrap();
        filled(&cache, &Key::of([b"two".as_slice()]), "other");
        assert_eq!(files_below(&folder).unwrap(), [folder.join("onnx/model.onnx")]);
    }

    #[test]
    fn the_boundary_between_two_parts_is_part_of_the_key() {
        let split = |a: &str, b: &str| Key::of([a.as_bytes(), b.as_bytes()]);
        assert_eq!(split("ab", "c"), split("ab", "c"));
        assert_ne!(split("ab", "c"), split("a", "bc"));
    }
}
