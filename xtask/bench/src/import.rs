//! How long a search takes while photos are taken in, against one in a server that has nothing else to do.

use std::time::{Duration, Instant};

use anyhow::Result;

use crate::client::Form;
use crate::explain::Snapshot;
use crate::ingest;
use crate::photos::Photos;
use crate::report::{Section, milliseconds, thousands};
use crate::server::{Program, Server};
use crate::statistics::Latencies;
use crate::texts::text;
use crate::{Effort, progress};

const LIMIT: usize = 20;
/// How many photos are there to be found.
const THERE: usize = 64;

/// What is searched by, in turn.
const KINDS: [&str; 2] = ["by words", "by a picture"];

/// Latencies by kind.
type Searches = [Vec<Duration>; KINDS.len()];

/// Measures.
pub(crate) async fn measure(program: &Program, photos: &Photos, effort: Effort) -> Result<Section> {
    let folder = tempfile::tempdir()?;
    let server = program.start(folder.path()).await?;
    ingest::upload(&server, photos, 0, THERE).await?;
    let mut idle = Searches::default();
    for number in 0..effort.searches() / 5 {
        search(&server, photos, number, &mut idle).await?;
    }
    // Those before everything was warm don't count.
    idle.iter_mut().for_each(|searches| drop(searches.drain(..10)));

    let before = Snapshot::parse(&server.client().metrics().await?);
    let mut busy = Searches::default();
    let count = effort.uploads() * 3;
    let import = async { ingest::upload(&server, photos, THERE, count).await.map(drop) };
    let searches = async {
        for number in 0.. {
            search(&server, photos, number, &mut busy).await?;
        }
        Ok(())
    };
    // The searches don't end, so that the first to end is the import, or what fails.
    tokio::select! {
        ended = import => ended,
        failed = searches => failed,
    }?;
    let after = Snapshot::parse(&server.client().metrics().await?);
    progress!("  the server's time:\n{}", after.since(&before));
    server.stop().await?;

    let about = format!(
        "`POST /v1/search` by one client, in turn by words and by a picture of one megapixel, {LIMIT} hits: in a server \
         that does nothing else, and while {} photos of one megapixel are uploaded by {} and embedded.",
        thousands(count),
        crate::embed::clients_text(ingest::CLIENTS)
    );
    let columns = &["", "searches", "p50", "p95", "p50 to idle", "p95 to idle"];
    let mut section = Section::new("Searching during an import", about, columns);
    for ((kind, idle), busy) in KINDS.into_iter().zip(idle).zip(busy) {
        let (idle, busy) = (Latencies::new(idle), Latencies::new(busy));
        let row = |name: &str, latencies: &Latencies, ratio: &dyn Fn(usize) -> String| {
            [
                format!("{kind}, {name}"),
                thousands(latencies.count()),
                milliseconds(latencies.percentile_ms(50)),
                milliseconds(latencies.percentile_ms(95)),
                ratio(50),
                ratio(95),
            ]
        };
        section.row(row("idle", &idle, &|_| String::new()));
        section.row(row("importing", &busy, &|percent| {
            format!(
                "{:.1}×",
                busy.percentile_ms(percent) / idle.percentile_ms(percent)
            )
        }));
    }
    Ok(section)
}

async fn search(server: &Server, photos: &Photos, number: usize, searches: &mut Searches) -> Result<()> {
    let kind = number % KINDS.len();
    let begun = Instant::now();
    if kind == 0 {
        server.client().search(&text(number), LIMIT).await?;
    } else {
        let form = Form::of(photos.get(number));
        server.client().search_by_picture(form).await?;
    }
    searches[kind].push(begun.elapsed());
    Ok(())
}
