//! Ten times more photos to embed than the server can: how the clients are answered, and what it costs.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};
use axum::http::StatusCode;
use lucida::Registry;
use lucida::config::{Config, Sources};

use crate::client::{Client, Form};
use crate::load::{Length, closed_loop, open_loop};
use crate::memory::{QUIET_LIMIT, peak_while};
use crate::photos::Photos;
use crate::process::{memory, wait_until_quiet};
use crate::report::{Section, figure, megabytes, milliseconds, thousands};
use crate::server::Program;
use crate::statistics::Latencies;
use crate::{Effort, progress};

/// How many times what the server can is asked of it.
const TIMES: f64 = 10.0;
/// How many clients find out what it can.
const CLIENTS: usize = 8;
const PHOTOS: usize = 32;

/// What came back: a status, or that nothing did.
type Answer = (Option<StatusCode>, Duration);

/// Measures.
pub(crate) async fn measure(program: &Program, photos: &Photos, effort: Effort) -> Result<Section> {
    let folder = tempfile::tempdir()?;
    let server = program.start(folder.path()).await?;
    let forms: Arc<[Form]> = (0..PHOTOS).map(|number| Form::of(photos.get(number))).collect();
    let embed = |client: &Client, number: usize| {
        let (client, form) = (client.clone(), forms[number % PHOTOS].clone());
        async move { client.embed_image(form).await }
    };
    let clients = Client::several(server.address(), CLIENTS);
    closed_loop(&clients, Length::For(effort.warm_up()), embed).await?;
    let capacity = closed_loop(&clients, Length::For(effort.window()), embed)
        .await?
        .per_second;
    wait_until_quiet(server.pid(), QUIET_LIMIT).await?;
    let before = memory(server.pid())?;
    progress!(
        "  {} images/s with {CLIENTS} clients, {before:?}",
        figure(capacity)
    );

    // A request goes out on a connection that is free, or on a new one.
    let free: Arc<Mutex<Vec<Client>>> = Arc::default();
    let address = server.address();
    let request = |number: usize| {
        let (free, form) = (Arc::clone(&free), forms[number % PHOTOS].clone());
        async move {
            let taken = free.lock().unwrap_or_else(PoisonError::into_inner).pop();
            let client = taken.unwrap_or_else(|| Client::new(address));
            let begun = Instant::now();
            let status = match client.embed_image_status(form).await {
                Ok(status) => {
                    free.lock().unwrap_or_else(PoisonError::into_inner).push(client);
                    Some(status)
                }
                Err(error) => {
                    progress!("  a request failed: {error:#}");
                    None
                }
            };
            (status, begun.elapsed())
        }
    };
    let begun = Instant::now();
    let flood = open_loop(capacity * TIMES, effort.flood(), request);
    let (answers, peak) = peak_while(server.pid(), flood).await?;
    let seconds = begun.elapsed().as_secs_f64();
    wait_until_quiet(server.pid(), QUIET_LIMIT).await?;
    let after = memory(server.pid())?;
    server.stop().await?;

    let places = places(program)?;
    let by_status = by_status(answers);
    let accepted = by_status.get(&Some(StatusCode::OK)).map_or(0, Latencies::count);
    #[expect(clippy::cast_precision_loss, reason = "a few thousand requests")]
    let bound_ms = places as f64 * seconds * 1e3 / accepted as f64;
    let about = format!(
        "`POST /embed/image` of JPEGs of one megapixel for {} s, {TIMES} times as many as the {} a second that \
         {CLIENTS} clients get, each on a connection of its own. At most {places} requests are worked on at once, so \
         that an accepted one waits for {} at most. Resident memory: {} before, {} at most, {} after.",
        effort.flood().as_secs(),
        figure(capacity),
        milliseconds(bound_ms),
        megabytes(before.resident_bytes),
        megabytes(peak.resident_bytes),
        megabytes(after.resident_bytes),
    );
    let columns = &["answer", "requests", "per second", "p50", "p99"];
    let mut section = Section::new("Overloaded", about, columns);
    for (status, latencies) in by_status {
        #[expect(clippy::cast_precision_loss, reason = "a few thousand requests")]
        let per_second = latencies.count() as f64 / seconds;
        section.row([
            status.map_or_else(|| "none".to_owned(), |status| status.to_string()),
            thousands(latencies.count()),
            figure(per_second),
            milliseconds(latencies.percentile_ms(50)),
            milliseconds(latencies.percentile_ms(99)),
        ]);
    }
    Ok(section)
}

fn by_status(answers: Vec<Answer>) -> BTreeMap<Option<StatusCode>, Latencies> {
    let mut sorted: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for (status, latency) in answers {
        sorted.entry(status).or_default().push(latency);
    }
    sorted
        .into_iter()
        .map(|(status, latencies)| (status, Latencies::new(latencies)))
        .collect()
}

/// Returns how many requests the server works on at once.
fn places(program: &Program) -> Result<usize> {
    let sources = Sources {
        flags: program.flags(),
        ..Sources::default()
    };
    let config = Config::load(&Registry::default(), &sources).map_err(|findings| anyhow!("{findings}"))?;
    Ok(config.http_options().max_concurrent_requests)
}
