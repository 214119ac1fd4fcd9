//! `lucida check`: compares records, originals and vectors, and repairs what doesn't agree.

use std::time::{Duration, Instant};

use clap::Args;
use lucida_library::{CheckNews, CheckOptions, CheckReport, Finding, FindingKind, Photos, Verify};
use tracing::info;

use super::config_args::ConfigArgs;
use super::events;
use super::outcome::{Failure, Outcome, print};
use crate::registry::Registry;
use crate::{app, telemetry};

/// How often progress is reported.
const REPORT_EVERY: Duration = Duration::from_secs(5);

/// How many of the photos and of the events that were given up are listed.
const DEAD_LETTERS: usize = 100;

#[derive(Args)]
pub(super) struct CheckArgs {
    #[command(flatten)]
    config: ConfigArgs,
    /// Repairs what it finds
    #[arg(long)]
    repair: bool,
    /// Reads every original and compares it with its hash
    #[arg(long)]
    verify: bool,
    /// How many MiB a second --verify reads at most
    #[arg(long, value_name = "MIB", requires = "verify")]
    verify_mib_per_sec: Option<u32>,
    /// Deletes the originals that no record names, for good; N must be their number, as `lucida check` reports it.
    /// `lucida rebuild` creates their records instead
    #[arg(long, value_name = "N", conflicts_with = "resume")]
    forget_unknown: Option<u64>,
    /// Resumes where the last check was interrupted
    #[arg(long)]
    resume: bool,
    /// Skips what changed within this many seconds: a server may be working on it
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
        forget_unknown: args.forget_unknown,
        verify: args.verify.then(|| Verify {
            bytes_per_sec: u64::from(args.verify_mib_per_sec.unwrap_or(0)) << 20,
        }),
        resume: args.resume,
        grace: Duration::from_secs(args.grace_secs),
    };
    let mut unprinted = Ok(());
    let mut reported = Instant::now();
    let mut report_news = |news: CheckNews<'_>| match news {
        CheckNews::Found(finding) => {
            if let Err(failure) = print(&line(finding)) {
                unprinted = Err(failure);
            }
        }
        CheckNews::Progress(report) if reported.elapsed() >= REPORT_EVERY => {
            reported = Instant::now();
            let CheckReport {
                photos,
                points,
                blobs,
                verified,
                ..
            } = report;
            info!(photos, points, blobs, verified, "checking");
        }
        CheckNews::Progress(_) => {}
    };
    let report = photos.check(&options, &mut report_news).await?;
    unprinted?;
    print_dead_letters(&photos).await?;
    print(&summary(&report, args.verify))?;
    if report.unrepaired > 0 {
        return Err(Failure::Bad);
    }
    Ok(())
}

/// Lists the photos and events that were given up; these are not findings, since records, originals and vectors agree.
async fn print_dead_letters(photos: &Photos) -> Outcome {
    for letter in photos.dead_letters(DEAD_LETTERS).await? {
        let photo = letter.job.photo_id;
        print(&format!(
            "given up, until it is retried: {photo} ({})\n",
            letter.reason
        ))?;
    }
    for event in photos.dead_events(DEAD_LETTERS).await? {
        print(&format!(
            "not delivered, until `lucida events retry`: {}\n",
            events::line(&event)
        ))?;
    }
    Ok(())
}

/// Summarises what was compared and found, and what is left to do.
fn summary(report: &CheckReport, verified: bool) -> String {
    let CheckReport {
        photos,
        points,
        blobs,
        unrepaired,
        unknown_originals,
        ..
    } = report;
    let found: u64 = report.findings.values().sum();
    let mut text = format!("{photos} photos, {points} vectors, {blobs} blobs");
    if verified {
        text.push_str(&format!(", {} originals verified", report.verified));
    }
    text.push_str(&format!("; {found} findings, {unrepaired} not repaired\n"));
    let missing = report.count(FindingKind::BlobMissing);
    let damaged = report.count(FindingKind::BlobWrongSize) + report.count(FindingKind::BlobWrongBytes);
    let originals = |count: u64| {
        if count == 1 {
            "original is"
        } else {
            "originals are"
        }
    };
    if missing + damaged > 0 {
        text.push_str(&format!(
            "{missing} {} missing and {damaged} {} damaged: restore them from a backup, or upload the same \
             files again\n",
            originals(missing),
            originals(damaged),
        ));
    }
    if *unknown_originals > 0 {
        text.push_str(&format!(
            "{unknown_originals} {} in storage and in no record: is this the metadata store of these photos? \
             `lucida rebuild` creates their records; `lucida check --forget-unknown {unknown_originals}` deletes them for \
             good\n",
            originals(*unknown_originals),
        ));
    }
    text
}

fn line(finding: &Finding) -> String {
    let repaired = if finding.repaired { " (repaired)" } else { "" };
    format!("{}: {}{repaired}\n", sentence(finding.kind), finding.subject)
}

const fn sentence(kind: FindingKind) -> &'static str {
    match kind {
        FindingKind::PendingWithoutJob => "a pending photo has no job",
        FindingKind::DeletionUnfinished => "a deletion was not finished",
        FindingKind::OtherModel => "a photo is not yet embedded by the model that searches use",
        FindingKind::PointMissing => "a ready photo is not in the index",
        FindingKind::PointUnknown => "the index has a photo without a record",
        FindingKind::BlobMissing => "a photo's original is missing",
        FindingKind::BlobWrongSize => "a photo's original has another size than it was stored with",
        FindingKind::BlobWrongBytes => "a photo's original has other bytes than it was stored with",
        FindingKind::DerivedMissing => "a blob that a plugin made is missing or damaged",
        FindingKind::BlobUnknown => "a blob of a plugin is in no record",
        FindingKind::OriginalUnknown => "an original is in storage and in no record",
        FindingKind::OriginalDuplicate => "an interrupted upload left a duplicate",
        FindingKind::ManifestMissing => "an original has no manifest",
        FindingKind::FailedByComponent => "a photo failed for the fault of a component",
    }
}
