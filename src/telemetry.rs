//! Logs and metrics: where they go, and in what form.

use std::io;

use lucida_core::{Error, Result, metrics};
use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{Layer as _, fmt};

use crate::config::{LogFormat, LogSettings};

/// Sends log lines to the standard error, as configured; only the first call of a process has an effect.
///
/// # Errors
/// `ConfigInvalid` for a filter that is none.
pub fn start_logs(settings: &LogSettings) -> Result<()> {
    let filter = settings
        .env_filter()
        .map_err(|error| error.context("log.filter"))?;
    let layer = match settings.format {
        LogFormat::Pretty => fmt::layer()
            .with_writer(io::stderr)
            .with_ansi(io::IsTerminal::is_terminal(&io::stderr()))
            .boxed(),
        LogFormat::Json => fmt::layer()
            .json()
            .flatten_event(true)
            .with_current_span(false)
            .with_span_list(true)
            .with_writer(io::stderr)
            .boxed(),
    };
    // A second server in one process, as tests have, logs where the first one does.
    let _ = tracing_subscriber::registry().with(filter).with(layer).try_init();
    Ok(())
}

/// Makes the recorder of all metrics, and what `/metrics` shows; a process has one.
///
/// # Errors
/// `Internal` when this process has a recorder already.
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
    Ok(handle)
}
