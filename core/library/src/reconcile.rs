//! The reconciler: compares records, queue, index and blobs, reports what does not fit, and repairs it.
//!
//! The same passes serve the running server (at start and on a timer, repairing) and `lucida check` (reporting, and
//! repairing with `--repair`). Everything is read in pages; nothing grows with the library but the run time.

mod blobs;
mod pass;
mod progress;
mod records;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

pub(crate) use blobs::hex_folders;
pub(crate) use pass::PAGE;
use pass::Pass;
use progress::{DeepRun, Saved};
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, info, warn};

use crate::blobs::Blobs;
use crate::damage::DamageLog;
use crate::delete::Deletion;
use crate::lease::Leases;
use crate::manifests::Manifests;
use crate::models::Models;
use crate::outage::Outage;
use crate::points::Points;
use crate::records::Records;
use crate::spool::Spool;
use crate::state_record::{StateRecord, Unreadable};
use lucida_core::{JobQueue, MetadataStore, Result, Storage, VectorIndex, metrics};

const LEASE: &str = "reconciler";
/// The progress of `lucida check`.
const CHECK_RECORD: StateRecord<Saved> = StateRecord::new("check", Unreadable::StartOver);
/// The progress of the reconciler's own comparison.
const DEEP_RECORD: StateRecord<Saved> = StateRecord::new("reconciler/deep", Unreadable::StartOver);

/// The kinds of findings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FindingKind {
    /// A pending photo has no job.
    PendingWithoutJob,
    /// A deletion stopped half way.
    DeletionUnfinished,
    /// A ready photo is not yet embedded by the model that searches use.
    OtherModel,
    /// A ready photo is not in the index.
    PointMissing,
    /// The index knows a photo that the metadata store does not.
    PointUnknown,
    /// A photo's original is missing; only a backup or another upload of the same file repairs that.
    BlobMissing,
    /// A photo's original has another size than it was stored with; repaired as a missing one is.
    BlobWrongSize,
    /// A photo's original has other bytes than it was stored with; repaired as a missing one is.
    BlobWrongBytes,
    /// A blob that a plugin made is missing or has another size than it was stored with.
    DerivedMissing,
    /// The store has a blob of a plugin that no record names.
    BlobUnknown,
    /// The store has an original that no record names. It stays, and counts as not repaired.
    OriginalUnknown,
    /// An interrupted upload has left an original whose bytes are the same owner's photo already.
    OriginalDuplicate,
    /// An original has no manifest, from which its record could be made again.
    ManifestMissing,
    /// A photo was given up for a fault that isn't its own.
    FailedByComponent,
}

/// Creates the counters with 0, so that their rates are known from the start.
pub(crate) fn show_counters() {
    for kind in FindingKind::ALL {
        metrics::RECONCILE_REPAIRS.add(0, &[kind.as_str()]);
    }
    metrics::SCRUBBED_BYTES.add(0, &[]);
}

impl FindingKind {
    /// Every kind.
    pub const ALL: [Self; 14] = [
        Self::PendingWithoutJob,
        Self::DeletionUnfinished,
        Self::OtherModel,
        Self::PointMissing,
        Self::PointUnknown,
        Self::BlobMissing,
        Self::BlobWrongSize,
        Self::BlobWrongBytes,
        Self::DerivedMissing,
        Self::BlobUnknown,
        Self::OriginalUnknown,
        Self::OriginalDuplicate,
        Self::ManifestMissing,
        Self::FailedByComponent,
    ];

    /// Returns the name that metrics and reports use.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::PendingWithoutJob => "pending_without_job",
            Self::DeletionUnfinished => "deletion_unfinished",
            Self::OtherModel => "other_model",
            Self::PointMissing => "point_missing",
            Self::PointUnknown => "point_unknown",
            Self::BlobMissing => "blob_missing",
            Self::BlobWrongSize => "blob_wrong_size",
            Self::BlobWrongBytes => "blob_wrong_bytes",
            Self::DerivedMissing => "derived_missing",
            Self::BlobUnknown => "blob_unknown",
            Self::OriginalUnknown => "original_unknown",
            Self::OriginalDuplicate => "original_duplicate",
            Self::ManifestMissing => "manifest_missing",
            Self::FailedByComponent => "failed_by_component",
        }
    }
}

