//! Logs and metrics: where they go, and in what form.

use std::fs::File;
use std::io;
use std::path::PathBuf;
use std::sync::Mutex;
use std::time::Duration;

use lucida_core::{Error, Result, ResultExt as _, metrics, panics};
use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};
use tracing_subscriber::fmt::writer::BoxMakeWriter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{Layer as _, fmt};

use crate::config::{LogFormat, LogSettings};

/// How often what was measured is added up. Until then, or until somebody reads the metrics, each duration is kept.
const ADD_UP_EVERY: Duration = Duration::from_secs(5);

/// Where log lines go.
pub(crate) enum LogTarget {
    /// To the standard error.
    StandardError,
    /// To the end of a file.
    File(PathBuf),
    /// To a writer that shares the terminal with something else.
    Shared(BoxMakeWriter),
    /// Nowhere.
    Nowhere,
}

/// Sends log lines to the standard error, as configured; only the first call of a process has an effect.
///
/// # Errors
/// `ConfigInvalid` for a wrong filter.
pub fn start_logs(settings: &LogSettings) -> Result<()> {
    start_logs_to(settings, LogTarget::StandardError)
}

/// Sends log lines somewhere, as configured; only the first call of a process has an effect.
///
/// # Errors
/// `ConfigInvalid` for a wrong filter; those of opening the file.
pub(crate) fn start_logs_to(settings: &LogSettings, target: LogTarget) -> Result<()> {
    let filter = settings
        .env_filter()
        .map_err(|error| error.context("log.filter"))?;
    let colours = io::IsTerminal::is_terminal(&io::stderr());
    let (writer, ansi) = match target {
        LogTarget::StandardError => (BoxMakeWriter::new(io::stderr), colours),
        LogTarget::Shared(writer) => (writer, colours),
        LogTarget::File(path) => {
            let file = File::options().create(true).append(true).open(&path);
            let file = file.context(format!("opening the log file {}", path.display()))?;
            (BoxMakeWriter::new(Mutex::new(file)), false)
        }
        LogTarget::Nowhere => {
            panics::install_hook();
            return Ok(());
        }
    };
    let layer = match settings.format {
        LogFormat::Pretty => fmt::layer().with_writer(writer).with_ansi(ansi).boxed(),
        LogFormat::Json => fmt::layer()
            .json()
            .flatten_event(true)
            .with_current_span(false)
            .with_span_list(true)
            .with_writer(writer)
            .boxed(),
    };
    // A second server in one process, as tests have, logs where the first one does.
    if tracing_subscriber::registry()
        .with(filter)
        .with(layer)
        .try_init()
        .is_ok()
    {
        panics::install_hook();
    }
    Ok(())
}

/// Makes the recorder of all metrics, and what `/metrics` shows; a process has one.
///
/// # Errors
/// `Internal` when this process has a recorder already.
///
/// # Panics
/// Outside a Tokio runtime.
pub fn start_metrics() -> Result<PrometheusHandle> {
    let failed = |error: BuildError| Error::internal("metrics can't be recorded").with_source(error);
    let handle = PrometheusBuilder::new()
        .set_buckets(&metrics::DURATION_BUCKETS)
        .and_then(|builder| {
            let items = Matcher::Suffix("_items".to_owned());
            builder.set_buckets_for_metric(items, &metrics::ITEM_BUCKETS)
        })
        .map_err(failed)?
        .install_recorder()
        .map_err(failed)?;
    metrics::describe_all();
    tokio::spawn(add_up(handle.clone(), ADD_UP_EVERY));
    Ok(handle)
}

async fn add_up(handle: PrometheusHandle, every: Duration) {
    loop {
        tokio::time::sleep(every).await;
        handle.run_upkeep();
    }
}

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests {
    use super::*;

    /// How many durations are recorded, and how much they may leave in memory; kept, they are 16 bytes each.
    const SAMPLES: usize = 1_000_000;
    const MAX_KEPT_BYTES: usize = 8 << 20;

    /// Set in a child that has its process to itself, since other tests take memory, too.
    const ALONE: &str = "LUCIDA_TEST_ALONE";

    fn resident_bytes() -> usize {
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kib: usize = resident.unwrap().trim().trim_end_matches(" kB").parse().unwrap();
        kib * 1024
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn what_nobody_reads_does_not_pile_up() {
        if std::env::var_os(ALONE).is_none() {
            let mut child = std::process::Command::new(std::env::current_exe().unwrap());
            child.args(["--exact", "telemetry::tests::what_nobody_reads_does_not_pile_up"]);
            let ended = child.env(ALONE, "1").output().unwrap();
            let told = String::from_utf8_lossy(&ended.stdout);
            assert!(ended.status.success() && told.contains("1 passed"), "{told}");
            return;
        }
        let recorder = PrometheusBuilder::new()
            .set_buckets(&metrics::DURATION_BUCKETS)
            .unwrap()
            .build_recorder();
        tokio::spawn(add_up(recorder.handle(), Duration::from_millis(1)));
        let before = resident_bytes();
        for _ in 0..100 {
            ::metrics::with_local_recorder(&recorder, || {
                for _ in 0..SAMPLES / 100 {
                    metrics::HTTP_REQUEST_DURATION.record(Duration::from_millis(3), &["/readyz", "GET"]);
                }
            });
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        let kept = resident_bytes().saturating_sub(before);
        assert!(
            kept < MAX_KEPT_BYTES,
            "{kept} bytes are kept of {SAMPLES} durations"
        );
        let told = recorder.handle().render();
        let count = "lucida_http_request_duration_seconds_count{route=\"/readyz\",method=\"GET\"} ";
        let count = told.lines().find_map(|line| line.strip_prefix(count)).unwrap();
        // The library loses those that are recorded in the very moment of adding up, which here never ends.
        assert!(count.parse::<usize>().unwrap() > SAMPLES / 2, "{told}");
    }
}
