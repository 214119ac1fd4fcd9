//! The folder of `storage.disk`: an operator of OpenDAL's `fs` service, and what that service lacks.
//!
//! Read at opendal-service-fs 0.59.5: it syncs a file but no folder; with `atomic_write_dir` the caller doesn't learn the name of
//! the file that is being written, so that it can't be removed when the caller goes away; its rename makes missing folders without
//! saying which; its reader doesn't report the size of the file that it opened; and it makes the root again when that is gone.

use std::ops::Range;
use std::sync::Arc;

use async_trait::async_trait;
use futures::future::BoxFuture;
use futures::{FutureExt, StreamExt, stream};
use lucida_core::durable::make_folder;
use lucida_core::{BlobKey, Error, Result};
use opendal::options::{ReaderOptions, WriteOptions};
use opendal::services::Fs;
use opendal::{Operator, Reader, Writer};
use tokio::runtime::Handle;
use tokio::sync::Semaphore;

use super::config::DiskConfig;
use super::error::{bad_root, failed, io_error, is_absent, missing_root};
use super::folders::Folders;
use super::unfinished::{self, Unfinished};
use crate::read::cut;
use crate::service::{Opened, Service};
use crate::store::{OpendalStorage, absent};

/// How much of a body is written at once. Most photos are smaller.
const WRITE_BYTES: usize = 1 << 20;
/// How much of a blob is read at once; most photos come in one or two pieces.
const READ_BYTES: usize = 256 << 10;
/// How many files are closed at once. Each takes a blocking thread, and waits for a second one: without a bound, all of
/// tokio's (512) could wait for one another.
const CLOSES: usize = 64;
/// How often a blob is opened that is replaced at the same moment.
const OPENS: usize = 16;

/// Keeps blobs as files below a folder.
pub type DiskStorage = OpendalStorage<Disk>;

/// A folder that holds blobs.
#[derive(Debug, Clone)]
pub struct Disk {
    operator: Operator,
    folders: Arc<Folders>,
    closes: Arc<Semaphore>,
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
                make_folder(&root)?;
                make_folder(&root.join(unfinished::FOLDER))?;
                unfinished::probe(&root)?;
                unfinished::clean(&root)?;
                root.canonicalize()
            };
            let root = open().map_err(|error| bad_root(&root, error))?;
            // As it is configured, since the working directory may have a name that is not UTF-8.
            let name = config.root.to_str().ok_or_else(|| {
                Error::config(
                    "root",
                    format!("the name of `{}` is not UTF-8: rename the folder", root.display()),
                )
            })?;
            let builder = Fs::default().root(name);
            let operator = Operator::new(builder).map_err(|error| bad_root(&root, io_error(&error)))?;
            Ok(Self::of(Disk {
                operator,
                folders: Arc::new(Folders::new(root)),
                closes: Arc::new(Semaphore::new(CLOSES)),
            }))
        })
        .await
    }
}

impl Disk {
    /// Runs `work` with the folders where it may block.
    async fn with_folders<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Folders) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let folders = Arc::clone(&self.folders);
        blocking(move || work(&folders)).await
    }

    /// Returns the size of a blob.
    async fn size(&self, key: &BlobKey) -> Result<u64> {
        match self.stat(key).await {
            Ok(metadata) if metadata.is_file() => return Ok(metadata.content_length()),
            Err(error) if !Self::is_absent(&error) => {
                return Err(self.failed(format!("opening blob `{key}`"), &error));
            }
            Ok(_) | Err(_) => {}
        }
        self.check_present().await?;
        Err(absent(key))
    }
}

#[async_trait]
impl Service for Disk {
    const LISTS_ALL_DEPTHS: bool = false;

    fn operator(&self) -> &Operator {
        &self.operator
    }

    fn write_options(&self) -> WriteOptions {
        WriteOptions {
            chunk: Some(WRITE_BYTES),
            concurrent: 1,
            ..WriteOptions::default()
        }
    }

    fn unfinished_path(&self, _key: &BlobKey) -> String {
        unfinished::path()
    }

