//! `lucida serve` and `lucida worker`: the long-running processes.

use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::Args;
use lucida_core::{Embedder, metrics};
use lucida_library::NamedModels;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::config_args::ConfigArgs;
use super::listen;
use super::outcome::Outcome;
use super::probes::Probes;
use crate::config::Flag;
use crate::http::{self, HttpParts, HttpState, Tls};
use crate::registry::Registry;
use crate::signals::stop_on_signals;
use crate::{app, telemetry};

#[derive(Args)]
pub(super) struct ServeArgs {
    #[command(flatten)]
    config: ConfigArgs,
    /// The address and port to listen on, in place of server.listen
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<String>,
    /// How many photos are embedded at once, in place of ingest.workers
    #[arg(long, value_name = "N")]
    workers: Option<usize>,
}

#[derive(Args)]
pub(super) struct WorkerArgs {
    #[command(flatten)]
    config: ConfigArgs,
    /// The address and port of health and metrics, in place of worker.listen
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<String>,
    /// How many photos are embedded at once, in place of ingest.workers
    #[arg(long, value_name = "N")]
    workers: Option<usize>,
}

fn workers_flag(workers: Option<usize>) -> Option<Flag> {
    workers.map(|workers| Flag::new("ingest.workers", workers.to_string(), "--workers"))
}

/// Serves until a signal, then finishes what it accepted.
pub(super) async fn serve(registry: &Registry, args: ServeArgs) -> Outcome {
    let started = Instant::now();
    let listen = args
        .listen
        .map(|address| Flag::new("server.listen", address, "--listen"));
    let flags = listen.into_iter().chain(workers_flag(args.workers));
    let config = args.config.load(registry, flags)?;
    config.check_server(registry)?;
    telemetry::start_logs(&config.log)?;
    let metrics = telemetry::start_metrics()?;
    let keys = config.auth.load()?;
    let tls = config.server.tls_files().map(Tls::load).transpose()?;
    // The address first: a second server on the same one ends here, before it opens the first one's stores.
    let (listener, address) = listen::bind(&config.server.listen, "server.listen").await?;
    let photos = app::open(registry, &config).await?;
    metrics::BUILD_INFO.set(
        1.0,
        &[env!("CARGO_PKG_VERSION"), &photos.embedder().describe().model],
    );
    let pool = app::open_named_models(registry, &config, photos.embedder().describe()).await?;
    let further = pool
        .models()
        .iter()
        .map(|model| Arc::clone(model) as Arc<dyn Embedder>);
    let models = NamedModels::new(photos.clone(), further);
    let shutdown = CancellationToken::new();
    stop_on_signals(&shutdown)?;
    // Work goes on until the requests are answered: one of them may wait for its photo.
    let workers_shutdown = CancellationToken::new();
    let workers = photos.start_workers(&workers_shutdown);
    let state = HttpState::new(HttpParts {
        photos,
        models,
        options: config.http_options(),
        keys,
        metrics,
        shutdown,
    });
    info!(
        address = %address,
        storage = config.storage.type_name(),
        metadata = config.metadata.type_name(),
        index = config.index.type_name(),
        queue = config.queue.type_name(),
        embedder = config.embedder.type_name(),
        workers = config.ingest.workers,
        elapsed_secs = started.elapsed().as_secs_f64(),
        "serving on {}://{address}", config.server.scheme()
    );
    match tls {
        Some(tls) => http::serve_tls(listener, state, tls).await?,
        None => http::serve(listener, state).await?,
    }
    workers_shutdown.cancel();
    finish(workers.finished(), config.server.shutdown_timeout()).await;
    Ok(())
}

/// Embeds photos until a signal, then finishes those it works on.
pub(super) async fn work(registry: &Registry, args: WorkerArgs) -> Outcome {
    let listen = args
        .listen
        .map(|address| Flag::new("worker.listen", address, "--listen"));
    let flags = listen.into_iter().chain(workers_flag(args.workers));
    let config = args.config.load(registry, flags)?;
    config.check_worker(registry)?;
    telemetry::start_logs(&config.log)?;
    let probes = Probes::open(&config).await?;
    let photos = app::open(registry, &config).await?;
    let shutdown = CancellationToken::new();
    stop_on_signals(&shutdown)?;
    let workers = photos.start_workers(&shutdown);
    let answering = probes.map(|probes| probes.answer(&photos, &config, &shutdown));
    info!(workers = config.ingest.workers, "working");
    shutdown.cancelled().await;
    finish(workers.finished(), config.server.shutdown_timeout()).await;
    if let Some(answering) = answering {
        answering.stop().await;
    }
    Ok(())
}

async fn finish(work: impl Future<Output = ()>, at_most: Duration) {
    if tokio::time::timeout(at_most, work).await.is_err() {
        warn!("stopping before all photos in progress are done: the next start tries them again");
    } else {
        info!("stopped");
    }
}
