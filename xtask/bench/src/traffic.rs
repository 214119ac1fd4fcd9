//! What a photo and a search cost a cluster: bytes to and from each server, and the bytes of an answer.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use crate::cluster::{self, Cluster};
use crate::photos::Photos;
use crate::relay::{Bytes, Relays};
use crate::report::{Section, thousands};
use crate::server::{Program, Server, Setting};
use crate::texts::text;
use crate::{Effort, ingest, workers};

/// How many photos are taken in beforehand: connections, collections and models are there then.
const WARM_UP: usize = 25;
const LIMIT: usize = 20;
const POLL: Duration = Duration::from_millis(50);
const PATIENCE: Duration = Duration::from_secs(300);

/// Measures.
pub(crate) async fn measure(program: &Program, photos: &Photos, effort: Effort) -> Result<Section> {
    let cluster = Cluster::start()?;
    let (by_api, by_worker) = (
        Relays::to(&cluster.urls()).await?,
        Relays::to(&cluster.urls()).await?,
    );
    let folder = tempfile::tempdir()?;
    let start = |relays: &Relays, workers: &str| {
        let settings = cluster::settings(relays.urls(), "traffic");
        Ok::<_, anyhow::Error>(
            program
                .slow(settings)?
                .with([Setting::new("ingest.workers", workers)]),
        )
    };
    let api = start(&by_api, "0")?
        .start(&workers::make(folder.path(), "api")?)
        .await?;
    let worker = start(&by_worker, "1")?;
    let worker = worker
        .start_worker(&workers::make(folder.path(), "worker")?)
        .await?;
    take_in(&api, &worker, photos, 0, WARM_UP).await?;

    let count = effort.photos_per_worker();
    let before = (by_api.read(), by_worker.read());
    take_in(&api, &worker, photos, WARM_UP, count).await?;
    let after = (by_api.read(), by_worker.read());
    let about = format!(
        "Bytes sent / received per photo and per search, by one API process and one worker, without TLS, TCP and IP. {} \
         photos, whose JPEGs have {} bytes on average, with EXIF and previews; searches by words with {LIMIT} hits.",
        count,
        thousands(photos.mean_bytes())
    );
    let columns = &["", "MinIO", "FerretDB", "RabbitMQ", "Qdrant (stand-in)", "client"];
    let mut section = Section::new("Traffic of a cluster", about, columns);
    section.row(row("upload, the API", &before.0, &after.0, count));
    section.row(row("embedding, the worker", &before.1, &after.1, count));

    let searches = effort.photos_per_worker();
    let before = by_api.read();
    let mut answered = 0;
    for number in 0..searches {
        let answer = api.client().search_bytes(&text(number), LIMIT).await?;
        answered += answer;
    }
    let [name, minio, ferretdb, rabbitmq, qdrant] = row("search, the API", &before, &by_api.read(), searches);
    let answer = thousands(answered / searches);
    section.row([name, minio, ferretdb, rabbitmq, qdrant, answer]);
    worker.stop().await?;
    api.stop().await?;
    Ok(section)
}

/// Uploads photos, and waits until the worker has embedded them.
async fn take_in(api: &Server, worker: &Server, photos: &Photos, first: usize, count: usize) -> Result<()> {
    ingest::acknowledge(api, photos, first, count).await?;
    let started = Instant::now();
    // The worker is asked and not the API, whose calls are counted.
    while workers::ready(worker).await? < first + count {
        ensure!(
            started.elapsed() < PATIENCE,
            "{count} photos are not ready after {} s",
            PATIENCE.as_secs()
        );
        tokio::time::sleep(POLL).await;
    }
    Ok(())
}

/// Reports how much went to and from each server for one of `count`.
fn row(name: &str, before: &[Bytes], after: &[Bytes], count: usize) -> [String; 5] {
    let cell = |server: usize| {
        let Bytes { sent, received } = after[server].since(before[server]);
        let each = |bytes: u64| thousands(usize::try_from(bytes).unwrap_or(usize::MAX) / count);
        format!("{} / {}", each(sent), each(received))
    };
    [name.to_owned(), cell(0), cell(1), cell(2), cell(3)]
}
