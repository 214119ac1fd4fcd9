//! `lucida adopt`: takes over the vectors that another service made with the same model.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::Args;
use lucida_core::Result;
use lucida_library::{AdoptNews, AdoptReport, Originals};
use tracing::info;

use super::config_args::ConfigArgs;
use super::import;
use super::outcome::{Failure, Outcome, print};
use crate::registry::Registry;
use crate::{app, telemetry};

/// How often progress is logged.
const TELL_EVERY: Duration = Duration::from_secs(5);

#[derive(Args)]
pub(super) struct AdoptArgs {
    #[command(flatten)]
    config: ConfigArgs,
    /// The collection whose points have `photo_id` and `user_id` in their payload; it is only read
    #[arg(long, value_name = "NAME")]
    collection: String,
    /// The folder of originals that the metadata store lacks: files named by their photo_id, with any extension
    #[arg(long, value_name = "DIR")]
    originals: Option<PathBuf>,
    /// Only compares a sample of the vectors with the model's own
    #[arg(long)]
    dry_run: bool,
}

/// Compares, takes over, and prints what became of the points; fails when some were refused.
pub(super) async fn run(registry: &Registry, args: AdoptArgs) -> Outcome {
    let config = args.config.load(registry, [])?;
    telemetry::start_logs(&config.log)?;
    let originals = args.originals.map_or_else(|| Ok(Originals::new()), originals)?;
    let photos = app::open(registry, &config).await?;
    let mut told = Instant::now();
    let mut tell = |news: AdoptNews<'_>| match news {
        AdoptNews::Verified(report) => {
            let (compared, least_cosine) = (report.compared, report.least_cosine);
            info!(compared, least_cosine, "the vectors equal the model's own");
        }
        AdoptNews::Refused(photo_id, error) => eprintln!("{photo_id}: {error}"),
        AdoptNews::Progress(report) if told.elapsed() >= TELL_EVERY => {
            told = Instant::now();
            info!(
                points = report.points,
                adopted = report.adopted,
                "taking vectors over"
            );
        }
        AdoptNews::Progress(_) => {}
    };
    let report = photos
        .adopt(&args.collection, &originals, args.dry_run, &mut tell)
        .await?;
    print(&summary(&report, args.dry_run))?;
    if report.refused > 0 {
        return Err(Failure::Bad);
    }
    Ok(())
}

fn summary(report: &AdoptReport, only_looked: bool) -> String {
    let AdoptReport {
        total: _,
        points,
        adopted,
        uploaded,
        unknown,
        refused,
        compared,
        least_cosine,
    } = report;
    let verified =
        format!("compared {compared} vectors with the model's own: cosine {least_cosine:.5} or more\n");
    if only_looked {
        return verified;
    }
    format!(
        "{verified}{points} points: {adopted} taken over, {uploaded} of them with their originals; {unknown} without a \
         photo, {refused} refused\n"
    )
}

/// Maps the files of a folder by their names without ending.
fn originals(dir: PathBuf) -> Result<Originals> {
    let files = import::files(&dir)?;
    let named = files.into_iter().filter_map(|path| {
        let name = path.file_stem()?.to_str()?.to_owned();
        Some((name, path))
    });
    Ok(named.collect())
}
