//! A repository's part of the cache, in the layout that Hugging Face's own tools share:
//!
//! ```text
//! models--owner--name/blobs/<hash>             each content once; <hash>.incomplete while it comes
//!                     refs/<branch or tag>     the commit that it was when last asked
//!                     snapshots/<commit>/…     links to the blobs, named as in the repository
//!                     .lucida/<commit>.json    the names of all the commit's files: ours
//! .locks/models--owner--name/<hash>.lock       held by the process that downloads that blob
//! ```
//!
//! A blob under its final name has been checked, and a ref is written when its snapshot is whole.

use std::fs::{self, File, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use lucida_core::{Error, Result, ResultExt};
use tempfile::NamedTempFile;
use tracing::debug;

use super::hash::FileHash;
use super::repo::{Commit, RepoId};

/// A repository's part of the cache.
#[derive(Debug)]
pub(super) struct RepoCache {
    folder: PathBuf,
    locks: PathBuf,
}

/// The right to download one blob, held among all processes that use the cache.
#[derive(Debug)]
pub(super) struct BlobLock {
    _file: File,
}

impl RepoCache {
    pub(super) fn new(cache_dir: &Path, repo: &RepoId) -> Self {
        let name = format!("models--{}--{}", repo.owner(), repo.name());
        Self {
            folder: cache_dir.join(&name),
            locks: cache_dir.join(".locks").join(name),
        }
    }

    /// Returns where a commit's files are, named as in the repository.
    pub(super) fn snapshot(&self, commit: &Commit) -> PathBuf {
        self.folder.join("snapshots").join(commit.as_str())
    }

    /// Returns whether a file of a commit is cached.
    pub(super) fn has(&self, commit: &Commit, file: &str) -> bool {
        self.snapshot(commit).join(file).is_file()
    }

    /// Returns the names of a commit's files that are cached.
    pub(super) fn files(&self, commit: &Commit) -> Vec<String> {
        let mut files = Vec::new();
        let mut folders = vec![(self.snapshot(commit), String::new())];
        while let Some((folder, prefix)) = folders.pop() {
            // What can't be read is missing for us; the caller says what is missing.
            for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
                let path = entry.path();
                let Ok(name) = entry.file_name().into_string() else {
                    continue;
                };
                if path.is_dir() {
                    folders.push((path, format!("{prefix}{name}/")));
                } else if path.is_file() {
                    files.push(format!("{prefix}{name}"));
                }
            }
        }
        files
    }

    /// Returns the commit that a revision is, as far as is known here.
    pub(super) fn commit(&self, revision: &str) -> Option<Commit> {
        Commit::parse(revision).or_else(|| {
            let text = fs::read_to_string(self.reference(revision)).ok()?;
            Commit::parse(text.trim())
        })
    }

    /// Notes which commit a branch or tag is.
    pub(super) fn set_commit(&self, revision: &str, commit: &Commit) -> Result<()> {
        if self.commit(revision).as_ref() == Some(commit) {
            return Ok(());
        }
        let path = self.reference(revision);
        make_parent(&path)?;
        fs::write(&path, commit.as_str()).context(format!("writing {}", path.display()))
    }

    /// Returns the names of all files of a commit in its repository, if they were kept.
    pub(super) fn listing(&self, commit: &Commit) -> Option<Vec<String>> {
        let text = fs::read(self.listing_path(commit)).ok()?;
        serde_json::from_slice(&text).ok()
    }

    /// Keeps the names of a commit's files: with them a later start knows what is missing without asking.
    pub(super) fn keep_listing(&self, commit: &Commit, files: &[String]) {
        if self.listing(commit).is_some() {
            return;
        }
        let path = self.listing_path(commit);
        let write = || -> io::Result<()> {
            let dir = path.parent().unwrap_or(&self.folder);
            fs::create_dir_all(dir)?;
            let mut file = NamedTempFile::new_in(dir)?;
            file.write_all(&serde_json::to_vec(files)?)?;
            file.persist(&path)?;
            Ok(())
        };
        if let Err(error) = write() {
            // A cache that can't be written may still hold everything.
            debug!(%error, path = %path.display(), "keeping no listing of the repository");
        }
    }

    /// Returns the right to download a blob, if nobody has it.
    pub(super) fn try_lock(&self, hash: &FileHash) -> Result<Option<BlobLock>> {
        let path = self.locks.join(format!("{}.lock", hash.as_str()));
        make_parent(&path)?;
        let doing = || {
            let path = path.display();
            format!(
                "locking {path} (a network's disk may have no locks: set hub.cache_dir to a local folder)"
            )
        };
        let file = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path)
            .context(doing())?;
        match file.try_lock() {
            Ok(()) => Ok(Some(BlobLock { _file: file })),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(Error::from(error).context(doing())),
        }
    }

    /// Returns where a blob is once it is whole.
    pub(super) fn blob(&self, hash: &FileHash) -> PathBuf {
        self.folder.join("blobs").join(hash.as_str())
    }

    /// Returns where a blob is while it comes, in a folder that exists.
    pub(super) fn incomplete_blob(&self, hash: &FileHash) -> Result<PathBuf> {
        let path = self.blob(hash).with_extension("incomplete");
        make_parent(&path)?;
        Ok(path)
    }

    /// Gives a blob its name in a snapshot.
    pub(super) fn link(&self, commit: &Commit, file: &str, hash: &FileHash) -> Result<()> {
        let path = self.snapshot(commit).join(file);
        make_parent(&path)?;
        let doing = || format!("linking {}", path.display());
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(Error::from(error).context(doing()));
            }
            Ok(()) | Err(_) => {}
        }
        let depth = file.split('/').count();
        link(&self.blob(hash), depth, &path).context(doing())
    }

    fn reference(&self, revision: &str) -> PathBuf {
        self.folder.join("refs").join(revision)
    }

    fn listing_path(&self, commit: &Commit) -> PathBuf {
        self.folder
            .join(".lucida")
            .join(format!("{}.json", commit.as_str()))
    }
}

