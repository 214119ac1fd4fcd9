//! The [`Storage`] on disk.

use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use futures::StreamExt;
use futures::stream::{self, BoxStream};
use lucida_core::{Blob, BlobKey, BlobStat, ByteStream, Error, Result, Storage};

use super::config::DiskConfig;
use super::error::{absent, bad_root, failed, is_absent};
use super::folders::{self, Folders};
use super::unfinished::{self, Unfinished};
use super::{read, walk};

/// How much of a body is gathered before a blocking thread writes it. Most photos are smaller, so that their
/// whole put is one hop.
const GATHER_BYTES: usize = 1024 * 1024;

/// Keeps blobs as files below a folder.
#[derive(Debug, Clone)]
pub struct DiskStorage {
    folders: Arc<Folders>,
}

impl DiskStorage {
    /// Opens the folder, makes it if need be, and removes what crashes left behind long ago.
    ///
    /// # Errors
    /// `ConfigInvalid` for a root that is a file, `PermissionDenied` for one that can't be written to,
    /// `Unavailable` when the disk fails.
    pub async fn open(config: DiskConfig) -> Result<Self> {
        blocking(move || {
            let root = std::path::absolute(&config.root).map_err(|error| bad_root(&config.root, error))?;
            let open = || {
                folders::make_root(&root)?;
                folders::make_root(&root.join(unfinished::FOLDER))?;
                probe(&root)?;
                unfinished::clean(&root)
            };
            open().map_err(|error| bad_root(&root, error))?;
            Ok(Self {
                folders: Arc::new(Folders::new(root)),
            })
        })
        .await
    }

    fn path(&self, key: &BlobKey) -> PathBuf {
        self.folders.root().join(key.as_str())
    }

    /// Runs `work` with the blob's path where it may block.
    async fn at<T: Send + 'static>(
        &self,
        key: &BlobKey,
        work: impl FnOnce(BlobKey, &Path, &Folders) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let (key, path, folders) = (key.clone(), self.path(key), Arc::clone(&self.folders));
        blocking(move || work(key, &path, &folders)).await
    }
}

#[async_trait]
impl Storage for DiskStorage {
    async fn put(&self, key: &BlobKey, mut body: ByteStream) -> Result<u64> {
        let mut writing = None;
        let mut size_bytes = 0;
        loop {
            let mut pieces = Vec::new();
            let mut gathered = 0;
            let mut ended = false;
            while gathered < GATHER_BYTES && !ended {
                match body.next().await.transpose()? {
                    Some(piece) if piece.is_empty() => {}
                    Some(piece) => {
                        gathered += piece.len();
                        pieces.push(piece);
                    }
                    None => ended = true,
                }
            }
            size_bytes += gathered as u64;
            let started: Option<Unfinished> = writing.take();
            writing = self
                .at(key, move |key, path, folders| {
                    let write = || {
                        let mut file = match started {
                            Some(file) => file,
                            None => Unfinished::create(folders.root())?,
                        };
                        file.write(&pieces)?;
                        if ended {
                            file.finish(folders, path)?;
                            return Ok(None);
                        }
                        Ok(Some(file))
                    };
                    write().map_err(|error| failed(format!("writing blob `{key}`"), error))
                })
                .await?;
            if writing.is_none() {
                return Ok(size_bytes);
            }
        }
    }

    async fn get(&self, key: &BlobKey, range: Option<Range<u64>>) -> Result<Blob> {
        self.at(key, |key, path, folders| read::open(key, path, folders, range))
            .await
    }

    async fn stat(&self, key: &BlobKey) -> Result<BlobStat> {
        self.at(key, |key, path, folders| match fs::metadata(path) {
            Ok(metadata) if metadata.is_file() => Ok(walk::describe(key, &metadata)),
            Ok(_) => Err(absent(&key)),
            Err(error) if is_absent(&error) => folders.mounted().and_then(|()| Err(absent(&key))),
            Err(error) => Err(failed(format!("looking at blob `{key}`"), error)),
        })
        .await
    }

    async fn delete(&self, key: &BlobKey) -> Result<()> {
        self.at(key, |key, path, folders| match fs::remove_file(path) {
            Ok(()) => {
                if let Some(folder) = path.parent() {
                    folders.prune(folder);
                }
                Ok(())
            }
            // Unlinking a folder is `EPERM` on some systems, and no blob either way.
            Err(error) if is_absent(&error) || path.is_dir() => folders.mounted(),
            Err(error) => Err(failed(format!("deleting blob `{key}`"), error)),
        })
        .await
    }

    fn list(&self, prefix: &str) -> BoxStream<'static, Result<BlobStat>> {
        let folder = match prefix.strip_suffix('/') {
            None if prefix.is_empty() => Ok(self.folders.root().to_owned()),
            Some(folder) => BlobKey::new(folder).map(|key| self.path(&key)),
            None => Err(Error::invalid(format!(
                "prefix `{prefix}` is not empty and does not end with `/`"
            ))),
        };
        match folder {
            Ok(folder) => walk::list(Arc::clone(&self.folders), folder, prefix),
            Err(error) => stream::iter([Err(error)]).boxed(),
        }
    }

    async fn ping(&self) -> Result<()> {
        let folders = Arc::clone(&self.folders);
        blocking(move || {
            probe(folders.root()).map_err(|error| {
                let root = folders.root().display();
                failed(
                    format!("writing to the folder `{root}` of storage.disk.root"),
                    error,
                )
            })
        })
        .await
    }
}

/// Writes one byte and takes it back.
fn probe(root: &Path) -> std::io::Result<()> {
    Unfinished::create(root)?.write(&[bytes::Bytes::from_static(b"?")])
}

/// Runs work that blocks where that holds up nobody.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|error| Error::internal("the thread of a disk operation stopped").with_source(error))?
}
