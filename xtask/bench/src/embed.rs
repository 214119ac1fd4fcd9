//! Photos embedded per second: ONNX Runtime by itself against the same work through HTTP.

use std::time::Duration;

use anyhow::{Context as _, Result};

use crate::client::{Client, Form};
use crate::explain::Snapshot;
use crate::load::{Length, closed_loop};
use crate::photos::Photos;
use crate::process::processor_time;
use crate::reference::{Loaded, Reference};
use crate::report::{Section, figure, milliseconds};
use crate::runs::Runs;
use crate::server::Program;
use crate::{Effort, progress};

/// How many photos are sent in turn.
const PHOTOS: usize = 32;

/// A model in the server, and the same by itself.
pub(crate) struct Subject<'a> {
    pub(crate) heading: &'static str,
    /// The model, in words.
    pub(crate) model: &'static str,
    pub(crate) program: &'a Program,
    pub(crate) reference: Reference,
    /// How many clients there are, the most last.
    pub(crate) clients: [usize; 2],
}

/// Measures.
pub(crate) async fn measure(subject: &Subject<'_>, photos: &Photos, effort: Effort) -> Result<Section> {
    let Subject {
        heading,
        model,
        program,
        reference,
        clients,
    } = subject;
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
    through_http(clients[1], effort.warm_up()).await?;
    let fastest = fastest(reference, photos, effort.trial())?;

    let window = effort.window();
    let (mut raw, mut http) = (Runs::default(), clients.map(|_| Runs::default()));
    let before = Snapshot::parse(&server.client().metrics().await?);
    for round in 1..=effort.rounds() {
        let begun = processor_time(std::process::id())?;
        let outcome = reference.run(&fastest, photos, window)?;
        progress!("  round {round}: raw {} images/s", figure(outcome.per_second));
        raw.add(outcome, processor_time(std::process::id())? - begun);
        for (runs, clients) in http.iter_mut().zip(*clients) {
            let begun = processor_time(server.pid())?;
            let outcome = through_http(clients, window).await?;
            progress!(
                "    {}: {} images/s",
                clients_text(clients),
                figure(outcome.per_second)
            );
            runs.add(outcome, processor_time(server.pid())? - begun);
        }
    }
    let after = Snapshot::parse(&server.client().metrics().await?);
    progress!("  the server's time:\n{}", after.since(&before));
    server.stop().await?;

    let about = format!(
        "JPEGs of one megapixel and {} kB on average, {model}; both sides decode, prepare and compute. The reference \
         is the fastest of several ways to run ONNX Runtime in process on all cores, measured in turn with the server; \
         medians of {} rounds of {} s. The processor's time is that of all cores together, of the server's process \
         without the clients, which run beside it.",
        photos.mean_bytes() / 1000,
        effort.rounds(),
        window.as_secs()
    );
    let columns = &[
        "",
        "images/s",
        "of the reference",
        "p50",
        "p99",
        "processor's time",
    ];
    let mut section = Section::new(heading, about, columns);
    let name = format!("ONNX Runtime in process ({})", fastest.setup());
    section.row(row(name, &raw, None));
    for (runs, clients) in http.iter().zip(*clients) {
        let name = format!("`POST /embed/image`, {}", clients_text(clients));
        section.row(row(name, runs, Some(&raw)));
    }
    Ok(section)
}

fn row(name: String, runs: &Runs, reference: Option<&Runs>) -> [String; 6] {
    let ratio = reference.map(|reference| format!("{:.2}", runs.ratio_to(reference)));
    [
        name,
        figure(runs.rate()),
        ratio.unwrap_or_default(),
        milliseconds(runs.percentile_ms(50)),
        milliseconds(runs.percentile_ms(99)),
        milliseconds(runs.processor_ms()),
    ]
}

/// Tries every setup twice for a short while and keeps the fastest.
pub(crate) fn fastest(reference: &Reference, photos: &Photos, window: Duration) -> Result<Loaded> {
    let mut tried = Vec::new();
    for setup in Reference::setups() {
        let loaded = reference.load(setup)?;
        // The first run of a session allocates and packs.
        reference.run(&loaded, photos, Duration::from_millis(500))?;
        tried.push((0.0_f64, loaded));
    }
    for _ in 0..2 {
        for (best, loaded) in &mut tried {
            let rate = reference.run(loaded, photos, window)?.per_second;
            progress!("  raw, {}: {} images/s", loaded.setup(), figure(rate));
            *best = best.max(rate);
        }
    }
    let fastest = tried
        .into_iter()
        .max_by(|(left, _), (right, _)| left.total_cmp(right));
    fastest
        .map(|(_, loaded)| loaded)
        .context("there is no way to run the reference")
}

/// `1 client`, `8 clients`.
pub(crate) fn clients_text(count: usize) -> String {
    format!("{count} client{}", if count == 1 { "" } else { "s" })
}
