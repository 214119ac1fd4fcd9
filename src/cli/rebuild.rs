//! `lucida rebuild`: makes the records of a lost metadata store again, from the originals and their manifests.

use std::time::{Duration, Instant};

use clap::Args;
use lucida_core::UserId;
use lucida_library::{RebuildNews, RebuildOptions, RebuildReport};
use tracing::info;

use super::config_args::ConfigArgs;
use super::outcome::{Failure, Outcome, print};
use crate::registry::Registry;
use crate::{app, telemetry};

/// How often progress is reported.
const TELL_EVERY: Duration = Duration::from_secs(5);

#[derive(Args)]
pub(super) struct RebuildArgs {
    #[command(flatten)]
    config: ConfigArgs,
    /// Whose photos originals without a manifest become; versions before manifests left such ones
    #[arg(long, value_name = "USER")]
    owner_of_unnamed: Option<String>,
}

/// Prints a line per original that is left alone and a summary; fails when there are any.
pub(super) async fn run(registry: &Registry, args: RebuildArgs) -> Outcome {
    let config = args.config.load(registry, [])?;
    telemetry::start_logs(&config.log)?;
    let options = RebuildOptions {
        owner_of_unnamed: args.owner_of_unnamed.map(UserId::new).transpose()?,
    };
    let photos = app::open(registry, &config).await?;
    let mut unprinted = Ok(());
    let mut told = Instant::now();
    let mut tell = |news: RebuildNews<'_>| match news {
        RebuildNews::LeftAlone(key, why) => {
            if let Err(failure) = print(&format!("{key}: {why}\n")) {
                unprinted = Err(failure);
            }
        }
        RebuildNews::Progress(report) if told.elapsed() >= TELL_EVERY => {
            told = Instant::now();
            let (originals, recorded) = (report.originals, report.recorded);
            info!(originals, recorded, "making records");
        }
        RebuildNews::Progress(_) => {}
    };
    let report = photos.rebuild(&options, &mut tell).await?;
    unprinted?;
    print(&summary(&report))?;
    if report.unnamed + report.refused > 0 {
        return Err(Failure::Bad);
    }
    Ok(())
}

fn summary(report: &RebuildReport) -> String {
    let RebuildReport {
        originals,
        known,
        recorded,
        deleted,
        duplicates,
        unnamed,
        refused,
    } = report;
    format!(
        "{originals} originals: {recorded} records made, {known} known already, {deleted} deleted by their owners, \
         {duplicates} duplicates, {unnamed} without an owner, {refused} refused\n\
         a server or a worker brings the photos of new records to ready\n"
    )
}
