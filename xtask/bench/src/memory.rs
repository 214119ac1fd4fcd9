//! How much memory the server takes: idle, under load, and after it.

use std::path::Path;
use std::time::Duration;

use anyhow::Result;

use crate::client::{Client, Form};
use crate::library::Library;
use crate::load::{Length, closed_loop};
use crate::photos::Photos;
use crate::process::{Memory, memory, wait_until_quiet};
use crate::report::{Section, megabytes, thousands};
use crate::server::{Program, Server};
use crate::texts::text;
use crate::{Effort, ingest, progress};

const SAMPLE: Duration = Duration::from_millis(50);
/// How long what goes on by itself may take.
pub(crate) const QUIET_LIMIT: Duration = Duration::from_secs(900);

/// Measures.
pub(crate) async fn measure(
    program: &Program,
    photos: &Photos,
    library: &mut Library,
    effort: Effort,
) -> Result<Section> {
    let about = format!(
        "Resident memory of the whole process, and in parentheses the part of it that is not a mapped file. Idle is \
         after the start; under load is the largest seen while {} embed photos, upload photos and search.",
        crate::embed::clients_text(ingest::CLIENTS)
    );
    let columns = &["", "idle", "under load", "idle again"];
    let mut section = Section::new("Memory", about, columns);

    let folder = tempfile::tempdir()?;
    let stages = stages(program, folder.path(), photos, effort).await?;
    section.row(row("Nothing there yet".to_owned(), stages));
    let size = effort.largest();
    library.grow_to(size).await?;
    let stages = stages_of_library(program, library, photos, effort).await?;
    section.row(row(format!("{} photos", thousands(size)), stages));
    Ok(section)
}

/// Idle, under load, idle again.
type Stages = [Memory; 3];

async fn stages_of_library(
    program: &Program,
    library: &Library,
    photos: &Photos,
    effort: Effort,
) -> Result<Stages> {
    // What was written behind the server's back is worked off before it counts.
    let server = program.start(library.folder()).await?;
    wait_until_quiet(server.pid(), QUIET_LIMIT).await?;
    server.stop().await?;
    stages(program, library.folder(), photos, effort).await
}

async fn stages(program: &Program, folder: &Path, photos: &Photos, effort: Effort) -> Result<Stages> {
    let server = program.start(folder).await?;
    wait_until_quiet(server.pid(), QUIET_LIMIT).await?;
    let idle = memory(server.pid())?;
    let ((), peak) = peak_while(server.pid(), load(&server, photos, effort)).await?;
    wait_until_quiet(server.pid(), QUIET_LIMIT).await?;
    let again = memory(server.pid())?;
    server.stop().await?;
    progress!("  idle {idle:?}, peak {peak:?}, idle again {again:?}");
    Ok([idle, peak, again])
}

async fn load(server: &Server, photos: &Photos, effort: Effort) -> Result<()> {
    let clients = Client::several(server.address(), ingest::CLIENTS);
    let embed = |client: &Client, number: usize| {
        let (client, form) = (client.clone(), Form::of(photos.get(number)));
        async move { client.embed_image(form).await }
    };
    closed_loop(&clients, Length::For(effort.window()), embed).await?;
    // Photos that no other burst of this run has sent.
    ingest::upload(server, photos, usize::MAX / 2, effort.uploads()).await?;
    let search = |client: &Client, number: usize| {
        let client = client.clone();
        async move { client.search(&text(number), 20).await.map(drop) }
    };
    closed_loop(&clients, Length::For(effort.window()), search).await?;
    Ok(())
}

/// Returns what `work` gives, and the most memory that a process had meanwhile.
pub(crate) async fn peak_while<T>(pid: u32, work: impl Future<Output = Result<T>>) -> Result<(T, Memory)> {
    let mut work = std::pin::pin!(work);
    let mut peak = memory(pid)?;
    loop {
        tokio::select! {
            done = &mut work => return done.map(|given| (given, peak)),
            () = tokio::time::sleep(SAMPLE) => peak = peak.max(memory(pid)?),
        }
    }
}

fn row(name: String, stages: Stages) -> [String; 4] {
    let [idle, peak, again] = stages.map(cell);
    [name, idle, peak, again]
}

/// Writes `250 MB (120)`: all, and what no file stands behind.
pub(crate) fn cell(memory: Memory) -> String {
    format!(
        "{} ({})",
        megabytes(memory.resident_bytes),
        megabytes(memory.anonymous_bytes).trim_end_matches(" MB")
    )
}