impl fmt::Display for FindingKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One inconsistency.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What is wrong.
    pub kind: FindingKind,
    /// With which photo or blob.
    pub subject: String,
    /// Whether it is repaired, or its repair has started.
    pub repaired: bool,
}

/// The result of a check.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckReport {
    /// Photos in the metadata store.
    pub photos: u64,
    /// Points in the collection that searches use.
    pub points: u64,
    /// Blobs in the store.
    pub blobs: u64,
    /// How many of each kind were found.
    pub findings: BTreeMap<FindingKind, u64>,
    /// How many were not repaired.
    pub unrepaired: u64,
    /// How many originals were read and compared with their hashes.
    pub verified: u64,
    /// How many originals no record names; they are kept.
    pub unknown_originals: u64,
}

impl CheckReport {
    /// Adds what an earlier part of the same check saw.
    fn add(&mut self, earlier: &Self) {
        self.photos += earlier.photos;
        self.points += earlier.points;
        self.blobs += earlier.blobs;
        self.verified += earlier.verified;
        self.unrepaired += earlier.unrepaired;
        for (kind, count) in &earlier.findings {
            *self.findings.entry(*kind).or_default() += count;
        }
    }

    /// Returns how many of one kind were found.
    #[must_use]
    pub fn count(&self, kind: FindingKind) -> u64 {
        self.findings.get(&kind).copied().unwrap_or_default()
    }

    /// Returns whether there was no finding.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.findings.is_empty()
    }
}

/// The options of a check.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CheckOptions {
    /// Whether what is found is repaired.
    pub repair: bool,
    /// How many originals that no record names are deleted; none unless there are exactly so many.
    pub forget_unknown: Option<u64>,
    /// Whether originals are read and compared with their hashes.
    pub verify: Option<Verify>,
    /// Whether it resumes where the last one was interrupted.
    pub resume: bool,
    /// What changed within this time is left alone: a server may be at work on it.
    pub grace: Duration,
}

/// How originals are compared with their hashes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verify {
    /// How many bytes a second are read at most; 0 is as many as there are.
    pub bytes_per_sec: u64,
}

/// What a check reports as it goes.
#[derive(Debug)]
pub enum CheckNews<'a> {
    /// An inconsistency.
    Found(&'a Finding),
    /// The progress.
    Progress(&'a CheckReport),
}

/// Takes the news of a check.
pub(crate) type OnNews<'a> = dyn FnMut(CheckNews<'_>) + Send + 'a;

/// How soon reconciling is tried again when it fails at start, at first and at most.
const FIRST_RETRY: Duration = Duration::from_secs(2);
const LONGEST_RETRY: Duration = Duration::from_secs(30);

/// Compares the stores and repairs them.
#[derive(Clone)]
pub(crate) struct Reconciler {
    pub(crate) storage: Arc<dyn Storage>,
    pub(crate) metadata: Arc<dyn MetadataStore>,
    pub(crate) index: Arc<dyn VectorIndex>,
    pub(crate) queue: Arc<dyn JobQueue>,
    pub(crate) leases: Leases,
    pub(crate) models: Models,
    pub(crate) records: Records,
    pub(crate) blobs: Blobs,
    pub(crate) manifests: Manifests,
    pub(crate) points: Points,
    pub(crate) damage: DamageLog,
    pub(crate) deletion: Deletion,
    pub(crate) spool: Spool,
    /// How often it looks for pending photos without a job and unfinished deletions.
    pub(crate) interval: Duration,
    /// How often it compares all three stores.
    pub(crate) deep_interval: Duration,
    /// How old an unknown blob must be before it is removed.
    pub(crate) orphan_grace: Duration,
}

