//! `lucida check`: whether the ledger, the photos and the vectors agree, and mending where they don't.

use std::time::{Duration, Instant};

use clap::Args;
use lucida_core::pipeline::{CheckNews, CheckOptions, CheckReport, Finding, FindingKind, Photos};
use tracing::info;

use super::{ConfigArgs, Failure, Outcome, print};
use crate::registry::Registry;
use crate::{app, telemetry};

/// How often progress is told.
const TELL_EVERY: Duration = Duration::from_secs(5);

/// How many of the photos given up are listed.
const DEAD_LETTERS: usize = 100;

#[derive(Args)]
pub(super) struct CheckArgs {
    #[command(flatten)]
    config: ConfigArgs,
    /// Mends what it finds
    #[arg(long)]
    repair: bool,
    /// Deletes blobs that no photo names even where they are many, which is more likely a sign of the wrong ledger
    #[arg(long, requires = "repair")]
    force: bool,
    /// Goes on where the last check broke off
    #[arg(long)]
    resume: bool,
    /// Leaves alone what changed within this many seconds: a server may be at work on it
    #[arg(long, value_name = "SECS", default_value_t = 60)]
    grace_secs: u64,
}

/// Prints a line per finding and a summary; fails when something is left that is not right.
pub(super) async fn run(registry: &Registry, args: CheckArgs) -> Outcome {
    let config = args.config.load(registry, [])?;
    telemetry::start_logs(&config.log)?;
    let photos = app::open(registry, &config).await?;
    let options = CheckOptions {
        repair: args.repair,
        force: args.force,
        resume: args.resume,
        grace: Duration::from_secs(args.grace_secs),
    };
    let mut unprinted = Ok(());
    let mut told = Instant::now();
    let mut tell = |news: CheckNews<'_>| match news {
        CheckNews::Found(finding) => {
            if let Err(failure) = print(&line(finding)) {
                unprinted = Err(failure);
            }
        }
        CheckNews::Progress(report) if told.elapsed() >= TELL_EVERY => {
            told = Instant::now();
            let CheckReport {
                photos,
                points,
                blobs,
                ..
            } = report;
            info!(photos, points, blobs, "checking");
        }
        CheckNews::Progress(_) => {}
    };
    let report = photos.check(&options, &mut tell).await?;
    unprinted?;
    print_dead_letters(&photos).await?;
    let found: u64 = report.findings.values().sum();
    print(&format!(
        "{} photos, {} vectors, {} blobs; {found} findings, {} not mended\n",
        report.photos, report.points, report.blobs, report.unrepaired
    ))?;
    if report.kept_blobs > 0 {
        print(&format!(
            "kept {} blobs that no photo names, since they are too many: is this the ledger of these photos? \
             --force deletes them\n",
            report.kept_blobs
        ))?;
    }
    if report.unrepaired > 0 {
        return Err(Failure::Bad);
    }
    Ok(())
}

/// Lists the photos that were given up; they are where they should be, so they are no findings.
async fn print_dead_letters(photos: &Photos) -> Outcome {
    let queue = &photos.parts().queue;
    for letter in queue.dead_letters(DEAD_LETTERS).await? {
        let photo = letter.job.photo_id;
        print(&format!(
            "given up, until it is retried: {photo} ({})\n",
            letter.reason
        ))?;
    }
    Ok(())
}

fn line(finding: &Finding) -> String {
    let repaired = if finding.repaired { " (mended)" } else { "" };
    format!("{}: {}{repaired}\n", sentence(finding.kind), finding.subject)
}

const fn sentence(kind: FindingKind) -> &'static str {
    match kind {
        FindingKind::PendingWithoutJob => "a pending photo has no job",
        FindingKind::DeletionUnfinished => "a deletion stopped half way",
        FindingKind::OtherModel => "a photo is not yet embedded by the model that searches use",
        FindingKind::PointMissing => "a ready photo is not in the index",
        FindingKind::PointUnknown => "the index has a photo that the ledger doesn't know",
        FindingKind::BlobMissing => "a photo's original is gone: restore it from a backup",
        FindingKind::DerivedMissing => "a blob that a plugin made is gone",
        FindingKind::BlobUnknown => "the store has a blob that no photo names",
    }
}
