//! One shard of the Qdrant engine: opened, written, searched, flushed and optimised.
//!
//! What to know of `qdrant-edge` 0.7.2: it numbers operations by its own log (a point is only changed by an operation
//! of a higher number than its last), but never replays, syncs or shortens that log. The log is therefore replaced at
//! each opening by an empty one that starts at a number of our choice, and its closed parts are deleted while running.
//! `flush` panics where a lock is taken or the disk fails; the caller must keep writes and `optimize` apart from it.

use std::fs;
use std::io;
use std::num::NonZeroUsize;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use lucida_core::PhotoId;
use lucida_core::{Error, Result, ResultExt};
use lucida_core::{IndexFilter, ScoredId};
use qdrant_edge::{
    Condition, CountRequest, CreateIndex, DEFAULT_VECTOR_NAME, DatetimeIndexParams, Distance, EdgeConfig,
    EdgeOptimizersConfig, EdgeShard, EdgeVectorParams, FieldIndexOperations, Filter, HnswIndexConfig,
    KeywordIndexParams, NamedQuery, PayloadFieldSchema, PayloadSchemaParams, PointId, PointInsertOperations,
    PointOperations, QueryEnum, QueryRequest, ScoringQuery, ScrollRequest, SearchParams, UpdateOperation,
    WalOptions, WithPayloadInterface, WithVector,
};
use uuid::Uuid;

use crate::config::EmbeddedConfig;
use crate::durable;
use crate::error::from_engine;
use crate::filter::{key, to_engine};
use crate::journal::Entry;
use crate::point::{StoredPoint, TAGS, TAKEN_AT, USER_ID, dense, engine_id, photo_id};

/// The engine's log is never read, so its files are small.
const LOG_FILE_BYTES: usize = 2 << 20;
/// An empty file of the engine's log: magic, version 0, and a seed for its checksums.
const EMPTY_LOG_FILE: [u8; 8] = *b"wal\0luci";
/// How many segments there may be beside the one that is written to; fewer search quicker and merge more often.
const SEGMENTS: usize = 4;
/// Segments are not merged beyond this size, which bounds the time and memory that a merge takes.
const SEGMENT_KIB: usize = 1 << 20;
/// Below this much of vectors that meet a filter, all of them are compared instead of walking the graph.
const FULL_SCAN_KIB: usize = 10_000;

/// One open shard.
pub(crate) struct Engine {
    /// There until the drop.
    shard: Option<EdgeShard>,
    folder: PathBuf,
    next_op: AtomicU64,
    search_ef: usize,
}

/// How far the graph is behind the points.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Extent {
    pub(crate) points: u64,
    pub(crate) indexed: u64,
}

impl Engine {
    /// Makes an empty shard in `folder`, which must not be there.
    pub(crate) fn create(folder: &Path, dimensions: usize, config: &EmbeddedConfig) -> Result<()> {
        fs::create_dir_all(folder).context(format!("making folder `{}`", folder.display()))?;
        let shard = EdgeShard::new(folder, edge_config(dimensions, config)).map_err(from_engine)?;
        let engine = Self::new(shard, folder, 0, config);
        engine.ensure_payload_indexes()?;
        engine.flush()
    }

