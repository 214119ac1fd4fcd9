//! One open collection: its engine, its journal, and the thread that looks after both.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use lucida_core::PhotoId;
use lucida_core::{Error, Result, ResultExt};
use lucida_core::{IndexFilter, Point, ScoredId};
use serde::{Deserialize, Serialize};

use crate::commit::GroupCommit;
use crate::config::EmbeddedConfig;
use crate::durable;
use crate::engine::Engine;
use crate::journal::{Entry, Journal};
use crate::lock::{FolderLock, lock};
use crate::point::StoredPoint;
use crate::recovery;
use crate::space;
use crate::upkeep::{Upkeep, Worker};

/// How many points go into one entry of the journal and one operation of the engine.
const CHUNK: usize = 256;
const FORMAT: u32 = 1;
const COSINE: &str = "cosine";

/// Where a collection has what, below its folder.
#[derive(Debug)]
pub(crate) struct Files {
    /// Written last when a collection is made: a folder without it was never finished.
    pub(crate) manifest: PathBuf,
    pub(crate) journal: PathBuf,
    pub(crate) shard: PathBuf,
    /// There while segments are being optimised.
    pub(crate) optimizing: PathBuf,
}

impl Files {
    pub(crate) fn of(folder: &Path) -> Self {
        Self {
            manifest: folder.join("manifest.json"),
            journal: folder.join("journal"),
            shard: folder.join("shard"),
            optimizing: folder.join("optimizing"),
        }
    }
}

/// What a collection was made for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Manifest {
    format: u32,
    /// How many numbers a vector has.
    pub(crate) dimensions: usize,
    distance: String,
}

impl Manifest {
    /// Describes a collection of unit vectors of this many dimensions.
    pub(crate) fn new(dimensions: usize) -> Self {
        Self {
            format: FORMAT,
            dimensions,
            distance: COSINE.to_owned(),
        }
    }

    /// Reads a collection's manifest; `None` where it was never finished.
    pub(crate) fn read(folder: &Path) -> Result<Option<Self>> {
        let path = Files::of(folder).manifest;
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(Error::from(error).context(format!("reading `{}`", path.display()))),
        };
        let manifest: Self = serde_json::from_slice(&bytes).map_err(|error| {
            Error::internal(format!(
                "`{}` is damaged: restore it from a backup",
                path.display()
            ))
            .with_source(error)
        })?;
        if manifest.format != FORMAT {
            return Err(Error::internal(format!(
                "`{}` has format {}, this version reads {FORMAT}: use a newer lucida",
                path.display(),
                manifest.format
            )));
        }
        Ok(Some(manifest))
    }
}

/// An open collection. Dropping it flushes and closes it.
pub(crate) struct Collection {
    open: Arc<Open>,
    _worker: Worker,
}

/// What the collection and its worker share.
pub(crate) struct Open {
    name: String,
    journal_path: PathBuf,
    marker_path: PathBuf,
    dimensions: usize,
    pub(crate) engine: Engine,
    /// Held by whoever writes to journal and engine, or flushes.
    journal: Mutex<Journal>,
    commit: GroupCommit,
    /// Held for writing while the engine may move points from one segment to another, so that none is counted twice.
    moving: RwLock<()>,
    pub(crate) upkeep: Upkeep,
    /// Kept until the worker has ended too.
    _lock: Arc<FolderLock>,
}

impl Collection {
    /// Makes an empty collection in `folder`, which must not be there.
    pub(crate) fn create(folder: &Path, manifest: &Manifest, config: &EmbeddedConfig) -> Result<()> {
        let files = Files::of(folder);
        Engine::create(&files.shard, manifest.dimensions, config)?;
        // The engine's few operations until here have lower numbers than an opening starts at.
        Journal::start(&files.journal, 0)?;
        let bytes = serde_json::to_vec_pretty(manifest)
            .map_err(|error| Error::internal("a manifest can't be written").with_source(error))?;
        durable::replace(&files.manifest, &bytes)
            .and_then(|_| durable::sync_parent(folder))
            .context(format!("writing `{}`", files.manifest.display()))
    }

    /// Opens the collection in `folder`.
    pub(crate) fn open(
        folder: &Path,
        manifest: &Manifest,
        config: &EmbeddedConfig,
        lock: Arc<FolderLock>,
    ) -> Result<Self> {
        let files = Files::of(folder);
        let (engine, journal) = recovery::open(folder, manifest, config)?;
        let bytes_per_vector = (manifest.dimensions * size_of::<f32>()).max(1) as u64;
        let upkeep = Upkeep::new(
            config.indexing_threshold_bytes / bytes_per_vector,
            engine.extent(),
        );
        let open = Arc::new(Open {
            name: folder
                .file_name()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned(),
            journal_path: files.journal,
            marker_path: files.optimizing,
            dimensions: manifest.dimensions,
            engine,
            commit: GroupCommit::new(journal.file()),
            journal: Mutex::new(journal),
            moving: RwLock::new(()),
            upkeep,
            _lock: lock,
        });
        Ok(Self {
            _worker: Worker::start(Arc::clone(&open))?,
            open,
        })
    }

