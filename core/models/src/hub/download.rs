//! How one file gets into the cache: under a lock, from where the last try ended, and checked before it counts.

use std::fs::{self, File};
use std::io::{self, Seek, SeekFrom, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use lucida_core::{Error, Result, ResultExt};
use tracing::{info, warn};

use super::cache::{BlobLock, RepoCache};
use super::client::{Hub, RemoteFile};
use super::progress::Progress;
use super::repo::{Commit, RepoId};

/// How often a lock that another process holds is tried again.
const LOCK_PAUSE: Duration = Duration::from_millis(200);
/// The pause before a broken transfer goes on.
const RESUME_PAUSE: Duration = Duration::from_millis(500);

/// A commit's way from a hub into the cache.
#[derive(Debug)]
pub(super) struct Download<'a> {
    pub(super) hub: &'a Hub,
    pub(super) cache: &'a RepoCache,
    pub(super) repo: &'a RepoId,
    pub(super) commit: &'a Commit,
}

impl Download<'_> {
    /// Puts files into the snapshot, those that exist already aside.
    ///
    /// # Errors
    /// Those of the hub, I/O errors of the cache by kind, `Unavailable` for a file that doesn't have its hash.
    pub(super) fn fetch(&self, names: &[String]) -> Result<()> {
        let mut files = Vec::new();
        for name in names.iter().filter(|name| !self.cache.has(self.commit, name)) {
            files.push(self.hub.stat(self.repo, self.commit, name)?);
        }
        if files.is_empty() {
            return Ok(());
        }
        // What is small fails early, if anything does.
        files.sort_by_key(|file| file.size_bytes);
        let started = Instant::now();
        let total_bytes = files.iter().map(|file| file.size_bytes).sum();
        let (repo, commit) = (self.repo, self.commit.as_str());
        info!(%repo, commit, files = files.len(), total_bytes, "downloading the model");
        let mut progress = Progress::new(total_bytes, started);
        for file in &files {
            self.place(file, &mut progress)
                .context(format!("downloading `{}` of `{repo}`", file.name))?;
            progress.finish_file(file.size_bytes);
        }
        info!(%repo, commit, total_bytes, elapsed_secs = started.elapsed().as_secs_f64(), "downloaded the model");
        Ok(())
    }

    fn place(&self, file: &RemoteFile, progress: &mut Progress) -> Result<()> {
        let _lock = self.lock(file)?;
        if self.cache.has(self.commit, &file.name) {
            // By who held the lock before.
            return Ok(());
        }
        let blob = self.cache.blob(&file.hash);
        if !is_intact(file, &blob).context(format!("reading {}", blob.display()))? {
            let incomplete = self.cache.incomplete_blob(&file.hash)?;
            self.fill(file, &incomplete, progress)?;
            self.accept(file, &incomplete, &blob)?;
        }
        self.cache.link(self.commit, &file.name, &file.hash)
    }

    fn lock(&self, file: &RemoteFile) -> Result<BlobLock> {
        let mut told = false;
        loop {
            if let Some(lock) = self.cache.try_lock(&file.hash)? {
                return Ok(lock);
            }
            if !told {
                info!(repo = %self.repo, file = file.name, "waiting for another process that downloads this file");
                told = true;
            }
            self.hub.wait(LOCK_PAUSE)?;
        }
    }

    /// Completes a file, going on after each break as long as something comes.
    fn fill(&self, file: &RemoteFile, path: &Path, progress: &mut Progress) -> Result<()> {
        let open = || {
            File::options()
                .create(true)
                .truncate(false)
                .write(true)
                .open(path)
        };
        let mut out = open().context(format!("writing {}", path.display()))?;
        loop {
            let before = out
                .metadata()
                .context(format!("reading {}", path.display()))?
                .len();
            let error = match self.pour(file, &mut out, before, progress) {
                Ok(()) => return Ok(()),
                Err(error) => error,
            };
            let now = out
                .metadata()
                .context(format!("reading {}", path.display()))?
                .len();
            if !error.is_transient() || now <= before {
                return Err(error);
            }
            warn!(%error, repo = %self.repo, file = file.name, bytes = now, "going on with a broken download");
            self.hub.wait(RESUME_PAUSE)?;
        }
    }

    /// Appends what is missing after `present` bytes.
    fn pour(&self, file: &RemoteFile, out: &mut File, present: u64, progress: &mut Progress) -> Result<()> {
        let present = if present > file.size_bytes { 0 } else { present };
        if present == file.size_bytes && present > 0 {
            return Ok(());
        }
        let writing = || {
            format!(
                "writing {} (below hub.cache_dir)",
                self.cache.blob(&file.hash).display()
            )
        };
        let mut body = self.hub.read(self.repo, self.commit, &file.name, present)?;
        let mut written = body.start;
        out.set_len(written).context(writing())?;
        out.seek(SeekFrom::Start(written)).context(writing())?;
        while let Some(piece) = body.next()? {
            written += piece.len() as u64;
            if written > file.size_bytes {
                break;
            }
            out.write_all(&piece).context(writing())?;
            if let Some(done_bytes) = progress.reach(written, Instant::now()) {
                let total_bytes = progress.total_bytes();
                info!(repo = %self.repo, file = file.name, done_bytes, total_bytes, "downloading");
            }
        }
        if written == file.size_bytes {
            return Ok(());
        }
        if written > file.size_bytes {
            out.set_len(0).context(writing())?;
        }
        let expected = file.size_bytes;
        Err(Error::unavailable(format!(
            "it came with {written} bytes instead of {expected}: try again later, or set hub.endpoint to a mirror"
        )))
    }

    /// Lets a file that has its hash count, and throws any other away.
    fn accept(&self, file: &RemoteFile, incomplete: &Path, blob: &Path) -> Result<()> {
        let doing = || format!("keeping {}", blob.display());
        if !is_intact(file, incomplete).context(doing())? {
            fs::remove_file(incomplete).context(doing())?;
            return Err(Error::unavailable(format!(
                "it doesn't have the hash {} and was thrown away: try again, or set hub.endpoint to another hub",
                file.hash.as_str()
            )));
        }
        // A blob under its name is trusted, so its bytes have to be on the disk before the name is.
        let keep = || {
            File::open(incomplete)?
                .sync_all()
                .and_then(|()| fs::rename(incomplete, blob))
        };
        keep().context(doing())
    }
}

/// Returns whether a file exists and has its hash.
fn is_intact(file: &RemoteFile, path: &Path) -> io::Result<bool> {
    match fs::metadata(path) {
        Ok(found) if found.len() == file.size_bytes => Ok(file.hash.of_file(path)? == file.hash),
        Ok(_) => Ok(false),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}
