//! `lucida import`: takes folders of photos in, into the library of this machine or into a running server.

mod args;
mod file;
mod follow;
mod held;
mod library;
mod progress;
mod report;
mod rules;
mod run;
mod server;
mod shared_report;
mod shown;
mod target;
mod walk;
mod watch;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use lucida_core::{Error, UserId, clean_tags};
use tokio_util::sync::CancellationToken;
use tracing_subscriber::fmt::writer::BoxMakeWriter;

pub(super) use self::args::ImportArgs;
use self::follow::Waiting;
use self::library::Library;
use self::progress::Progress;
use self::report::{Fate, Report, counted};
use self::rules::Rules;
use self::run::Run;
use self::server::Server;
use self::shown::shown;
use self::target::Target;
pub(super) use self::walk::files;
use self::walk::{Listing, walk};
use self::watch::{Seen, Watch, settled_after};
use super::outcome::{Failure, Outcome, print};
use crate::app;
use crate::config::{Config, Flag};
use crate::registry::Registry;
use crate::signals::stop_on_signals;
use crate::telemetry::{self, LogTarget};

/// How often the count of files is shown while they are looked for.
const SEARCH_SHOWN_EVERY: Duration = Duration::from_millis(200);

pub(super) async fn run(registry: &Registry, args: ImportArgs) -> Outcome {
    let offer = held::Offer::of(&args);
    let workers = args
        .workers
        .map(|workers| Flag::new("ingest.workers", workers.to_string(), "--workers"));
    let config = args.config.load(registry, workers)?;
    if args.server.is_none() {
        refuse_memory(&config)?;
    }
    let tags = clean_tags("--tag", &args.tag).map_err(|error| Error::config("--tag", error.to_string()))?;
    let mut rules = Rules::new(args.exclude)?;
    let user = UserId::new(args.user)?;
    // The files that the command itself names may be in the folder that it imports.
    let named = [&args.report, &args.log_file, &args.key_file];
    let named: Vec<PathBuf> = named.into_iter().flatten().cloned().collect();
    let mut report = Report::new(args.report)?;

    let progress = Arc::new(Progress::start());
    let log = match args.log_file {
        Some(path) => LogTarget::File(path),
        None if args.verbose => LogTarget::Shared(BoxMakeWriter::new(progress.log_writer())),
        None => LogTarget::Nowhere,
    };
    telemetry::start_logs_to(&config.log, log)?;
    rules.leave_out(&named);
    let shutdown = CancellationToken::new();
    stop_on_signals(&shutdown)?;

    let library = match &args.server {
        Some(_) => None,
        None => match app::open(registry, &config).await {
            Ok(photos) => Some(photos),
            Err(error) => return Err(offer.explain(error, &config).await.into()),
        },
    };
    if library.is_some() {
        // Now they exist.
        rules.leave_out(&own_paths(&config));
    }
    let workers = library.as_ref().map(|photos| photos.start_workers(&shutdown));
    let target: Arc<dyn Target> = match (library, &args.server) {
        (Some(photos), _) => Arc::new(Library { photos, user }),
        (None, Some(url)) => Arc::new(Server::connect(url, args.key_file.as_deref()).await?),
        (None, None) => return Err(Error::internal("neither a library nor a server to import into").into()),
    };
    let waits = if args.server.is_some() {
        !args.no_wait
    } else {
        config.ingest.workers > 0
    };

    let run = Run {
        target,
        progress: Arc::clone(&progress),
        stop: shutdown.clone(),
        tags,
        folder_tags: args.folder_tags,
        waits,
    };
    let mut import = Import {
        paths: args.paths,
        rules,
        run,
        seen: Seen::default(),
        unreadable: BTreeSet::new(),
        waiting: Vec::new(),
    };
    let ended = import.all(&mut report, args.watch).await;
    let interrupted = shutdown.is_cancelled();
    shutdown.cancel();
    if let Some(workers) = workers {
        if interrupted {
            progress.idle("finishing the photos in progress; Ctrl-C again stops at once");
        }
        // What isn't done then is done by the next start.
        let _ = tokio::time::timeout(config.server.shutdown_timeout(), workers.finished()).await;
    }
    import.run.close(import.waiting, &mut report).await;
    progress.end();
    close(&mut report, ended, interrupted, args.watch)
}