/// The link is relative, so that the cache can be moved and mounted elsewhere.
#[cfg(unix)]
fn link(blob: &Path, depth: usize, path: &Path) -> io::Result<()> {
    let mut target: PathBuf = std::iter::repeat_n("..", depth + 1).collect();
    target.push("blobs");
    target.extend(blob.file_name());
    std::os::unix::fs::symlink(target, path)
}

/// Symbolic links need a privilege elsewhere; a second name for the same file needs none.
#[cfg(not(unix))]
fn link(blob: &Path, _depth: usize, path: &Path) -> io::Result<()> {
    fs::hard_link(blob, path)
}

fn make_parent(path: &Path) -> Result<()> {
    match path.parent() {
        Some(parent) => fs::create_dir_all(parent).context(format!("making the folder {}", parent.display())),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HASH: &str = "b6fc4c620b67d95f953a5c1c1230aaab5db5a1b0";

    fn cache() -> (tempfile::TempDir, RepoCache, Commit, FileHash) {
        let dir = tempfile::tempdir().unwrap();
        let cache = RepoCache::new(dir.path(), &RepoId::parse("a/b").unwrap());
        let commit = Commit::parse("0123456789abcdef0123456789abcdef01234567").unwrap();
        (dir, cache, commit, FileHash::parse(HASH).unwrap())
    }

    #[test]
    fn a_blob_is_found_under_its_name_even_after_the_cache_has_moved() {
        let (dir, cache, commit, hash) = cache();
        fs::write(cache.incomplete_blob(&hash).unwrap(), "hello").unwrap();
        fs::rename(cache.incomplete_blob(&hash).unwrap(), cache.blob(&hash)).unwrap();
        for file in ["config.json", "0_CLIPModel/deeper/config.json"] {
            assert!(!cache.has(&commit, file));
            cache.link(&commit, file, &hash).unwrap();
            cache.link(&commit, file, &hash).unwrap();
            assert!(cache.has(&commit, file), "{file}");
        }
        let moved = dir.path().join("moved");
        fs::create_dir(&moved).unwrap();
        fs::rename(dir.path().join("models--a--b"), moved.join("models--a--b")).unwrap();
        let cache = RepoCache::new(&moved, &RepoId::parse("a/b").unwrap());
        let mut files = cache.files(&commit);
        files.sort();
        assert_eq!(files, ["0_CLIPModel/deeper/config.json", "config.json"]);
        let text = fs::read_to_string(cache.snapshot(&commit).join("config.json")).unwrap();
        assert_eq!(text, "hello");
    }

    #[test]
    fn a_name_without_its_blob_is_not_there() {
        let (_dir, cache, commit, hash) = cache();
        fs::write(cache.incomplete_blob(&hash).unwrap(), "half").unwrap();
        fs::write(cache.blob(&hash), "whole").unwrap();
        cache.link(&commit, "config.json", &hash).unwrap();
        fs::remove_file(cache.blob(&hash)).unwrap();
        if cfg!(unix) {
            assert!(!cache.has(&commit, "config.json"));
            assert!(cache.files(&commit).is_empty());
        }
    }

    #[test]
    fn a_revision_is_the_commit_that_was_noted() {
        let (_dir, cache, commit, _) = cache();
        assert_eq!(cache.commit("refs/pr/1"), None);
        cache.set_commit("refs/pr/1", &commit).unwrap();
        assert_eq!(cache.commit("refs/pr/1"), Some(commit.clone()));
        assert_eq!(cache.commit(commit.as_str()), Some(commit));
        fs::write(cache.reference("main"), "0123").unwrap();
        assert_eq!(cache.commit("main"), None);
    }

    #[test]
    fn one_blob_is_locked_once_at_a_time() {
        let (_dir, cache, _, hash) = cache();
        let held = cache.try_lock(&hash).unwrap();
        assert!(held.is_some());
        assert!(cache.try_lock(&hash).unwrap().is_none());
        drop(held);
        assert!(cache.try_lock(&hash).unwrap().is_some());
    }

    #[test]
    fn a_kept_listing_is_read_back() {
        let (_dir, cache, commit, _) = cache();
        assert_eq!(cache.listing(&commit), None);
        let files = vec!["config.json".to_owned(), "a/b.bin".to_owned()];
        cache.keep_listing(&commit, &files);
        assert_eq!(cache.listing(&commit), Some(files));
    }
}
