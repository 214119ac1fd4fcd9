//! How long it takes from the start of the program until it is of use.

use std::path::Path;
use std::time::Instant;

use anyhow::Result;

use crate::library::Library;
use crate::report::{Section, figure, thousands};
use crate::server::Program;
use crate::statistics::median;
use crate::texts::text;
use crate::{Effort, progress};

/// Measures.
pub(crate) async fn measure(program: &Program, library: &mut Library, effort: Effort) -> Result<Section> {
    let about = format!(
        "From the start of the process until `/readyz` answers 200, and until the first search by words is \
         answered; medians of {} starts.",
        effort.starts()
    );
    let mut section = Section::new("Starting", about, &["", "ready", "first search answered"]);
    let mut row = |name: String, starts: &[(f64, f64)]| {
        let seconds = |of: fn(&(f64, f64)) -> f64| {
            let seconds = median(&starts.iter().map(of).collect::<Vec<_>>());
            if seconds < 1.0 {
                format!("{} ms", figure(seconds * 1e3))
            } else {
                format!("{seconds:.2} s")
            }
        };
        section.row([name, seconds(|start| start.0), seconds(|start| start.1)]);
    };

    let mut starts = Vec::new();
    for _ in 0..effort.starts() {
        let folder = tempfile::tempdir()?;
        starts.push(start(program, folder.path()).await?);
    }
    row("Nothing there yet".to_owned(), &starts);

    let size = effort.largest();
    library.grow_to(size).await?;
    // The first start may have to catch up with what was written behind the server's back.
    start(program, library.folder()).await?;
    let mut starts = Vec::new();
    for _ in 0..effort.starts() {
        starts.push(start(program, library.folder()).await?);
    }
    row(format!("{} photos", thousands(size)), &starts);
    Ok(section)
}

/// Starts and stops the server; returns the seconds until it was ready, and until it had answered a search.
async fn start(program: &Program, folder: &Path) -> Result<(f64, f64)> {
    let begun = Instant::now();
    let server = program.start(folder).await?;
    let ready = server.ready_after().as_secs_f64();
    server.client().search(&text(0), 1).await?;
    let searched = begun.elapsed().as_secs_f64();
    progress!("  ready after {ready:.3} s, a search answered after {searched:.3} s");
    server.stop().await?;
    Ok((ready, searched))
}
