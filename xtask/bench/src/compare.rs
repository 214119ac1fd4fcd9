//! Lucida against the Python service that it replaces: the same models, the same photos and texts, the same client.

use std::time::Duration;

use anyhow::{Result, ensure};
use tempfile::TempDir;

use crate::client::{Client, Form};
use crate::embed::{self, clients_text};
use crate::load::{Length, Outcome, closed_loop};
use crate::photos::Photos;
use crate::process::processor_time;
use crate::reference::Reference;
use crate::report::{Section, figure, milliseconds};
use crate::server::{Program, Server};
use crate::statistics::median;
use crate::subjects::{Subjects, has_openvino};
use crate::texts::sentence;
use crate::{Effort, progress};

/// How many clients there are at once.
const CLIENTS: [usize; 3] = [1, 8, 32];
const COLUMNS: [&str; 8] = [
    "",
    "1 client",
    "8 clients",
    "32 clients",
    "p50, 1 client",
    "p50, 8 clients",
    "p50, 32 clients",
    "processor's time",
];
/// How many photos the sides are asked for the vectors of, to see that they compute the same.
pub(crate) const COMPARED: usize = 24;

/// What is sent.
#[derive(Debug, Clone, Copy)]
enum Load<'a> {
    Photos(&'a [Form]),
    Texts,
}

impl Load<'_> {
    async fn send(self, client: Client, number: usize) -> Result<()> {
        match self {
            Self::Photos(forms) => client.embed_image(forms[number % forms.len()].clone()).await,
            Self::Texts => client.embed_text(sentence(number)).await,
        }
    }
}

/// A server that is measured. All are started at first and idle while it is another's turn.
struct Side {
    name: &'static str,
    server: Server,
    /// Its data and its log.
    _folder: TempDir,
}

/// Measures; `photos` are of one megapixel, `large` ones of twelve.
pub(crate) async fn measure(
    program: &Program,
    subjects: &Subjects,
    photos: &Photos,
    large: &Photos,
    effort: Effort,
) -> Result<Vec<Section>> {
    let sides = start(program, subjects).await?;
    let forms = |photos: &Photos| -> Vec<_> { photos.iter().map(Form::of).collect() };
    let (forms, large_forms) = (forms(photos), forms(large));
    check_vectors(&sides, &forms).await?;

    let images = |photos: &Photos, megapixels: &str| {
        format!(
            "`POST /embed/image` of JPEGs of {megapixels} and {} kB on average.",
            photos.mean_bytes() / 1000
        )
    };
    let texts = "`POST /embed/text` of short sentences in 20 languages, one each.".to_owned();
    let mut sections = Vec::new();
    for (heading, about, load) in [
        (
            "Photos of one megapixel",
            images(photos, "one megapixel"),
            Load::Photos(&forms),
        ),
        (
            "Photos of twelve megapixels",
            images(large, "twelve megapixels"),
            Load::Photos(&large_forms),
        ),
        ("Texts", texts, Load::Texts),
    ] {
        progress!("  {heading}");
        let runs = run(&sides, load, effort).await?;
        sections.push(section(heading, &about, &sides, &runs, effort));
    }
    drop(sides);

    let plain = program.with(subjects.candidates().swap_remove(0).settings);
    let raw = embed::Subject {
        heading: "Against ONNX Runtime in process",
        model: "CLIP ViT-B/32 in fp32",
        program: &plain,
        reference: Reference::export(
            &subjects.clip(),
            subjects.clip_export(),
            ["pixel_values", "image_embeds"],
        )?,
        clients: [CLIENTS[1], CLIENTS[2]],
    };
    sections.push(embed::measure(&raw, photos, effort).await?);
    Ok(sections)
}

/// Starts every side, the Python service first.
async fn start(program: &Program, subjects: &Subjects) -> Result<Vec<Side>> {
    let folder = tempfile::tempdir()?;
    let mut sides = vec![Side {
        name: "Python service",
        server: subjects.start_service(folder.path()).await?,
        _folder: folder,
    }];
    if !has_openvino() {
        progress!("  without OpenVINO, whose library is not there: `cargo xtask setup --openvino`");
    }
    for candidate in subjects.candidates() {
        let folder = tempfile::tempdir()?;
        sides.push(Side {
            name: candidate.name,
            server: program.with(candidate.settings).start(folder.path()).await?,
            _folder: folder,
        });
        progress!("  {} is ready", candidate.name);
    }
    Ok(sides)
}

/// What one side did under one load by so many clients, in every round.
#[derive(Debug, Clone, Default)]
struct Runs {
    rates: Vec<f64>,
    medians_ms: Vec<f64>,
    answers: usize,
    processor_time: Duration,
}

impl Runs {
    fn add(&mut self, outcome: &Outcome, processor_time: Duration) {
        self.rates.push(outcome.per_second);
        self.medians_ms.push(outcome.latencies.percentile_ms(50));
        self.answers += outcome.latencies.count();
        self.processor_time += processor_time;
    }

    /// The processor's time that one answer took, in milliseconds.
    #[expect(clippy::cast_precision_loss, reason = "a few thousand answers")]
    fn each_ms(&self) -> f64 {
        self.processor_time.as_secs_f64() * 1e3 / self.answers as f64
    }
}

/// By clients, then by side.
type Table = [Vec<Runs>; CLIENTS.len()];

