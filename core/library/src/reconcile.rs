//! The reconciler: compares records, queue, index and blobs, reports what does not fit, and repairs it.
//!
//! The same passes serve the running server (at start and on a timer, repairing) and `lucida check` (reporting, and
//! repairing with `--repair`). Everything is read in pages; nothing grows with the library but the run time.

mod blobs;
mod finding;
mod pass;
mod progress;
mod records;
mod report;
mod stores;

use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tracing::{debug, error, info, warn};

pub(crate) use self::blobs::hex_folders;
pub use self::finding::{Finding, FindingKind};
pub(crate) use self::pass::PAGE;
use self::pass::Pass;
use self::progress::{DeepRun, Saved};
pub(crate) use self::report::OnNews;
pub use self::report::{CheckNews, CheckOptions, CheckReport, Verify};
pub(crate) use self::stores::Stores;
use crate::outage::Outage;
use crate::state_record::{StateRecord, Unreadable};
use lucida_core::{Result, metrics};

const LEASE: &str = "reconciler";
/// The progress of `lucida check`.
const CHECK_RECORD: StateRecord<Saved> = StateRecord::new("check", Unreadable::StartOver);
/// The progress of the reconciler's own comparison.
const DEEP_RECORD: StateRecord<Saved> = StateRecord::new("reconciler/deep", Unreadable::StartOver);

/// Creates the counters with 0, so that their rates are known from the start.
pub(crate) fn show_counters() {
    for kind in FindingKind::ALL {
        metrics::RECONCILE_REPAIRS.add(0, &[kind.as_str()]);
    }
    metrics::SCRUBBED_BYTES.add(0, &[]);
}

/// How soon reconciling is tried again when it fails at start, at first and at most.
const FIRST_RETRY: Duration = Duration::from_secs(2);
const LONGEST_RETRY: Duration = Duration::from_secs(30);

/// Compares the stores and repairs them.
#[derive(Clone)]
pub(crate) struct Reconciler {
    pub(crate) stores: Stores,
    /// How often it looks for pending photos without a job and unfinished deletions.
    pub(crate) interval: Duration,
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
        let mut pass = Pass::new(&self.stores, options.repair, options.grace, on_news)?;
        pass.forget_unknown = options.forget_unknown;
        pass.shallow().await?;
        let mut run = DeepRun::begin(
            &self.stores,
            &CHECK_RECORD,
            None,
            options.resume,
            &mut pass.report,
        )
        .await?;
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
        if let Err(error) = self.stores.leases.release(LEASE).await {
            debug!(%error, "leaving the reconciler's lease to expire");
        }
    }

    async fn reconcile(&self, first: bool, deep_due: &mut tokio::time::Instant) -> Result<()> {
        self.stores.models.prepare().await?;
        let interval = self.interval;
        let leader = self.stores.leases.take(LEASE, interval * 2).await?;
        // At start the lease of a killed process must not keep its photos waiting; doing it twice does no harm.
        if !leader && !first {
            return Ok(());
        }
        let grace = if first { Duration::ZERO } else { interval };
        Pass::new(&self.stores, true, grace, &mut log_news())?
            .shallow()
            .await?;
        if leader && tokio::time::Instant::now() >= *deep_due {
            let removed = self.stores.spool.clean().await;
            if removed > 0 {
                info!(removed, "removed leftovers of interrupted uploads");
            }
            self.reconcile_deep(interval).await?;
            *deep_due = tokio::time::Instant::now() + self.stores.deep_interval;
        }
        Ok(())
    }

    async fn reconcile_deep(&self, interval: Duration) -> Result<()> {
        let mut on_news = log_news();
        let mut pass = Pass::new(&self.stores, true, interval, &mut on_news)?;
        let lease = Some((LEASE, interval * 2));
        let mut run = DeepRun::begin(&self.stores, &DEEP_RECORD, lease, true, &mut pass.report).await?;
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
