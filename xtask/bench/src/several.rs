//! What several models in one server cost: CLIP as the library's model, SigLIP and e5 beside it, loaded when they are first
//! asked, unloaded when they are idle, and loaded again.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};

use crate::client::{Client, Form};
use crate::family_subjects::FamilySubjects;
use crate::load::{Length, closed_loop};
use crate::memory::{QUIET_LIMIT, cell, peak_while};
use crate::photos::Photos;
use crate::process::{Memory, memory, wait_until_quiet};
use crate::report::Section;
use crate::server::{Program, Server};
use crate::texts::sentence;
use crate::{Effort, progress};

/// After how long without work the further models leave memory: longer than the server is watched for until it is quiet.
const UNLOAD_SECS: u64 = 20;
/// How long an unload may take beyond that.
const UNLOAD_LIMIT: Duration = Duration::from_secs(60);
const CLIENTS: usize = 6;

/// The names of the further models.
const SIGLIP: &str = "siglip";
const E5: &str = "e5";

const COLUMNS: [&str; 7] = [
    "",
    "started",
    "and SigLIP",
    "and e5",
    "all at once",
    "both unloaded",
    "both again",
];

/// Measures both engines.
pub(crate) async fn measure(
    program: &Program,
    subjects: &FamilySubjects,
    photos: &Photos,
    effort: Effort,
) -> Result<Section> {
    let about = format!(
        "CLIP ViT-B/32 as the library's model, and SigLIP B/16 and multilingual-e5-small in `[[models]]`, all in fp32 with random \
         weights. Resident memory of the whole process, and in parentheses the part of it that is not a mapped file: once it is \
         quiet after the start, after photos and texts through CLIP; when SigLIP has embedded photos and texts, and e5 texts; \
         the largest seen while {CLIENTS} clients ask all three at once; when the further two were idle for \
         `idle_unload_secs = {UNLOAD_SECS}`; and when each was asked again."
    );
    let mut section = Section::new("Several models in one server", about, &COLUMNS);
    for engine in ["onnx", "candle"] {
        let stages = stages(program, subjects, engine, photos, effort).await?;
        progress!("  {engine}: {stages:?}");
        let cells: Vec<_> = std::iter::once(format!("`{engine}`"))
            .chain(stages.map(cell))
            .collect();
        let cells: [String; COLUMNS.len()] = cells.try_into().ok().context("a cell for each column")?;
        section.row(cells);
    }
    Ok(section)
}

/// The memory in each state, in the order of the columns.
type Stages = [Memory; COLUMNS.len() - 1];

async fn stages(
    program: &Program,
    subjects: &FamilySubjects,
    engine: &str,
    photos: &Photos,
    effort: Effort,
) -> Result<Stages> {
    let folder = tempfile::tempdir()?;
    let config = configure(folder.path(), subjects, engine)?;
    let server = program.with_config(&config).start(folder.path()).await?;
    let quiet = async || {
        wait_until_quiet(server.pid(), QUIET_LIMIT).await?;
        memory(server.pid())
    };
    ask(&server, Model::Library, photos, effort).await?;
    let started = quiet().await?;
    ask(&server, Model::Siglip, photos, effort).await?;
    let with_siglip = quiet().await?;
    // SigLIP is kept loaded until e5 was measured beside it.
    ask(&server, Model::Siglip, photos, effort).await?;
    ask(&server, Model::E5, photos, effort).await?;
    let with_e5 = quiet().await?;
    let ((), at_once) = peak_while(server.pid(), at_once(&server, photos, effort)).await?;
    wait_until_unloaded(&server).await?;
    let unloaded = quiet().await?;
    ask(&server, Model::Siglip, photos, effort).await?;
    ask(&server, Model::E5, photos, effort).await?;
    let again = quiet().await?;
    server.stop().await?;
    Ok([started, with_siglip, with_e5, at_once, unloaded, again])
}

/// Writes the configuration that flags can't say.
fn configure(folder: &Path, subjects: &FamilySubjects, engine: &str) -> Result<PathBuf> {
    let model = |name: &str| format!("{:?}", subjects.folder(name).to_string_lossy());
    let further = |name: &str| {
        format!(
            "[[models]]\nname = \"{name}\"\ntype = \"{engine}\"\nmodel = {}\npreload = false\n\
             idle_unload_secs = {UNLOAD_SECS}\n",
            model(name)
        )
    };
    let text = format!(
        "[embedder]\ntype = \"{engine}\"\n[embedder.{engine}]\nmodel = {}\n{}{}",
        model("clip"),
        further(SIGLIP),
        further(E5)
    );
    let path = folder.join("several.toml");
    std::fs::write(&path, text).context("cannot write a configuration")?;
    Ok(path)
}

/// A model of the server.
#[derive(Debug, Clone, Copy)]
enum Model {
    Library,
    Siglip,
    E5,
}

const MODELS: [Model; 3] = [Model::Library, Model::Siglip, Model::E5];

impl Model {
    async fn text(self, client: &Client, number: usize) -> Result<()> {
        match self {
            Self::Library => client.embed_text(sentence(number)).await,
            Self::Siglip => client.embed_text_for(SIGLIP, sentence(number)).await,
            Self::E5 => client.embed_text_for(E5, sentence(number)).await,
        }
    }

    /// Sends a photo to a model that takes some, and a text to any.
    async fn both(self, client: &Client, photos: &Photos, number: usize) -> Result<()> {
        let photo = photos.get(number);
        match self {
            Self::Library => client.embed_image(Form::of(photo)).await?,
            Self::Siglip => client.embed_image(Form::for_model(SIGLIP, photo)).await?,
            Self::E5 => {}
        }
        self.text(client, number).await
    }
}

async fn ask(server: &Server, model: Model, photos: &Photos, effort: Effort) -> Result<()> {
    let clients = Client::several(server.address(), 2);
    let request = |client: &Client, number: usize| {
        let client = client.clone();
        async move { model.both(&client, photos, number).await }
    };
    closed_loop(&clients, Length::Drained(effort.trial()), request)
        .await
        .map(drop)
}

async fn at_once(server: &Server, photos: &Photos, effort: Effort) -> Result<()> {
    let clients = Client::several(server.address(), CLIENTS);
    let request = |client: &Client, number: usize| {
        let client = client.clone();
        async move { MODELS[number % MODELS.len()].both(&client, photos, number).await }
    };
    closed_loop(&clients, Length::Drained(effort.window()), request)
        .await
        .map(drop)
}

/// Waits until the server says that the further models are unloaded.
async fn wait_until_unloaded(server: &Server) -> Result<()> {
    let limit = Duration::from_secs(UNLOAD_SECS) + UNLOAD_LIMIT;
    let begun = Instant::now();
    loop {
        let loaded = server.client().loaded_models().await?;
        if !loaded.iter().any(|name| [SIGLIP, E5].contains(&name.as_str())) {
            return Ok(());
        }
        ensure!(begun.elapsed() < limit, "still loaded: {}", loaded.join(", "));
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}
