//! What models of full size cost: the time until they serve, and memory while they do and after they have left it.

use std::path::Path;

use anyhow::Result;

use crate::client::{Client, Form};
use crate::load::{Length, closed_loop};
use crate::memory::{QUIET_LIMIT, cell};
use crate::photos::Photos;
use crate::process::{Memory, memory, wait_until_quiet};
use crate::report::Section;
use crate::server::{Program, Server, Setting};
use crate::statistics::median;
use crate::subjects::Subjects;
use crate::texts::sentence;
use crate::{Effort, progress};

const CLIENTS: usize = 8;
/// After how long without work the towers leave memory, where they do.
const UNLOAD_SECS: &str = "2";

/// Measures.
pub(crate) async fn measure(
    program: &Program,
    subjects: &Subjects,
    photos: &Photos,
    effort: Effort,
) -> Result<Section> {
    let about = format!(
        "CLIP ViT-B/32 and the multilingual DistilBERT, both towers in memory. From the start of the process until \
         `/readyz` answers 200, when it has embedded a picture and a text, medians of {} starts whose files are in the \
         system's cache; resident memory of the whole process, and in parentheses the part of it that is no mapped \
         file: when both towers have been at work and are idle again, and {UNLOAD_SECS} s later with \
         `idle_unload_secs = {UNLOAD_SECS}`.",
        effort.starts()
    );
    let columns = &["", "ready", "both towers", "unloaded"];
    let mut section = Section::new("Models", about, columns);
    for candidate in subjects.candidates() {
        let of_engine = |key: &str| {
            let engine = &candidate.settings[0].value;
            format!("embedder.{engine}.{key}")
        };
        let told = program.with(candidate.settings.clone());
        let mut starts = Vec::new();
        // The first makes what is made once, and brings the files into memory.
        for _ in 0..=effort.starts() {
            let folder = tempfile::tempdir()?;
            let server = told.start(folder.path()).await?;
            starts.push(server.ready_after().as_secs_f64());
            server.stop().await?;
        }
        progress!("  {}: ready after {starts:.2?} s", candidate.name);
        let folder = tempfile::tempdir()?;
        let resident = after_work(&told, folder.path(), photos, effort).await?;
        let unloading = told.with([Setting::new(&of_engine("idle_unload_secs"), UNLOAD_SECS)]);
        let folder = tempfile::tempdir()?;
        let unloaded = after_work(&unloading, folder.path(), photos, effort).await?;
        progress!("  {}: {resident:?}, unloaded {unloaded:?}", candidate.name);
        section.row([
            candidate.name.to_owned(),
            format!("{:.2} s", median(&starts[1..])),
            cell(resident),
            cell(unloaded),
        ]);
    }
    Ok(section)
}

/// Lets both towers work, and returns the memory once the server is idle again.
async fn after_work(program: &Program, folder: &Path, photos: &Photos, effort: Effort) -> Result<Memory> {
    let server = program.start(folder).await?;
    work(&server, photos, effort).await?;
    wait_until_quiet(server.pid(), QUIET_LIMIT).await?;
    let memory = memory(server.pid())?;
    server.stop().await?;
    Ok(memory)
}

async fn work(server: &Server, photos: &Photos, effort: Effort) -> Result<()> {
    let clients = Client::several(server.address(), CLIENTS);
    let images = |client: &Client, number: usize| {
        let (client, form) = (client.clone(), Form::of(photos.get(number)));
        async move { client.embed_image(form).await }
    };
    closed_loop(&clients, Length::For(effort.trial()), images).await?;
    let texts = |client: &Client, number: usize| {
        let client = client.clone();
        async move { client.embed_text(sentence(number)).await }
    };
    closed_loop(&clients, Length::For(effort.trial()), texts).await?;
    Ok(())
}
