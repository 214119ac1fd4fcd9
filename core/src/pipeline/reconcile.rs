//! The reconciler: compares ledger, queue, index and blobs, tells what does not fit, and mends it.
//!
//! The same passes serve the running server (at start and on a timer, mending) and `lucida check` (telling, and
//! mending with `--repair`). Everything is read in pages; nothing grows with the library but the run time.

mod blobs;
mod ledger;
mod pass;
mod progress;

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use pass::Pass;
use progress::DeepRun;
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, info, warn};

use super::Photos;
use crate::error::Result;
use crate::metrics;

const LEASE: &str = "reconciler";
/// How far `lucida check` has come, in the ledger.
const CHECK_RECORD: &str = "check";
/// The same of the reconciler's own comparison.
const DEEP_RECORD: &str = "reconciler/deep";

/// What can be out of order.
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
    /// The index knows a photo that the ledger does not.
    PointUnknown,
    /// A photo's original is gone; only a backup can mend that.
    BlobMissing,
    /// A blob that a plugin made is gone.
    DerivedMissing,
    /// The store keeps a blob that no photo names.
    BlobUnknown,
}

/// Makes the counters appear before anything happened, so that their rates are known from the start.
pub(super) fn show_counters() {
    for kind in FindingKind::ALL {
        metrics::RECONCILE_REPAIRS.add(0, &[kind.as_str()]);
    }
}

impl FindingKind {
    /// Every kind.
    pub const ALL: [Self; 8] = [
        Self::PendingWithoutJob,
        Self::DeletionUnfinished,
        Self::OtherModel,
        Self::PointMissing,
        Self::PointUnknown,
        Self::BlobMissing,
        Self::DerivedMissing,
        Self::BlobUnknown,
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
            Self::DerivedMissing => "derived_missing",
            Self::BlobUnknown => "blob_unknown",
        }
    }
}

impl fmt::Display for FindingKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One thing out of order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What is wrong.
    pub kind: FindingKind,
    /// With which photo or blob.
    pub subject: String,
    /// Whether it was mended, or its mending was begun.
    pub repaired: bool,
}

/// What a check saw.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckReport {
    /// Photos in the ledger.
    pub photos: u64,
    /// Points in the collection that searches use.
    pub points: u64,
    /// Blobs in the store.
    pub blobs: u64,
    /// How many of each kind were found.
    pub findings: BTreeMap<FindingKind, u64>,
    /// How many were not mended.
    pub unrepaired: u64,
    /// How many blobs that no photo names were kept, since they are too many: this may be the wrong ledger.
    pub kept_blobs: u64,
}

impl CheckReport {
    /// Adds what an earlier part of the same check saw.
    fn add(&mut self, earlier: &Self) {
        self.photos += earlier.photos;
        self.points += earlier.points;
        self.blobs += earlier.blobs;
        self.unrepaired += earlier.unrepaired;
        for (kind, count) in &earlier.findings {
            *self.findings.entry(*kind).or_default() += count;
        }
    }

    /// Tells whether nothing is out of order.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.findings.is_empty()
    }
}

/// How a check is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CheckOptions {
    /// Whether what is found is mended.
    pub repair: bool,
    /// Whether blobs that no photo names are deleted however many they are.
    pub force: bool,
    /// Whether it goes on where the last one broke off.
    pub resume: bool,
    /// What changed within this time is left alone: somebody may be at work on it.
    pub grace: Duration,
}

/// What a check tells as it goes.
#[derive(Debug)]
pub enum CheckNews<'a> {
    /// Something is out of order.
    Found(&'a Finding),
    /// So much is done.
    Progress(&'a CheckReport),
}

/// Whom a check tells.
pub(super) type Tell<'a> = dyn FnMut(CheckNews<'_>) + Send + 'a;

impl Photos {
    /// Compares everything, tells what it finds as it goes, and mends it if asked to.
    ///
    /// Blobs that no photo names are counted before any is deleted; where they are more than a tenth of all, and not
    /// few, none is, without `force`. How far it has come is kept in the ledger.
    ///
    /// # Errors
    /// Those of the stores, at the first call that fails.
    pub async fn check<'a>(&'a self, options: &CheckOptions, tell: &'a mut Tell<'a>) -> Result<CheckReport> {
        let mut pass = Pass::new(self, options.repair, options.grace, tell)?;
        pass.shallow().await?;
        let mut run = DeepRun::begin(self, CHECK_RECORD, None, options.resume, &mut pass.report).await?;
        run.run(&mut pass, options.force).await?;
        Ok(pass.report)
    }

    pub(super) async fn reconcile_until(&self, shutdown: CancellationToken) {
        let mut first = true;
        let mut deep_due = tokio::time::Instant::now();
        loop {
            let run = self.reconcile(first, &mut deep_due);
            let result = tokio::select! {
                biased;
                () = shutdown.cancelled() => break,
                result = run => result,
            };
            match result {
                Ok(()) => first = false,
                Err(error) => warn!(%error, "reconciling failed, trying again later"),
            }
            // After a failed start the next look is soon: pending photos may be waiting for it.
            let pause = if first {
                Duration::from_secs(2)
            } else {
                self.options().reconcile_interval
            };
            tokio::select! {
                () = shutdown.cancelled() => break,
                () = tokio::time::sleep(pause) => {}
            }
        }
        if let Err(error) = self.release_lease(LEASE).await {
            debug!(%error, "leaving the reconciler's lease to expire");
        }
    }

    async fn reconcile(&self, first: bool, deep_due: &mut tokio::time::Instant) -> Result<()> {
        self.prepare().await?;
        let interval = self.options().reconcile_interval;
        let leader = self.take_lease(LEASE, interval * 2).await?;
        // At start the lease of a killed process must not keep its photos waiting; doing it twice does no harm.
        if !leader && !first {
            return Ok(());
        }
        let grace = if first { Duration::ZERO } else { interval };
        Pass::new(self, true, grace, &mut tell())?.shallow().await?;
        if leader && tokio::time::Instant::now() >= *deep_due {
            let removed = self.clean_spool().await;
            if removed > 0 {
                info!(removed, "removed leftovers of interrupted uploads");
            }
            self.reconcile_deep(interval).await?;
            *deep_due = tokio::time::Instant::now() + self.options().deep_reconcile_interval;
        }
        Ok(())
    }

    async fn reconcile_deep(&self, interval: Duration) -> Result<()> {
        let mut tell = tell();
        let mut pass = Pass::new(self, true, interval, &mut tell)?;
        let lease = Some((LEASE, interval * 2));
        let mut run = DeepRun::begin(self, DEEP_RECORD, lease, true, &mut pass.report).await?;
        run.run(&mut pass, false).await?;
        let (kept, blobs) = (pass.report.kept_blobs, pass.report.blobs);
        if kept > 0 {
            error!(
                kept,
                blobs,
                "keeping blobs that no photo names, since they are too many: is this the ledger of these photos? \
                 `lucida check --repair --force` deletes them"
            );
        }
        Ok(())
    }
}

/// Logs and counts what the reconciler mends.
fn tell() -> impl FnMut(CheckNews<'_>) + Send {
    |news| {
        let CheckNews::Found(finding) = news else {
            return;
        };
        metrics::RECONCILE_REPAIRS.increment(&[finding.kind.as_str()]);
        info!(kind = %finding.kind, subject = finding.subject, repaired = finding.repaired, "reconciled");
    }
}
