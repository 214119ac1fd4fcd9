//! Photos taken in per second: uploads acknowledged, and photos that searches find.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use crate::client::{Client, Form};
use crate::embed::clients_text;
use crate::explain::Snapshot;
use crate::load::{Length, Outcome, closed_loop};
use crate::photos::Photos;
use crate::report::{Section, figure, milliseconds};
use crate::server::{Program, Server};
use crate::statistics::{Latencies, median};
use crate::{Effort, progress};

/// How many clients upload at once.
pub(crate) const CLIENTS: usize = 8;
const POLL: Duration = Duration::from_millis(20);

/// How fast one burst of uploads was.
pub(crate) struct Burst {
    acknowledged_per_second: f64,
    ready_per_second: f64,
    latencies: Latencies,
}

/// Measures.
pub(crate) async fn measure(program: &Program, photos: &Photos, effort: Effort) -> Result<Section> {
    let folder = tempfile::tempdir()?;
    let server = program.start(folder.path()).await?;
    let count = effort.uploads();
    // Both models are in memory and every cache is warm.
    upload(&server, photos, 0, CLIENTS).await?;
    let before = Snapshot::parse(&server.client().metrics().await?);
    let mut bursts = Vec::new();
    for round in 1..=effort.rounds() {
        let burst = upload(&server, photos, round * count, count).await?;
        progress!(
            "  round {round}: {} acknowledged/s, {} ready/s",
            figure(burst.acknowledged_per_second),
            figure(burst.ready_per_second)
        );
        bursts.push(burst);
    }
    let after = Snapshot::parse(&server.client().metrics().await?);
    progress!("  the server's time:\n{}", after.since(&before));
    server.stop().await?;

    let about = format!(
        "`POST /v1/photos` of {count} different JPEGs of one megapixel by {}: stored durably when acknowledged, \
         with EXIF, a thumbnail and a vector when ready; medians of {} rounds.",
        clients_text(CLIENTS),
        effort.rounds()
    );
    let columns = &["", "photos/s", "p50", "p99"];
    let mut section = Section::new("Taking photos in", about, columns);
    let rate = |of: fn(&Burst) -> f64| figure(median(&bursts.iter().map(of).collect::<Vec<_>>()));
    let latencies = Latencies::merge(bursts.iter().map(|burst| burst.latencies.clone()));
    section.row([
        "Uploads acknowledged".to_owned(),
        rate(|burst| burst.acknowledged_per_second),
        milliseconds(latencies.percentile_ms(50)),
        milliseconds(latencies.percentile_ms(99)),
    ]);
    section.row(["Photos ready".to_owned(), rate(|burst| burst.ready_per_second)]);
    Ok(section)
}

/// Uploads `count` photos, numbered from `first`, and waits until all of them are ready.
pub(crate) async fn upload(server: &Server, photos: &Photos, first: usize, count: usize) -> Result<Burst> {
    let ready_before = server.client().counts().await?.ready;
    let Acknowledged { started, outcome } = acknowledge(server, photos, first, count).await?;
    loop {
        let counts = server.client().counts().await?;
        ensure!(counts.failed == 0, "{} photos failed", counts.failed);
        if counts.ready >= ready_before + count {
            break;
        }
        tokio::time::sleep(POLL).await;
    }
    #[expect(clippy::cast_precision_loss, reason = "a few hundred photos")]
    let ready_per_second = count as f64 / started.elapsed().as_secs_f64();
    Ok(Burst {
        acknowledged_per_second: outcome.per_second,
        ready_per_second,
        latencies: outcome.latencies,
    })
}

/// Uploads that are acknowledged, of photos that may wait.
pub(crate) struct Acknowledged {
    started: Instant,
    outcome: Outcome,
}

/// Uploads `count` photos, numbered from `first`, and waits until all of them are acknowledged.
pub(crate) async fn acknowledge(
    server: &Server,
    photos: &Photos,
    first: usize,
    count: usize,
) -> Result<Acknowledged> {
    let clients = Client::several(server.address(), CLIENTS);
    // Made beforehand: it is not the server's work.
    let forms: Arc<[Form]> = (0..count)
        .map(|number| Form::of(&photos.distinct(first + number)))
        .collect();
    let started = Instant::now();
    let request = |client: &Client, number: usize| {
        let (client, forms) = (client.clone(), Arc::clone(&forms));
        async move { client.upload(forms[number].clone(), false).await.map(drop) }
    };
    let outcome = closed_loop(&clients, Length::Requests(count), request).await?;
    Ok(Acknowledged { started, outcome })
}
