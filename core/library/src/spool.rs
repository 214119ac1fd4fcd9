//! An upload until it is known to be a photo: a temporary file that is hashed as it is written.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use tempfile::TempPath;
use tokio::fs::File;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tracing::debug;

use lucida_core::{ContentHash, Error, Result, ResultExt};

const PREFIX: &str = "upload-";

/// How much of a file is read at once, in bytes.
const PIECE_BYTES: usize = 256 * 1024;

/// An upload that is being written. Dropped before it is complete, it leaves nothing.
pub struct SpoolWriter {
    file: File,
    path: TempPath,
    hasher: blake3::Hasher,
    size_bytes: u64,
}

/// A complete upload. Dropped, it is removed.
pub(crate) struct Spooled {
    pub(crate) path: TempPath,
    pub(crate) hash: ContentHash,
    pub(crate) size_bytes: u64,
}

impl SpoolWriter {
    async fn create(dir: &Path) -> Result<Self> {
        let dir = dir.to_owned();
        let create = move || {
            let mut builder = tempfile::Builder::new();
            builder.prefix(PREFIX);
            match builder.tempfile_in(&dir) {
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                    std::fs::create_dir_all(&dir)?;
                    builder.tempfile_in(&dir)
                }
                created => created,
            }
            .map_err(|error| {
                Error::from(error).context(format!("creating an upload's file in {}", dir.display()))
            })
        };
        let created = tokio::task::spawn_blocking(create)
            .await
            .map_err(|error| Error::internal("creating an upload's file failed").with_source(error))??;
        let (file, path) = created.into_parts();
        Ok(Self {
            file: File::from_std(file),
            path,
            hasher: blake3::Hasher::new(),
            size_bytes: 0,
        })
    }

    /// Appends a piece.
    ///
    /// # Errors
    /// `Unavailable` (`storage_full`) when the disk is full; other I/O errors by kind.
    pub async fn write(&mut self, piece: Bytes) -> Result<()> {
        self.hasher.update(&piece);
        self.size_bytes += piece.len() as u64;
        self.file.write_all(&piece).await.context("writing an upload")
    }

    /// Returns how many bytes there are so far.
    pub(crate) const fn bytes_written(&self) -> u64 {
        self.size_bytes
    }

    pub(crate) async fn finish(mut self) -> Result<Spooled> {
        self.file.flush().await.context("writing an upload")?;
        let hash = ContentHash::from_bytes(*self.hasher.finalize().as_bytes());
        Ok(Spooled {
            path: self.path,
            hash,
            size_bytes: self.size_bytes,
        })
    }
}

/// The folder of uploads in progress.
#[derive(Clone)]
pub(crate) struct Spool {
    pub(crate) dir: PathBuf,
    /// How old a leftover must be before it is removed.
    pub(crate) grace: Duration,
}

impl Spool {
    /// Starts an upload.
    ///
    /// # Errors
    /// I/O errors of the spool folder by kind.
    pub(crate) async fn create(&self) -> Result<SpoolWriter> {
        SpoolWriter::create(&self.dir).await
    }

    /// Starts an upload with all of a file.
    ///
    /// # Errors
    /// I/O errors of the file and of the spool folder by kind.
    pub(crate) async fn file(&self, path: &Path) -> Result<SpoolWriter> {
        let mut file = File::open(path).await.context("opening it")?;
        let mut spool = self.create().await?;
        let mut piece = vec![0; PIECE_BYTES];
        loop {
            let read = file.read(&mut piece).await.context("reading it")?;
            if read == 0 {
                return Ok(spool);
            }
            spool.write(Bytes::copy_from_slice(&piece[..read])).await?;
        }
    }

    /// Removes what a killed process left in the spool folder, and returns how many files that were.
    pub(crate) async fn clean(&self) -> u64 {
        let Self { dir, grace } = self.clone();
        tokio::task::spawn_blocking(move || clean(&dir, grace))
            .await
            .unwrap_or(0)
    }
}

fn clean(dir: &Path, grace: Duration) -> u64 {
    let Ok(entries) = std::fs::read_dir(dir) else {
        return 0;
    };
    let mut removed = 0;
    for entry in entries.flatten() {
        let ours = entry
            .file_name()
            .to_str()
            .is_some_and(|name| name.starts_with(PREFIX));
        let modified = entry.metadata().and_then(|metadata| metadata.modified());
        let age = modified
            .ok()
            .and_then(|modified| SystemTime::now().duration_since(modified).ok());
        if ours && age.is_some_and(|age| age > grace) {
            match std::fs::remove_file(entry.path()) {
                Ok(()) => removed += 1,
                Err(error) => debug!(%error, path = %entry.path().display(), "keeping a spool file"),
            }
        }
    }
    removed
}
