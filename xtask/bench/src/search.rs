//! How long a search by words takes, by the size of the library.

use std::time::{Duration, Instant};

use anyhow::Result;

use crate::client::Client;
use crate::explain::Snapshot;
use crate::library::Library;
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
/// How long the graph of a large library may take to build.
const QUIET_LIMIT: Duration = Duration::from_secs(900);

/// Measures.
pub(crate) async fn measure(program: &Program, library: &mut Library, effort: Effort) -> Result<Section> {
    let about = format!(
        "`POST /v1/search` with a text, {LIMIT} hits with their records, {} different searches by one client; \
         then the same text through `/embed/text`, which is the share of the model. Recall is how many of the \
         {LIMIT} nearest photos, found by comparing all, a search finds. The last column is with {CLIENTS} clients.",
        thousands(effort.searches())
    );
    let columns = &[
        "photos",
        "p50",
        "p95",
        "p99",
        "text alone, p50",
        "p99",
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
    // Both the model and the graph are there afterwards.
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

    let before = Snapshot::parse(&client.metrics().await?);
    let (mut searches, mut texts) = (Vec::new(), Vec::new());
    for number in 0..effort.searches() {
        let text = text(number);
        let begun = Instant::now();
        client.search(&text, LIMIT).await?;
        searches.push(begun.elapsed());
        let begun = Instant::now();
        client.embed_text(&text).await?;
        texts.push(begun.elapsed());
    }
    let after = Snapshot::parse(&client.metrics().await?);
    progress!("  the server's time:\n{}", after.since(&before));

    let mut found = 0;
    for number in 0..CHECKED {
        let text = text(number);
        let nearest = library.nearest(&client.text_vector(&text).await?, LIMIT);
        found += client.search(&text, LIMIT).await?.intersection(&nearest).count();
    }
    #[expect(clippy::cast_precision_loss, reason = "a thousand hits at most")]
    let recall = found as f64 / (CHECKED * LIMIT) as f64;

    let clients = Client::several(server.address(), CLIENTS);
    let request = |client: &Client, number: usize| {
        let client = client.clone();
        async move { client.search(&text(number), LIMIT).await.map(drop) }
    };
    let together = closed_loop(&clients, Length::For(effort.window()), request).await?;
    server.stop().await?;

    let (searches, texts) = (Latencies::new(searches), Latencies::new(texts));
    let row = [
        thousands(size),
        milliseconds(searches.percentile_ms(50)),
        milliseconds(searches.percentile_ms(95)),
        milliseconds(searches.percentile_ms(99)),
        milliseconds(texts.percentile_ms(50)),
        milliseconds(texts.percentile_ms(99)),
        format!("{recall:.3}"),
        figure(together.per_second),
    ];
    progress!("  {}", row.join(", "));
    Ok(row)
}