/// Prints what became of the files, and makes the outcome of it.
fn close(report: &mut Report, ended: Result<(), Error>, interrupted: bool, watching: bool) -> Outcome {
    eprint!("{}", report.names());
    let written = report.close();
    if ended.is_err() && report.is_empty() {
        // Nothing was found that could be gone on with.
        return ended.map_err(Into::into);
    }
    print(&report.summary())?;
    written?;
    if let Err(error) = ended {
        eprintln!("stopped after {}; {AGAIN}", report.done());
        return Err(error.into());
    }
    if interrupted && !watching {
        eprintln!("interrupted after {}; {AGAIN}", report.done());
        return Err(Failure::Interrupted);
    }
    if report.is_good() {
        Ok(())
    } else {
        Err(Failure::Bad)
    }
}

/// Refuses a library that would end with the import.
fn refuse_memory(config: &Config) -> Result<(), Error> {
    for (role, part) in [("storage", &config.storage), ("metadata", &config.metadata)] {
        if part.type_name() == "memory" {
            return Err(Error::config(
                format!("{role}.type"),
                "`memory` forgets what is imported when this command ends: choose another type, or import into a \
                 running server with --server URL",
            ));
        }
    }
    Ok(())
}

/// How an import is gone on with.
const AGAIN: &str = "run the same command again to go on: nothing is stored twice";

/// Returns the folders and files of the library itself.
fn own_paths(config: &Config) -> Vec<PathBuf> {
    let mut paths = vec![config.ingest.spool_dir.clone()];
    for part in [&config.storage, &config.metadata, &config.index, &config.queue] {
        for key in ["root", "path"] {
            let path = part.settings().get(key).and_then(|path| path.as_str());
            paths.extend(path.map(PathBuf::from));
        }
    }
    paths
}

/// An import under way.
struct Import {
    paths: Vec<PathBuf>,
    rules: Rules,
    run: Run,
    seen: Seen,
    /// What was reported as unreadable.
    unreadable: BTreeSet<PathBuf>,
    /// Photos that were still to be embedded when this was stopped.
    waiting: Vec<Waiting>,
}

impl Import {
    /// Imports everything, and goes on with what comes if it is to watch.
    async fn all(&mut self, report: &mut Report, watching: bool) -> Result<(), Error> {
        // First the watch: what comes during the first look is seen by the second one.
        let watch = watching.then(|| Watch::start(&self.paths, |line| self.run.progress.note(line)));
        let mut listing = self.list().await?;
        let mut files = std::mem::take(&mut listing.files);
        if watching {
            files = self.seen.changes(files, Duration::ZERO).files;
        }
        listing.files = files;
        self.round(listing, report).await?;
        let Some(mut watch) = watch else {
            return Ok(());
        };
        let names: Vec<_> = self.paths.iter().map(|path| shown(path)).collect();
        let watched = format!("watching {} for new photos, until Ctrl-C", names.join(", "));
        let mut unfinished = false;
        let mut shown_idle = false;
        while !self.run.stop.is_cancelled() {
            if !shown_idle {
                self.run.progress.idle(&watched);
                shown_idle = true;
            }
            watch.next(unfinished, &self.run.stop).await;
            let mut listing = self.list().await?;
            let changes = self
                .seen
                .changes(std::mem::take(&mut listing.files), settled_after());
            unfinished = changes.unfinished;
            if changes.files.is_empty() {
                continue;
            }
            listing.files = changes.files;
            let before = report.new_photos();
            self.round(listing, report).await?;
            let new = report.new_photos() - before;
            self.run.progress.note(&counted(new, "new photo", "new photos"));
            shown_idle = false;
        }
        Ok(())
    }

    /// Lists the files on a blocking thread.
    async fn list(&self) -> Result<Listing, Error> {
        let found = Arc::new(AtomicU64::new(0));
        let (paths, rules, stop) = (self.paths.clone(), self.rules.clone(), self.run.stop.clone());
        let counter = Arc::clone(&found);
        let walking = tokio::task::spawn_blocking(move || walk(&paths, &rules, &stop, &counter));
        tokio::pin!(walking);
        loop {
            tokio::select! {
                listing = &mut walking => {
                    return listing.map_err(|error| Error::internal("looking for files failed").with_source(error))?;
                }
                () = tokio::time::sleep(SEARCH_SHOWN_EVERY) => {
                    self.run.progress.searching(found.load(Ordering::Relaxed));
                }
            }
        }
    }

    async fn round(&mut self, listing: Listing, report: &mut Report) -> Result<(), Error> {
        report.listed(&listing);
        for (path, reason) in listing.unreadable {
            if self.unreadable.insert(path.clone()) {
                report.settle(&path, &Fate::Unreadable(reason));
            }
        }
        self.run.all(listing.files, report, &mut self.waiting).await
    }
}