async fn run(sides: &[Side], load: Load<'_>, effort: Effort) -> Result<Table> {
    for side in sides {
        closed(side, load, CLIENTS[1], effort.warm_up()).await?;
    }
    let mut table = Table::default();
    for (runs, clients) in table.iter_mut().zip(CLIENTS) {
        runs.resize(sides.len(), Runs::default());
        for round in 1..=effort.compare_rounds() {
            for (runs, side) in runs.iter_mut().zip(sides) {
                let begun = processor_time(side.server.pid())?;
                let outcome = closed(side, load, clients, effort.window()).await?;
                runs.add(&outcome, processor_time(side.server.pid())? - begun);
                progress!(
                    "    {}, round {round}, {}: {}/s, p50 {}",
                    clients_text(clients),
                    side.name,
                    figure(outcome.per_second),
                    milliseconds(outcome.latencies.percentile_ms(50))
                );
            }
        }
    }
    Ok(table)
}

async fn closed(side: &Side, load: Load<'_>, clients: usize, time: Duration) -> Result<Outcome> {
    let clients = Client::several(side.server.address(), clients);
    let request = |client: &Client, number: usize| load.send(client.clone(), number);
    closed_loop(&clients, Length::Drained(time), request).await
}

/// The quotients within each round: what disturbs a round disturbs both.
fn ratio(own: &[f64], other: &[f64]) -> f64 {
    let ratios: Vec<_> = own.iter().zip(other).map(|(own, other)| own / other).collect();
    median(&ratios)
}

fn section(heading: &'static str, about: &str, sides: &[Side], table: &Table, effort: Effort) -> Section {
    let about = format!(
        "{about} Answers per second and the median latency by the number of clients, each with how many times better \
         it is than the Python service's; the processor's time of one answer with {}. Medians of {} rounds of {} s in \
         which the sides take turns.",
        clients_text(CLIENTS[1]),
        effort.compare_rounds(),
        effort.window().as_secs()
    );
    let mut section = Section::new(heading, about, &COLUMNS);
    for (at, side) in sides.iter().enumerate() {
        let with_ratio = |value: String, ratio: f64| {
            if at == 0 {
                value
            } else {
                format!("{value} ({}×)", figure(ratio))
            }
        };
        let rate = |runs: &Vec<Runs>| {
            let (own, python) = (&runs[at].rates, &runs[0].rates);
            with_ratio(figure(median(own)), ratio(own, python))
        };
        let latency = |runs: &Vec<Runs>| {
            let (own, python) = (&runs[at].medians_ms, &runs[0].medians_ms);
            with_ratio(milliseconds(median(own)), ratio(python, own))
        };
        let [one, some, many] = table;
        section.row([
            side.name.to_owned(),
            rate(one),
            rate(some),
            rate(many),
            latency(one),
            latency(some),
            latency(many),
            milliseconds(some[at].each_ms()),
        ]);
    }
    section
}

/// Looks whether every side gives the Python service's vectors, or this would compare unlike things.
async fn check_vectors(sides: &[Side], forms: &[Form]) -> Result<()> {
    let mut theirs: Option<[Vec<Vec<f32>>; 2]> = None;
    for side in sides {
        let client = side.server.client();
        let (mut images, mut texts) = (Vec::new(), Vec::new());
        for (number, form) in forms.iter().take(COMPARED).enumerate() {
            images.push(client.image_vector(form.clone()).await?);
            texts.push(client.text_vector(sentence(number)).await?);
        }
        let own = [centred(images), centred(texts)];
        let Some(theirs) = &theirs else {
            theirs = Some(own);
            continue;
        };
        for (what, (own, theirs)) in ["photos", "texts"].into_iter().zip(own.iter().zip(theirs)) {
            let cosines = own.iter().zip(theirs).map(|(own, theirs)| cosine(own, theirs));
            let least = cosines.fold(f32::INFINITY, f32::min);
            progress!(
                "  {}: {what} at a cosine of {least:.5} or more, without the mean",
                side.name
            );
            ensure!(
                least > LEAST_COSINE,
                "{} gives other vectors of {what} than the Python service",
                side.name
            );
        }
    }
    Ok(())
}

/// Random weights see little of a photo, so that coarser numbers move its vector further than real ones would; another
/// model, or other pixels, would give about 0.
pub(crate) const LEAST_COSINE: f32 = 0.9;

/// Takes the mean away, which is most of every vector that random weights give.
pub(crate) fn centred(mut vectors: Vec<Vec<f32>>) -> Vec<Vec<f32>> {
    #[expect(clippy::cast_precision_loss, reason = "a few vectors")]
    let count = vectors.len() as f32;
    let dimensions = vectors.first().map_or(0, Vec::len);
    for dimension in 0..dimensions {
        let mean = vectors.iter().map(|vector| vector[dimension]).sum::<f32>() / count;
        vectors.iter_mut().for_each(|vector| vector[dimension] -= mean);
    }
    vectors
}

/// Returns the cosine of the angle between two vectors.
pub(crate) fn cosine(left: &[f32], right: &[f32]) -> f32 {
    let dot = |left: &[f32], right: &[f32]| -> f32 {
        left.iter().zip(right).map(|(left, right)| left * right).sum()
    };
    dot(left, right) / (dot(left, left) * dot(right, right)).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ratio_is_taken_within_each_round() {
        // The machine was half as fast in the second round.
        assert!((ratio(&[40.0, 20.0, 44.0], &[10.0, 5.0, 10.0]) - 4.0).abs() < f64::EPSILON);
    }

    #[test]
    fn without_their_mean_vectors_that_differ_little_are_far_apart() {
        let vectors = vec![vec![10.0, 0.1], vec![10.0, -0.1]];
        assert!(cosine(&vectors[0], &vectors[1]) > 0.99);
        let centred = centred(vectors);
        assert!((cosine(&centred[0], &centred[1]) + 1.0).abs() < 1e-6);
    }
}
