//! Listing blobs: one walk through the folders, a batch at a time.

use std::fs::{self, DirEntry, ReadDir};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use futures::stream::{self, BoxStream};
use futures::{StreamExt, TryStreamExt};
use jiff::Timestamp;
use lucida_core::{BlobKey, BlobStat, Result};

use super::error::{failed, is_absent};
use super::folders::Folders;
use super::store::blocking;

/// How many blobs one hop to a blocking thread brings.
const BATCH: usize = 512;

/// The folders that are being read, outermost first, each with the start of its blobs' keys.
struct Walk {
    open: Vec<(String, ReadDir)>,
}

/// Lists the blobs in a folder and below it; `prefix` is what their keys start with.
pub(super) fn list(
    folders: Arc<Folders>,
    folder: PathBuf,
    prefix: &str,
) -> BoxStream<'static, Result<BlobStat>> {
    let prefix = prefix.to_owned();
    let start = blocking(move || {
        folders.mounted()?;
        let mut walk = Walk { open: Vec::new() };
        walk.enter(prefix, &folder)
            .map_err(|error| failed("listing blobs", error))?;
        Ok(walk)
    });
    stream::once(start)
        .map_ok(|walk| {
            stream::try_unfold(walk, |mut walk| async move {
                if walk.open.is_empty() {
                    return Ok(None);
                }
                blocking(move || {
                    let batch = walk.batch().map_err(|error| failed("listing blobs", error))?;
                    Ok(Some((stream::iter(batch).map(Ok), walk)))
                })
                .await
            })
            .try_flatten()
        })
        .try_flatten()
        .boxed()
}

impl Walk {
    fn batch(&mut self) -> io::Result<Vec<BlobStat>> {
        let mut found = Vec::with_capacity(BATCH);
        while found.len() < BATCH
            && let Some((prefix, folder)) = self.open.last_mut()
        {
            let Some(entry) = folder.next() else {
                self.open.pop();
                continue;
            };
            let entry = entry?;
            // Names that are no keys are not ours: unfinished files, `lost+found`, what an editor left.
            let name = entry.file_name();
            let key = name.to_str().map(|name| format!("{prefix}{name}"));
            let Some(key) = key.and_then(|key| BlobKey::new(key).ok()) else {
                continue;
            };
            let kind = entry.file_type()?;
            if kind.is_dir() {
                self.enter(format!("{key}/"), &entry.path())?;
            } else if kind.is_file()
                && let Some(stat) = stat(key, &entry)?
            {
                found.push(stat);
            }
        }
        Ok(found)
    }

    /// Goes on with a folder, which may have gone meanwhile.
    fn enter(&mut self, prefix: String, folder: &Path) -> io::Result<()> {
        match fs::read_dir(folder) {
            Ok(entries) => self.open.push((prefix, entries)),
            Err(error) if is_absent(&error) => {}
            Err(error) => return Err(error),
        }
        Ok(())
    }
}

fn stat(key: BlobKey, entry: &DirEntry) -> io::Result<Option<BlobStat>> {
    match entry.metadata() {
        Ok(metadata) => Ok(Some(describe(key, &metadata))),
        Err(error) if is_absent(&error) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Tells what a file's metadata says of its blob.
pub(super) fn describe(key: BlobKey, metadata: &fs::Metadata) -> BlobStat {
    BlobStat {
        key,
        size_bytes: metadata.len(),
        modified_at: metadata
            .modified()
            .ok()
            .and_then(|time| Timestamp::try_from(time).ok()),
    }
}