impl Reconciler {
    /// Compares everything, reports what it finds as it goes, and repairs it if asked to.
    ///
    /// No original is deleted unless a deletion or a duplicate is recorded for it, or `forget_unknown` says how many there
    /// are. The progress is saved in the metadata store.
    ///
    /// # Errors
    /// `Conflict` when `forget_unknown` is another number than was found, with nothing forgotten; those of the stores, at
    /// the first call that fails.
    pub(crate) async fn check<'a>(
        &'a self,
        options: &CheckOptions,
        on_news: &'a mut OnNews<'a>,
    ) -> Result<CheckReport> {
        let mut pass = Pass::new(self, options.repair, options.grace, on_news)?;
        pass.forget_unknown = options.forget_unknown;
        pass.shallow().await?;
        let mut run = DeepRun::begin(self, &CHECK_RECORD, None, options.resume, &mut pass.report).await?;
        run.run(&mut pass, options.verify).await?;
        Ok(pass.report)
    }

    /// Reconciles at start and on a timer, until `shutdown` is cancelled.
    pub(crate) async fn run_until(&self, shutdown: CancellationToken) {
        let mut first = true;
        let mut deep_due = tokio::time::Instant::now();
        let longest = self.interval.min(LONGEST_RETRY);
        let mut outage = Outage::new(FIRST_RETRY, longest);
        loop {
            let run = self.reconcile(first, &mut deep_due);
            let result = tokio::select! {
                biased;
                () = shutdown.cancelled() => break,
                result = run => result,
            };
            match result {
                Ok(()) => {
                    first = false;
                    if outage.is_over() {
                        info!("reconciling works again");
                    }
                }
                Err(error) if outage.is_news(&error) => {
                    warn!(%error, "reconciling failed, trying again later")
                }
                Err(error) => debug!(%error, "reconciling still fails"),
            }
            // After a failed start the next try is soon: pending photos may be waiting for it.
            let pause = if first { outage.pause() } else { self.interval };
            tokio::select! {
                () = shutdown.cancelled() => break,
                () = tokio::time::sleep(pause) => {}
            }
        }
        if let Err(error) = self.leases.release(LEASE).await {
            debug!(%error, "leaving the reconciler's lease to expire");
        }
    }

    async fn reconcile(&self, first: bool, deep_due: &mut tokio::time::Instant) -> Result<()> {
        self.models.prepare().await?;
        let interval = self.interval;
        let leader = self.leases.take(LEASE, interval * 2).await?;
        // At start the lease of a killed process must not keep its photos waiting; doing it twice does no harm.
        if !leader && !first {
            return Ok(());
        }
        let grace = if first { Duration::ZERO } else { interval };
        Pass::new(self, true, grace, &mut log_news())?.shallow().await?;
        if leader && tokio::time::Instant::now() >= *deep_due {
            let removed = self.spool.clean().await;
            if removed > 0 {
                info!(removed, "removed leftovers of interrupted uploads");
            }
            self.reconcile_deep(interval).await?;
            *deep_due = tokio::time::Instant::now() + self.deep_interval;
        }
        Ok(())
    }

    async fn reconcile_deep(&self, interval: Duration) -> Result<()> {
        let mut on_news = log_news();
        let mut pass = Pass::new(self, true, interval, &mut on_news)?;
        let lease = Some((LEASE, interval * 2));
        let mut run = DeepRun::begin(self, &DEEP_RECORD, lease, true, &mut pass.report).await?;
        run.run(&mut pass, None).await?;
        let report = &pass.report;
        let lost = [
            FindingKind::BlobMissing,
            FindingKind::BlobWrongSize,
            FindingKind::BlobWrongBytes,
        ];
        let damaged: u64 = lost.into_iter().map(|kind| report.count(kind)).sum();
        if damaged > 0 {
            error!(
                damaged,
                "originals are missing or damaged: restore them from a backup or upload the same files again; \
                 `lucida check` lists them"
            );
        }
        if report.unknown_originals > 0 {
            warn!(
                unknown = report.unknown_originals,
                "keeping originals that no record names: is this the metadata store of these photos? \
                 `lucida rebuild` creates their records"
            );
        }
        Ok(())
    }
}

/// Logs and counts what the reconciler repairs.
fn log_news() -> impl FnMut(CheckNews<'_>) + Send {
    |news| {
        let CheckNews::Found(finding) = news else {
            return;
        };
        metrics::RECONCILE_REPAIRS.increment(&[finding.kind.as_str()]);
        let Finding {
            kind,
            subject,
            repaired,
        } = finding;
        // A library of an earlier version gets all of its manifests at once, and what stays is logged in one line at the
        // end of the pass.
        if *repaired && *kind != FindingKind::ManifestMissing {
            info!(%kind, subject, "reconciled");
        } else {
            debug!(%kind, subject, repaired, "reconciled");
        }
    }
}