    async fn finish(&self, mut writer: Writer, path: String, key: BlobKey) -> Result<()> {
        let unfinished = Unfinished::at(self.folders.root().join(path));
        let closing = Arc::clone(&self.closes).acquire_owned().await;
        let closing =
            closing.map_err(|error| Error::internal("the disk storage stopped").with_source(error))?;
        let runtime = Handle::current();
        self.with_folders(move |folders| {
            // OpenDAL syncs the file on the thread that asks for it.
            let closed = runtime.block_on(writer.close()).map_err(|error| io_error(&error));
            drop(closing);
            closed
                .and_then(|_| unfinished.rename(folders, &folders.root().join(key.as_str())))
                .map_err(|error| failed(format!("writing blob `{key}`"), error))
        })
        .await
    }

    fn discard(&self, _writer: Writer, path: &str) -> BoxFuture<'static, opendal::Result<()>> {
        drop(Unfinished::at(self.folders.root().join(path)));
        futures::future::ready(Ok(())).boxed()
    }

    async fn check_present(&self) -> Result<()> {
        self.with_folders(check_root).await
    }

    async fn open(&self, key: &BlobKey, range: Option<Range<u64>>) -> Result<Opened> {
        let reading = |error| self.failed(format!("reading blob `{key}`"), &error);
        let options = ReaderOptions {
            chunk: Some(READ_BYTES),
            ..ReaderOptions::default()
        };
        for _ in 0..OPENS {
            let size_bytes = self.size(key).await?;
            let range = cut(key, range.clone(), size_bytes)?;
            let reader = self.operator.reader_options(key.as_str(), options.clone());
            let reader = reader.await.map_err(reading)?;
            match has_size(&reader, size_bytes).await {
                Ok(true) => {}
                // It was replaced, or deleted, after its size was asked for.
                Ok(false) => continue,
                Err(error) if Self::is_absent(&error) => continue,
                Err(error) => return Err(reading(error)),
            }
            let stream = match range.is_empty() {
                true => stream::empty().boxed(),
                false => reader.into_stream(range.clone()).await.map_err(reading)?.boxed(),
            };
            return Ok(Opened {
                size_bytes,
                range,
                stream,
            });
        }
        Err(Error::unavailable(format!(
            "blob `{key}` was replaced {OPENS} times while it was opened"
        )))
    }

    async fn deleted(&self, key: &BlobKey) -> Result<()> {
        let key = key.clone();
        self.with_folders(move |folders| {
            if let Some(folder) = folders.root().join(key.as_str()).parent() {
                folders.prune(folder);
            }
            check_root(folders)
        })
        .await
    }

    async fn ping(&self) -> Result<()> {
        self.with_folders(|folders| {
            let root = folders.root();
            unfinished::probe(root).map_err(|error| {
                let doing = format!("writing to the folder `{}` of storage.disk.root", root.display());
                failed(doing, error)
            })
        })
        .await
    }

    fn is_absent(error: &opendal::Error) -> bool {
        is_absent(&io_error(error))
    }

    fn failed(&self, doing: String, error: &opendal::Error) -> Error {
        failed(doing, io_error(error))
    }
}

/// Fails where the store's own folder is gone: what seems absent is on a disk that isn't mounted.
fn check_root(folders: &Folders) -> Result<()> {
    match folders.root().join(unfinished::FOLDER).is_dir() {
        true => Ok(()),
        false => Err(missing_root(folders.root())),
    }
}

/// Returns whether the file that the reader has opened, or opens now, has that size: a last byte, and none after it.
async fn has_size(reader: &Reader, size_bytes: u64) -> opendal::Result<bool> {
    let is_there = async |at: u64| match reader.read(at..at + 1).await {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == opendal::ErrorKind::RangeNotSatisfied => Ok(false),
        Err(error) => Err(error),
    };
    Ok((size_bytes == 0 || is_there(size_bytes - 1).await?) && !is_there(size_bytes).await?)
}

/// Runs work that blocks where that holds up nobody.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|error| Error::internal("the thread of a disk operation stopped").with_source(error))?
}
