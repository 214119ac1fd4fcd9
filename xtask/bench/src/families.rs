//! Photos embedded per second by models of other families than CLIP: Lucida, ONNX Runtime by itself and the family's own
//! library in Python, in one run.

use anyhow::{Result, ensure};
use tempfile::TempDir;

use crate::client::{Client, Form};
use crate::compare::{COMPARED, LEAST_COSINE, centred, cosine};
use crate::embed::fastest;
use crate::family_subjects::{FAMILIES, Family, FamilySubjects};
use crate::load::{Length, closed_loop};
use crate::photos::Photos;
use crate::process::processor_time;
use crate::reference::{Loaded, Reference};
use crate::report::{Section, figure, milliseconds};
use crate::runs::Runs;
use crate::server::{Program, Server};
use crate::{Effort, progress};

const CLIENTS: usize = 8;
const COLUMNS: [&str; 6] = [
    "",
    "photos/s",
    "of ONNX Runtime in fp32",
    "of Python",
    "p50",
    "processor's time",
];

/// A server that is measured. All are started at first and idle while it is another's turn.
struct Side {
    name: String,
    server: Server,
    runs: Runs,
    /// Its data and its log.
    _folder: TempDir,
}

/// ONNX Runtime in this process, in one number format.
struct Raw {
    name: String,
    reference: Reference,
    fastest: Loaded,
    runs: Runs,
}

/// Measures every family.
pub(crate) async fn measure(
    program: &Program,
    subjects: &FamilySubjects,
    photos: &Photos,
    effort: Effort,
) -> Result<Vec<Section>> {
    let mut sections = Vec::new();
    for family in FAMILIES {
        progress!("  {}", family.heading);
        sections.push(measure_family(program, subjects, family, photos, effort).await?);
    }
    Ok(sections)
}

async fn measure_family(
    program: &Program,
    subjects: &FamilySubjects,
    family: Family,
    photos: &Photos,
    effort: Effort,
) -> Result<Section> {
    let forms: Vec<_> = photos.iter().map(Form::of).collect();
    let mut sides = start(program, subjects, family).await?;
    check_vectors(&sides, &forms).await?;
    for side in &sides {
        run(side, &forms, Length::Drained(effort.warm_up())).await?;
    }
    let mut raws = Vec::new();
    for (format, reference) in ["fp32", "int8"].into_iter().zip(subjects.references(family)?) {
        let fastest = fastest(&reference, photos, effort.trial())?;
        raws.push(Raw {
            name: format!("ONNX Runtime in process, {format} ({})", fastest.setup()),
            reference,
            fastest,
            runs: Runs::default(),
        });
    }
    for round in 1..=effort.compare_rounds() {
        for raw in &mut raws {
            let begun = processor_time(std::process::id())?;
            let outcome = raw.reference.run(&raw.fastest, photos, effort.window())?;
            progress!(
                "    round {round}, {}: {}/s",
                raw.name,
                figure(outcome.per_second)
            );
            raw.runs.add(outcome, processor_time(std::process::id())? - begun);
        }
        for side in &mut sides {
            let begun = processor_time(side.server.pid())?;
            let outcome = run(side, &forms, Length::Drained(effort.window())).await?;
            progress!(
                "    round {round}, {}: {}/s",
                side.name,
                figure(outcome.per_second)
            );
            side.runs.add(outcome, processor_time(side.server.pid())? - begun);
        }
    }
    Ok(section(family, photos, &raws, &sides, effort))
}

/// Starts every side, the Python service first.
async fn start(program: &Program, subjects: &FamilySubjects, family: Family) -> Result<Vec<Side>> {
    let folder = tempfile::tempdir()?;
    let mut sides = vec![Side {
        name: format!("Python, {}, fp32", family.library),
        server: subjects.start_service(family, folder.path()).await?,
        runs: Runs::default(),
        _folder: folder,
    }];
    for (name, settings) in subjects.candidates(family) {
        let folder = tempfile::tempdir()?;
        sides.push(Side {
            name: name.to_owned(),
            server: program.with(settings).start(folder.path()).await?,
            runs: Runs::default(),
            _folder: folder,
        });
        progress!("    {name} is ready");
    }
    Ok(sides)
}

async fn run(side: &Side, forms: &[Form], length: Length) -> Result<crate::load::Outcome> {
    let clients = Client::several(side.server.address(), CLIENTS);
    let request = |client: &Client, number: usize| {
        let (client, form) = (client.clone(), forms[number % forms.len()].clone());
        async move { client.embed_image(form).await }
    };
    closed_loop(&clients, length, request).await
}

/// Checks that every side gives the Python service's vectors, or this would compare unlike things.
async fn check_vectors(sides: &[Side], forms: &[Form]) -> Result<()> {
    let mut theirs: Option<Vec<Vec<f32>>> = None;
    for side in sides {
        let mut vectors = Vec::new();
        for form in forms.iter().take(COMPARED) {
            vectors.push(side.server.client().image_vector(form.clone()).await?);
        }
        let own = centred(vectors);
        let Some(theirs) = &theirs else {
            theirs = Some(own);
            continue;
        };
        let cosines = own.iter().zip(theirs).map(|(own, theirs)| cosine(own, theirs));
        let least = cosines.fold(f32::INFINITY, f32::min);
        progress!(
            "    {}: photos at a cosine of {least:.5} or more, without the mean",
            side.name
        );
        ensure!(
            least > LEAST_COSINE,
            "{} gives other vectors than the Python service",
            side.name
        );
    }
    Ok(())
}

fn section(family: Family, photos: &Photos, raws: &[Raw], sides: &[Side], effort: Effort) -> Section {
    let about = format!(
        "`POST /embed/image` of JPEGs of one megapixel and {} kB on average by {CLIENTS} clients, random weights in the sizes of \
         the published model; ONNX Runtime in process decodes and prepares them with the server's functions, the fastest of \
         several ways on all cores. Medians of {} rounds of {} s in which all take turns.",
        photos.mean_bytes() / 1000,
        effort.compare_rounds(),
        effort.window().as_secs()
    );
    let mut section = Section::new(family.heading, about, &COLUMNS);
    let python = &sides[0].runs;
    let rows = raws.iter().map(|raw| (&raw.name, &raw.runs));
    let rows = rows.chain(sides.iter().map(|side| (&side.name, &side.runs)));
    for (name, runs) in rows {
        section.row([
            name.clone(),
            figure(runs.rate()),
            format!("{:.2}", runs.ratio_to(&raws[0].runs)),
            format!("{:.1}×", runs.ratio_to(python)),
            milliseconds(runs.percentile_ms(50)),
            milliseconds(runs.processor_ms()),
        ]);
    }
    section
}
