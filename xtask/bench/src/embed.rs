//! Photos embedded per second: ONNX Runtime by itself against the same work through HTTP.

use std::time::Duration;

use anyhow::Result;

use crate::client::{Client, Form};
use crate::explain::Snapshot;
use crate::load::{Length, Outcome, closed_loop};
use crate::photos::Photos;
use crate::reference::{Loaded, Reference};
use crate::report::{Section, figure, milliseconds};
use crate::server::Program;
use crate::statistics::{Latencies, median};
use crate::{Effort, progress};

/// How many photos are sent in turn.
const PHOTOS: usize = 32;
const CLIENTS: [usize; 2] = [1, 8];

/// Measures.
pub(crate) async fn measure(program: &Program, photos: &Photos, effort: Effort) -> Result<Section> {
    let reference = Reference::open()?;
    let folder = tempfile::tempdir()?;
    let server = program.start(folder.path()).await?;
    let forms: Vec<_> = (0..PHOTOS).map(|number| Form::of(photos.get(number))).collect();
    let through_http = async |clients: usize, window| {
        let clients = Client::several(server.address(), clients);
        let request = |client: &Client, number: usize| {
            let (client, form) = (client.clone(), forms[number % PHOTOS].clone());
            async move { client.embed_image(form).await }
        };
        closed_loop(&clients, Length::For(window), request).await
    };
    through_http(CLIENTS[1], effort.warm_up()).await?;
    let fastest = fastest(&reference, photos, effort.trial())?;

    let window = effort.window();
    let (mut raw, mut http) = (Vec::new(), CLIENTS.map(|_| Vec::new()));
    let before = Snapshot::parse(&server.client().metrics().await?);
    for round in 1..=effort.rounds() {
        raw.push(reference.run(&fastest, photos, window)?);
        for (outcomes, clients) in http.iter_mut().zip(CLIENTS) {
            outcomes.push(through_http(clients, window).await?);
        }
        let rates: Vec<_> = http
            .iter()
            .map(|outcomes| figure(outcomes[round - 1].per_second))
            .collect();
        progress!(
            "  round {round}: raw {}, HTTP {}",
            figure(raw[round - 1].per_second),
            rates.join(" and ")
        );
    }
    let after = Snapshot::parse(&server.client().metrics().await?);
    progress!("  the server's time:\n{}", after.since(&before));
    server.stop().await?;

    let about = format!(
        "JPEGs of one megapixel and {} kB on average, the starter model; both sides decode, prepare and compute. \
         The reference is the fastest of several ways to run ONNX Runtime in process on all cores, measured in \
         turn with the server; medians of {} rounds of {} s.",
        photos.mean_bytes() / 1000,
        effort.rounds(),
        window.as_secs()
    );
    let columns = &["", "images/s", "of the reference", "p50", "p99"];
    let mut section = Section::new("Embedding photos", about, columns);
    let name = format!("ONNX Runtime in process ({})", fastest.setup());
    section.row(row(name, &raw, None));
    for (outcomes, clients) in http.iter().zip(CLIENTS) {
        let name = format!("`POST /embed/image`, {}", clients_text(clients));
        section.row(row(name, outcomes, Some(&raw)));
    }
    Ok(section)
}

/// Tries every setup for a short while and keeps the fastest.
fn fastest(reference: &Reference, photos: &Photos, window: Duration) -> Result<Loaded> {
    let mut best: Option<(f64, Loaded)> = None;
    for setup in Reference::setups() {
        let loaded = reference.load(setup)?;
        // The first run of a session allocates and packs.
        reference.run(&loaded, photos, Duration::from_millis(500))?;
        let rate = reference.run(&loaded, photos, window)?.per_second;
        progress!("  raw, {setup}: {} images/s", figure(rate));
        if best.as_ref().is_none_or(|(fastest, _)| rate > *fastest) {
            best = Some((rate, loaded));
        }
    }
    best.map(|(_, loaded)| loaded)
        .ok_or_else(|| anyhow::anyhow!("there is no way to run the reference"))
}

fn row(name: String, outcomes: &[Outcome], raw: Option<&[Outcome]>) -> [String; 5] {
    let rates: Vec<_> = outcomes.iter().map(|outcome| outcome.per_second).collect();
    // A round's runs follow each other, so their ratio is steadier than the rates.
    let ratio = raw.map(|raw| {
        let ratios: Vec<_> = rates
            .iter()
            .zip(raw)
            .map(|(rate, raw)| rate / raw.per_second)
            .collect();
        format!("{:.2}", median(&ratios))
    });
    let latencies = Latencies::merge(outcomes.iter().map(|outcome| outcome.latencies.clone()));
    [
        name,
        figure(median(&rates)),
        ratio.unwrap_or_default(),
        milliseconds(latencies.percentile_ms(50)),
        milliseconds(latencies.percentile_ms(99)),
    ]
}

/// `1 client`, `8 clients`.
pub(crate) fn clients_text(count: usize) -> String {
    format!("{count} client{}", if count == 1 { "" } else { "s" })
}
