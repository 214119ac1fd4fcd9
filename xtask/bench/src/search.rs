//! How long a search by words takes, by the size of the library.

use std::time::{Duration, Instant};

use anyhow::Result;

use crate::client::Client;
use crate::explain::Snapshot;
use crate::library::{ALL, Library, TAGS};
use crate::load::{Length, closed_loop};
use crate::process::wait_until_quiet;
use crate::report::{Section, figure, milliseconds, thousands};
use crate::server::Program;
use crate::statistics::Latencies;
use crate::texts::text;
use crate::{Effort, progress};

/// How many hits a search gives by default.
const LIMIT: usize = 20;
const CLIENTS: usize = 8;
/// How many searches are held against the truth.
const CHECKED: usize = 50;
/// How long the server may be busy with a large library after its start.
const QUIET_LIMIT: Duration = Duration::from_secs(900);

/// Measures.
pub(crate) async fn measure(program: &Program, library: &mut Library, effort: Effort) -> Result<Section> {
    let about = format!(
        "`POST /v1/search` with a text, {LIMIT} hits with their records, {} different searches by one client, without \
         a filter and among the photos with a tag that 50, 5 and 0.5 % of all have; the same text through \
         `/embed/text` is the share of the model. Cells are p50 / p99. Recall is how many of the {LIMIT} nearest \
         photos, found by comparing all, a search finds, the least of the four. The last column is with {CLIENTS} \
         clients and no filter.",
        thousands(effort.searches())
    );
    let columns = &[
        "photos",
        "no filter",
        "filter 50 %",
        "filter 5 %",
        "filter 0.5 %",
        "text alone",
        "recall",
        "searches/s",
    ];
    let mut section = Section::new("Searching", about, columns);
    for size in effort.sizes() {
        section.row(at_size(program, library, size, effort).await?);
    }
    Ok(section)
}

async fn at_size(
    program: &Program,
    library: &mut Library,
    size: usize,
    effort: Effort,
) -> Result<[String; 8]> {
    let begun = Instant::now();
    library.grow_to(size).await?;
    progress!(
        "  {} photos are written after {:.1} s",
        thousands(size),
        begun.elapsed().as_secs_f64()
    );
    let server = program.start(library.folder()).await?;
    let client = server.client();
    // Both the model and the index are there afterwards.
    client.search(&text(0), LIMIT).await?;
    let begun = Instant::now();
    if !wait_until_quiet(server.pid(), QUIET_LIMIT).await? {
        progress!(
            "  the server is still busy with something after {} s",
            QUIET_LIMIT.as_secs()
        );
    }
    progress!("  quiet after {:.1} s", begun.elapsed().as_secs_f64());
    for number in 0..effort.searches() / 10 {
        client.search(&text(number), LIMIT).await?;
    }

    let filters: [(&[&str], usize); 4] = [
        (&[], ALL),
        (&[TAGS[0].0], TAGS[0].1),
        (&[TAGS[1].0], TAGS[1].1),
        (&[TAGS[2].0], TAGS[2].1),
    ];
    let before = Snapshot::parse(&client.metrics().await?);
    let (mut searches, mut texts) = (filters.map(|_| Vec::new()), Vec::new());
    for number in 0..effort.searches() {
        let text = text(number);
        for ((tags, _), searches) in filters.iter().zip(&mut searches) {
            let begun = Instant::now();
            client.search_tagged(&text, tags, LIMIT).await?;
            searches.push(begun.elapsed());
        }
        let begun = Instant::now();
        client.embed_text(&text).await?;
        texts.push(begun.elapsed());
    }
    let after = Snapshot::parse(&client.metrics().await?);
    progress!("  the server's time:\n{}", after.since(&before));

    let mut recall = f64::INFINITY;
    for (tags, share) in filters {
        let (mut found, mut wanted) = (0_u32, 0_u32);
        for number in 0..CHECKED {
            let text = text(number);
            let nearest = library.nearest(&client.text_vector(&text).await?, share, LIMIT);
            let hits = client.search_tagged(&text, tags, LIMIT).await?;
            found += u32::try_from(hits.intersection(&nearest).count())?;
            wanted += u32::try_from(nearest.len())?;
        }
        recall = recall.min(f64::from(found) / f64::from(wanted));
    }

    let clients = Client::several(server.address(), CLIENTS);
    let request = |client: &Client, number: usize| {
        let client = client.clone();
        async move { client.search(&text(number), LIMIT).await.map(drop) }
    };
    let together = closed_loop(&clients, Length::For(effort.window()), request).await?;
    server.stop().await?;

    let cell = |latencies: Vec<Duration>| {
        let latencies = Latencies::new(latencies);
        let (middle, late) = (latencies.percentile_ms(50), latencies.percentile_ms(99));
        format!("{} / {}", milliseconds(middle), milliseconds(late))
    };
    let [all, half, twentieth, rare] = searches.map(cell);
    let row = [
        thousands(size),
        all,
        half,
        twentieth,
        rare,
        cell(texts),
        format!("{recall:.3}"),
        figure(together.per_second),
    ];
    progress!("  {}", row.join(", "));
    Ok(row)
}
