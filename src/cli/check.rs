//! `lucida check`: whether the ledger, the photos and the vectors agree, and mending where they don't.

use std::time::Duration;

use clap::Args;
use lucida_core::pipeline::{Finding, FindingKind};

use super::{ConfigArgs, Failure, Outcome, print};
use crate::registry::Registry;
use crate::{app, telemetry};

#[derive(Args)]
pub(super) struct CheckArgs {
    #[command(flatten)]
    config: ConfigArgs,
    /// Mends what it finds
    #[arg(long)]
    repair: bool,
    /// Leaves alone what changed within this many seconds: a server may be at work on it
    #[arg(long, value_name = "SECS", default_value_t = 60)]
    grace_secs: u64,
}

/// Prints a line per finding and a summary; fails when something is left that is not right.
pub(super) async fn run(registry: &Registry, args: CheckArgs) -> Outcome {
    let config = args.config.load(registry, [])?;
    telemetry::start_logs(&config.log)?;
    let photos = app::open(registry, &config).await?;
    let mut unprinted = Ok(());
    let mut tell = |finding: &Finding| {
        let repaired = if finding.repaired { " (mended)" } else { "" };
        let line = format!("{}: {}{repaired}\n", sentence(finding.kind), finding.subject);
        if let Err(failure) = print(&line) {
            unprinted = Err(failure);
        }
    };
    let grace = Duration::from_secs(args.grace_secs);
    let report = photos.check(args.repair, grace, &mut tell).await?;
    unprinted?;
    let found: u64 = report.findings.values().sum();
    print(&format!(
        "{} photos, {} vectors, {} blobs; {found} findings, {} not mended\n",
        report.photos, report.points, report.blobs, report.unrepaired
    ))?;
    if report.unrepaired > 0 {
        return Err(Failure::Bad);
    }
    Ok(())
}

const fn sentence(kind: FindingKind) -> &'static str {
    match kind {
        FindingKind::PendingWithoutJob => "a pending photo has no job",
        FindingKind::DeletionUnfinished => "a deletion stopped half way",
        FindingKind::OtherModel => "a photo was embedded by another model",
        FindingKind::PointMissing => "a ready photo is not in the index",
        FindingKind::PointUnknown => "the index has a photo that the ledger doesn't know",
        FindingKind::BlobMissing => "a photo's original is gone: restore it from a backup",
        FindingKind::DerivedMissing => "a blob that a plugin made is gone",
        FindingKind::BlobUnknown => "the store has a blob that no photo names",
    }
}