    /// Opens the shard in `folder`; its operations are numbered from `first_op`.
    pub(crate) fn open(
        folder: &Path,
        dimensions: usize,
        config: &EmbeddedConfig,
        first_op: u64,
    ) -> Result<Self> {
        let opening = || format!("opening the index's data in `{}`", folder.display());
        restart_log(&folder.join("wal"), first_op).context(opening())?;
        // What a merge had begun when the process ended.
        match fs::remove_dir_all(folder.join("temp_segments")) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(Error::from(error).context(opening()));
            }
            _ => {}
        }
        let shard = EdgeShard::load(folder, Some(edge_config(dimensions, config)))
            .map_err(|error| from_engine(error).context(opening()))?;
        let engine = Self::new(shard, folder, first_op, config);
        engine.ensure_payload_indexes().context(opening())?;
        Ok(engine)
    }

    fn new(shard: EdgeShard, folder: &Path, next_op: u64, config: &EmbeddedConfig) -> Self {
        Self {
            shard: Some(shard),
            folder: folder.to_owned(),
            next_op: AtomicU64::new(next_op),
            search_ef: config.search_ef,
        }
    }

    fn shard(&self) -> &EdgeShard {
        self.shard.as_ref().expect("the shard is there until the drop")
    }

    /// Returns the number that the next operation will have.
    pub(crate) fn next_op(&self) -> u64 {
        self.next_op.load(Ordering::Acquire)
    }

    fn update(&self, operation: UpdateOperation) -> Result<()> {
        self.next_op.fetch_add(1, Ordering::AcqRel);
        self.shard().update(operation).map_err(from_engine)
    }

    fn ensure_payload_indexes(&self) -> Result<()> {
        let keyword = || PayloadSchemaParams::Keyword(KeywordIndexParams::default());
        // Ranges of time get no links of their own in the graph: few ask for them, and all would pay for them.
        let time = PayloadSchemaParams::Datetime(DatetimeIndexParams {
            enable_hnsw: Some(false),
            ..DatetimeIndexParams::default()
        });
        for (name, schema) in [(USER_ID, keyword()), (TAGS, keyword()), (TAKEN_AT, time)] {
            let index = CreateIndex {
                field_name: key(name)?,
                field_schema: Some(PayloadFieldSchema::FieldParams(schema)),
            };
            self.update(UpdateOperation::FieldIndexOperation(
                FieldIndexOperations::CreateIndex(index),
            ))?;
        }
        Ok(())
    }

    /// Applies a write.
    pub(crate) fn apply(&self, entry: Entry) -> Result<()> {
        let operation = match entry {
            Entry::Upsert(points) => {
                let points = points.into_iter().map(StoredPoint::into_engine).collect();
                PointOperations::UpsertPoints(PointInsertOperations::PointsList(points))
            }
            Entry::Delete(ids) => PointOperations::DeletePoints {
                ids: ids.into_iter().map(PointId::Uuid).collect(),
            },
        };
        self.update(UpdateOperation::PointOperation(operation))
    }

    /// Applies a write again after a crash, when there may be several copies of a point in several states.
    pub(crate) fn reapply(&self, entry: Entry) -> Result<()> {
        if let Entry::Upsert(points) = &entry {
            self.apply(Entry::Delete(points.iter().map(|point| point.id).collect()))?;
        }
        self.apply(entry)
    }

    /// Finds the points nearest to `vector` that meet the filter.
    pub(crate) fn search(
        &self,
        vector: Vec<f32>,
        filter: &IndexFilter,
        limit: usize,
    ) -> Result<Vec<ScoredId>> {
        // The engine reserves memory for `limit` hits.
        let limit = limit.min(self.shard().info().points_count);
        if limit == 0 {
            return Ok(Vec::new());
        }
        let request = QueryRequest {
            prefetches: Vec::new(),
            query: Some(ScoringQuery::Vector(QueryEnum::Nearest(
                NamedQuery::default_dense(vector),
            ))),
            filter: to_engine(filter)?,
            score_threshold: None,
            limit,
            offset: 0,
            params: Some(SearchParams {
                hnsw_ef: Some(self.search_ef),
                ..SearchParams::default()
            }),
            with_vector: WithVector::Bool(false),
            with_payload: WithPayloadInterface::Bool(false),
        };
        let hits = self.shard().query(request).map_err(from_engine)?;
        hits.into_iter()
            .map(|hit| {
                Ok(ScoredId {
                    photo_id: photo_id(hit.id)?,
                    score: hit.score.clamp(-1.0, 1.0),
                })
            })
            .collect()
    }

    /// Returns a point's vector.
    pub(crate) fn vector(&self, id: &PhotoId) -> Result<Option<Vec<f32>>> {
        let records = self
            .shard()
            .retrieve(
                &[engine_id(id)],
                Some(WithPayloadInterface::Bool(false)),
                Some(WithVector::Bool(true)),
            )
            .map_err(from_engine)?;
        Ok(records.into_iter().next().and_then(|record| dense(record.vector)))
    }

    /// Returns points as they were written; absent ones are left out.
    pub(crate) fn points(&self, ids: &[Uuid]) -> Result<Vec<StoredPoint>> {
        let ids: Vec<PointId> = ids.iter().copied().map(PointId::Uuid).collect();
        self.shard()
            .retrieve(
                &ids,
                Some(WithPayloadInterface::Bool(true)),
                Some(WithVector::Bool(true)),
            )
            .map_err(from_engine)?
            .into_iter()
            .map(StoredPoint::from_engine)
            .collect()
    }

    /// Counts the copies of points that segments have: of all, or of some. Outside of a write there is one each.
    pub(crate) fn count(&self, only: Option<&[Uuid]>) -> Result<u64> {
        let filter = only
            .map(|ids| Filter::new_must(Condition::HasId(ids.iter().copied().map(PointId::Uuid).collect())));
        let count = self
            .shard()
            .count(CountRequest { filter, exact: true })
            .map_err(from_engine)?;
        Ok(count as u64)
    }

    /// Returns the ids in ascending order, after `after`, `limit` at most.
    pub(crate) fn ids(&self, after: Option<&PhotoId>, limit: usize) -> Result<Vec<PhotoId>> {
        let offset = match after {
            None => None,
            Some(after) => match after.as_uuid().as_u128().checked_add(1) {
                None => return Ok(Vec::new()),
                Some(next) => Some(PointId::Uuid(Uuid::from_u128(next))),
            },
        };
        let request = ScrollRequest {
            offset,
            limit: Some(limit.min(self.shard().info().points_count)),
            filter: None,
            with_payload: Some(WithPayloadInterface::Bool(false)),
            with_vector: WithVector::Bool(false),
            order_by: None,
        };
        let (records, _) = self.shard().scroll(request).map_err(from_engine)?;
        records.into_iter().map(|record| photo_id(record.id)).collect()
    }

    /// Tells how many points there are and how many of them are in a graph, about.
    pub(crate) fn extent(&self) -> Extent {
        let info = self.shard().info();
        Extent {
            points: info.points_count as u64,
            indexed: info.indexed_vectors_count as u64,
        }
    }

    /// Makes everything applied durable. Not to be called during `apply` or `optimize`.
    pub(crate) fn flush(&self) -> Result<()> {
        catch_unwind(AssertUnwindSafe(|| self.shard().flush())).map_err(|panic| {
            Error::unavailable(format!(
                "the index's data can't be written: {}",
                panic_text(panic.as_ref())
            ))
        })?;
        shorten_log(&self.folder.join("wal")).context("shortening the engine's log")
    }

    /// Builds graphs over what has none and merges segments; slow. Searches and writes go on meanwhile.
    pub(crate) fn optimize(&self) -> Result<bool> {
        catch_unwind(AssertUnwindSafe(|| self.shard().optimize()))
            .map_err(|panic| {
                Error::internal(format!(
                    "the engine failed while optimising: {}",
                    panic_text(panic.as_ref())
                ))
            })?
            .map_err(from_engine)
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        let shard = self.shard.take();
        // The engine flushes in its drop, and panics when it can't: the journal has what it could not write.
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| drop(shard))) {
            tracing::warn!(
                folder = %self.folder.display(),
                error = panic_text(panic.as_ref()),
                "the index's data could not be flushed at closing: it will be taken from the journal"
            );
        }
    }
}

