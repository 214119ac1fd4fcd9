//! Opening a collection's data, whatever the process before was doing when it ended.

use std::path::Path;
use std::time::Instant;

use lucida_core::{Result, ResultExt};

use crate::collection::{Files, Manifest};
use crate::config::EmbeddedConfig;
use crate::durable;
use crate::engine::Engine;
use crate::journal::{Entry, Found, Journal};

/// Operation numbers left free at opening for those of an opening before that crashed without a write.
const SPARE_OPS: u64 = 1024;
/// Operations that an entry of the journal may have taken: two when reapplied, twice over to be on the safe side.
const OPS_PER_ENTRY: u64 = 4;
/// How many ids are looked at together for copies.
const PAGE: usize = 4096;
/// How many points are rewritten together.
const BATCH: usize = 256;

/// Opens the engine and brings it to the state that was acknowledged last.
pub(crate) fn open(folder: &Path, manifest: &Manifest, config: &EmbeddedConfig) -> Result<(Engine, Journal)> {
    let files = Files::of(folder);
    let found = Found::read(&files.journal)?;
    let entries = found.len() as u64;
    // Greater than every number used before: all but those of these entries are below what the header says.
    let first_op = found.next_op + OPS_PER_ENTRY * entries + SPARE_OPS;
    let engine = Engine::open(&files.shard, manifest.dimensions, config, first_op)?;
    let interrupted = files
        .optimizing
        .try_exists()
        .context(format!("looking for `{}`", files.optimizing.display()))?;
    if entries == 0 && !interrupted {
        return Ok((engine, found.journal));
    }

    let started = Instant::now();
    for entry in found.entries() {
        engine.reapply(entry?)?;
    }
    let mut journal = found.journal;
    let mut rewritten = 0;
    if interrupted {
        rewritten = rewrite_copies(&engine, &mut journal)?;
    }
    engine.flush()?;
    let journal = Journal::start(&files.journal, engine.next_op())?;
    durable::remove_if_there(&files.optimizing)
        .context(format!("deleting `{}`", files.optimizing.display()))?;
    tracing::info!(
        collection = %folder.display(),
        entries,
        rewritten,
        elapsed_ms = started.elapsed().as_millis() as u64,
        "recovered the index after it was not closed"
    );
    Ok((engine, journal))
}

/// Leaves one copy of each point that is in several segments, because an optimisation was cut off after its new
/// segment was in place and before the old ones were gone. Returns how many points were written again.
fn rewrite_copies(engine: &Engine, journal: &mut Journal) -> Result<usize> {
    let mut rewritten = 0;
    let mut after = None;
    loop {
        let page = engine.ids(after.as_ref(), PAGE)?;
        let Some(last) = page.last() else {
            return Ok(rewritten);
        };
        after = Some(*last);
        let page: Vec<_> = page.iter().map(|id| *id.as_uuid()).collect();
        if engine.count(Some(&page))? == page.len() as u64 {
            continue;
        }
        for batch in page.chunks(BATCH) {
            if engine.count(Some(batch))? == batch.len() as u64 {
                continue;
            }
            let entry = Entry::Upsert(engine.points(batch)?);
            // Into the journal first: between deleting and writing again the points are in memory only.
            journal.append(&entry.encode()?)?;
            journal
                .file()
                .sync_data()
                .context("syncing the index's journal")?;
            engine.reapply(entry)?;
            rewritten += batch.len();
        }
    }
}