    /// Writes points durably.
    pub(crate) fn upsert(&self, points: &[Point]) -> Result<()> {
        for point in points {
            self.open.check(&point.vector)?;
        }
        space::check(&self.open.journal_path, space::WRITE_BYTES)?;
        let entries = points
            .chunks(CHUNK)
            .map(|chunk| Entry::Upsert(chunk.iter().map(StoredPoint::from).collect()));
        self.open.write(entries)
    }

    /// Deletes points durably.
    pub(crate) fn delete(&self, ids: &[PhotoId]) -> Result<()> {
        space::check(&self.open.journal_path, space::DELETE_BYTES)?;
        let entries = ids
            .chunks(CHUNK)
            .map(|chunk| Entry::Delete(chunk.iter().map(|id| *id.as_uuid()).collect()));
        self.open.write(entries)
    }

    /// Finds the nearest points.
    pub(crate) fn search(
        &self,
        vector: Vec<f32>,
        filter: &IndexFilter,
        limit: usize,
    ) -> Result<Vec<ScoredId>> {
        self.open.check(&vector)?;
        self.open.engine.search(vector, filter, limit)
    }

    /// Returns a point's vector.
    pub(crate) fn vector(&self, id: &PhotoId) -> Result<Option<Vec<f32>>> {
        self.open.engine.vector(id)
    }

    /// Counts all points.
    pub(crate) fn count(&self) -> Result<u64> {
        let _still = self.open.moving.read().unwrap_or_else(PoisonError::into_inner);
        self.open.engine.count(None)
    }

    /// Returns ids in ascending order.
    pub(crate) fn ids(&self, after: Option<&PhotoId>, limit: usize) -> Result<Vec<PhotoId>> {
        self.open.engine.ids(after, limit)
    }

    /// Has the worker end without flushing, because the collection is about to be deleted.
    pub(crate) fn discard(&self) {
        self.open.upkeep.stop();
    }
}

impl Open {
    /// Returns the collection's name, for logs.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    fn check(&self, vector: &[f32]) -> Result<()> {
        if vector.len() != self.dimensions {
            return Err(Error::invalid(format!(
                "a vector has {} dimensions, collection `{}` has {}",
                vector.len(),
                self.name,
                self.dimensions
            )));
        }
        if vector.iter().all(|number| number.is_finite()) {
            Ok(())
        } else {
            Err(Error::invalid(
                "a vector has a number that is not finite: the model that made it is broken",
            ))
        }
    }

    fn write(&self, entries: impl Iterator<Item = Entry>) -> Result<()> {
        let mut last = None;
        for entry in entries {
            let record = entry.encode()?;
            let changes = match &entry {
                Entry::Upsert(points) => points.len(),
                Entry::Delete(ids) => ids.len(),
            };
            let mut journal = lock(&self.journal);
            journal.append(&record)?;
            let number = self.commit.appended();
            let applied = {
                let _moving = self.moving.write().unwrap_or_else(PoisonError::into_inner);
                self.engine.apply(entry)
            };
            self.upkeep.wrote(journal.record_bytes(), changes as u64);
            drop(journal);
            applied?;
            last = Some(number);
        }
        let durable = last.map_or(Ok(()), |number| self.commit.wait(number));
        if durable.is_err() {
            self.upkeep.hurry();
        }
        durable
    }

    /// Flushes the engine and starts the journal anew. `always` does so with nothing in the journal too.
    pub(crate) fn checkpoint(&self, always: bool) -> Result<()> {
        let mut journal = lock(&self.journal);
        if journal.record_bytes() == 0 && !always {
            return Ok(());
        }
        self.engine.flush()?;
        *journal = Journal::start(&self.journal_path, self.engine.next_op())?;
        self.commit.restart(journal.file());
        self.upkeep.checkpointed();
        Ok(())
    }

    /// Builds graphs and merges segments where worth it. Returns whether anything changed.
    pub(crate) fn optimize(&self) -> Result<bool> {
        // What is merged is written anew, beside what there is.
        let vectors_bytes = self.engine.extent().points * (self.dimensions * size_of::<f32>()) as u64;
        space::check(&self.journal_path, space::WRITE_BYTES + 2 * vectors_bytes)?;
        // Segments that are merged are on disk in whole, whatever comes.
        self.checkpoint(false)?;
        let marking = || format!("marking `{}`", self.marker_path.display());
        durable::replace(&self.marker_path, b"").context(marking())?;
        let changed = self.engine.optimize()?;
        self.checkpoint(true)?;
        durable::remove_if_there(&self.marker_path).context(marking())?;
        Ok(changed)
    }
}