fn edge_config(dimensions: usize, config: &EmbeddedConfig) -> EdgeConfig {
    let threshold_kib = usize::try_from(config.indexing_threshold_bytes >> 10).unwrap_or(usize::MAX);
    EdgeConfig::builder()
        .vector(
            DEFAULT_VECTOR_NAME,
            EdgeVectorParams::builder(dimensions, Distance::Cosine)
                .on_disk(config.vectors_on_disk)
                .build(),
        )
        .on_disk_payload(true)
        .hnsw_config(HnswIndexConfig {
            m: config.hnsw_m,
            ef_construct: config.hnsw_ef_construct,
            full_scan_threshold: FULL_SCAN_KIB,
            max_indexing_threads: config.indexing_threads,
            on_disk: Some(config.vectors_on_disk),
            payload_m: None,
            inline_storage: None,
        })
        .optimizers(EdgeOptimizersConfig {
            default_segment_number: Some(SEGMENTS),
            max_segment_size: Some(SEGMENT_KIB),
            indexing_threshold: Some(threshold_kib),
            ..EdgeOptimizersConfig::default()
        })
        .wal_options(WalOptions {
            segment_capacity: LOG_FILE_BYTES,
            segment_queue_len: 0,
            retain_closed: NonZeroUsize::MIN,
        })
        .build()
}

/// Replaces the engine's log by an empty one whose next record has the number `first_op`.
fn restart_log(folder: &Path, first_op: u64) -> io::Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    fs::create_dir(folder)?;
    fs::write(folder.join(format!("closed-{first_op}")), EMPTY_LOG_FILE)
}

/// Deletes the closed files of the engine's log.
fn shorten_log(folder: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let closed = entry.file_name().to_string_lossy().starts_with("closed-");
        // The engine deletes the empty one itself.
        if closed && entry.metadata()?.len() > EMPTY_LOG_FILE.len() as u64 {
            give_back(&entry.path())?;
            durable::remove_if_there(&entry.path())?;
        }
    }
    Ok(())
}

/// Gives a file's space back though the engine still has it mapped, where the system can.
#[cfg(target_os = "linux")]
fn give_back(path: &Path) -> io::Result<()> {
    use rustix::fs::{FallocateFlags, fallocate};
    use rustix::io::Errno;
    let file = fs::File::options().write(true).open(path)?;
    let flags = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
    match fallocate(&file, flags, 0, file.metadata()?.len()) {
        // Then the space comes back when the index is closed.
        Err(Errno::NOTSUP | Errno::NOSYS) | Ok(()) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

#[cfg(not(target_os = "linux"))]
fn give_back(_path: &Path) -> io::Result<()> {
    Ok(())
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> &str {
    panic
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("it panicked")
}
