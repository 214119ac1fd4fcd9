//! How the rate of a cluster grows with its workers, when the model is slow and costs no processor.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use futures::future::try_join_all;

use crate::cluster::{self, Cluster};
use crate::explain::Snapshot;
use crate::photos::Photos;
use crate::report::{Section, figure, thousands};
use crate::server::{Program, Server, Setting};
use crate::{Effort, ingest, progress, slow};

/// How many processes embed photos, in turn.
const WORKERS: [usize; 3] = [1, 2, 4];

const POLL: Duration = Duration::from_millis(25);

/// How long the whole of a round may take: many times what it takes.
const PATIENCE: Duration = Duration::from_secs(300);

/// Measures.
pub(crate) async fn measure(program: &Program, photos: &Photos, effort: Effort) -> Result<Section> {
    let cluster = Cluster::start()?;
    let per_worker = effort.photos_per_worker();
    let metadata = Setting::find(program.settings(), "metadata.type").unwrap_or("mongodb (FerretDB)");
    let about = format!(
        "One API process, and worker processes that embed one photo at a time with a model that sleeps {} ms for each; \
         small photos wait, {per_worker} for each worker. From when each worker has embedded one until the last is ready. \
         Metadata store: {metadata}.",
        slow::DELAY.as_millis()
    );
    let columns = &["workers", "photos", "photos/s", "to as many times one"];
    let mut section = Section::new("Workers of a cluster", about, columns);
    let mut alone = f64::NAN;
    for workers in WORKERS {
        let count = per_worker * workers;
        let rate = round(&cluster, program, photos, workers, count).await?;
        progress!("  {workers} workers: {} photos/s", figure(rate));
        if workers == 1 {
            alone = rate;
        }
        #[expect(clippy::cast_precision_loss, reason = "a handful of workers")]
        let linear = rate / (alone * workers as f64);
        section.row([
            workers.to_string(),
            thousands(count),
            format!("{rate:.2}"),
            format!("{linear:.3}"),
        ]);
    }
    Ok(section)
}

/// Lets `workers` processes embed `count` photos that wait for them in a library of their own; returns the rate.
async fn round(
    cluster: &Cluster,
    program: &Program,
    photos: &Photos,
    workers: usize,
    count: usize,
) -> Result<f64> {
    let folder = tempfile::tempdir()?;
    let mut settings = cluster::settings(&cluster.urls(), &format!("workers-{workers}"));
    // For those who set `metadata.type=sqlite`: one file for all processes, each of which has a folder of its own.
    let metadata = folder.path().join("metadata.db");
    settings.push(Setting::new("metadata.sqlite.path", metadata.to_string_lossy()));
    let program = program.slow(settings)?;
    let api = program.with([Setting::new("ingest.workers", "0")]);
    let api = api.start(&make(folder.path(), "api")?).await?;
    ingest::acknowledge(&api, photos, 0, count).await?;

    let worker = program.with([Setting::new("ingest.workers", "1")]);
    let folders = (0..workers).map(|number| make(folder.path(), &format!("worker-{number}")));
    let folders = folders.collect::<Result<Vec<_>>>()?;
    let processes = try_join_all(folders.iter().map(|folder| worker.start_worker(folder))).await?;
    let rate = until_ready(&processes, count).await?;
    if let Some(process) = processes.first() {
        let time = Snapshot::parse(&process.client().metrics().await?);
        progress!("  one worker's time:\n{}", time.since(&Snapshot::default()));
    }
    for process in processes {
        process.stop().await?;
    }
    let counts = api.client().counts().await?;
    ensure!(
        counts.ready == count,
        "the metadata store has {} photos ready of {count}",
        counts.ready
    );
    api.stop().await?;
    Ok(rate)
}

/// Waits until `count` photos are ready; returns how many a second, once each worker has embedded one.
async fn until_ready(workers: &[Server], count: usize) -> Result<f64> {
    let started = Instant::now();
    let mut since = None;
    loop {
        let ready = try_join_all(workers.iter().map(ready)).await?;
        let all: usize = ready.iter().sum();
        if since.is_none() && ready.iter().all(|ready| *ready > 0) {
            since = Some((Instant::now(), all));
        }
        if all >= count {
            let (since, before) = since.context("a worker embedded no photo")?;
            #[expect(clippy::cast_precision_loss, reason = "a few hundred photos")]
            return Ok((all - before) as f64 / since.elapsed().as_secs_f64());
        }
        ensure!(
            started.elapsed() < PATIENCE,
            "{all} of {count} photos are ready after {} s: {ready:?}",
            PATIENCE.as_secs()
        );
        tokio::time::sleep(POLL).await;
    }
}

/// Returns how many photos a worker has brought to ready.
pub(crate) async fn ready(worker: &Server) -> Result<usize> {
    Ok(ready_in(&worker.client().metrics().await?))
}

fn ready_in(metrics: &str) -> usize {
    let mut lines = metrics.lines();
    lines
        .find_map(|line| line.strip_prefix("lucida_ingest_photos_total{outcome=\"ready\"} "))
        .and_then(|count| count.parse().ok())
        .unwrap_or(0)
}

/// Makes the folder of a process.
pub(crate) fn make(parent: &Path, name: &str) -> Result<PathBuf> {
    let folder = parent.join(name);
    std::fs::create_dir(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    Ok(folder)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ready_photos_are_counted_from_the_metrics_and_are_none_before_the_first() {
        assert_eq!(ready_in("lucida_ingest_photos_total{outcome=\"failed\"} 3\n"), 0);
        let metrics = "# TYPE lucida_ingest_photos_total counter\n\
            lucida_ingest_photos_total{outcome=\"failed\"} 3\n\
            lucida_ingest_photos_total{outcome=\"ready\"} 41\n";
        assert_eq!(ready_in(metrics), 41);
    }
}
