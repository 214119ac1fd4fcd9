//! The work of an import: some files at once go to the target, and the photos are followed until they are ready.

use std::collections::{BTreeSet, HashSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::StreamExt as _;
use lucida_core::{MAX_TAGS, PhotoId, Result, tag_from_name};
use tokio::sync::mpsc::{self, UnboundedSender};
use tokio_util::sync::CancellationToken;

use super::file::{Opened, Refusal};
use super::follow::{Follower, WINDOW, Waiting};
use super::progress::Progress;
use super::report::{Fate, Report};
use super::shared_report::SharedReport;
use super::target::{BUSY_PATIENCE, Details, TakeError, Taken, Target};
use super::walk::Found;
use crate::http::clean_filename;

/// How many files are read at once.
const UPLOADS: usize = 4;

/// How often a file that changes while it is read is tried, and how long it is left alone between.
const TRIES_OF_A_CHANGING_FILE: usize = 3;
const CHANGING_PAUSE: Duration = Duration::from_secs(1);

/// The longest pause before a target that was busy is called again.
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// How files are imported.
pub(super) struct Run {
    pub(super) target: Arc<dyn Target>,
    pub(super) progress: Arc<Progress>,
    pub(super) stop: CancellationToken,
    /// Tags for each photo.
    pub(super) tags: BTreeSet<String>,
    /// Whether the names of its folders are tags of a photo, too.
    pub(super) folder_tags: bool,
    /// Whether a file is done when its photo is ready, rather than when it is stored.
    pub(super) waits: bool,
}

impl Run {
    /// Imports files. Adds to `waiting` the photos that are not settled, because this was stopped.
    ///
    /// # Errors
    /// That of a target that takes nothing any more; what was taken is in the report.
    pub(super) async fn all(
        &self,
        files: Vec<Found>,
        report: &mut Report,
        waiting: &mut Vec<Waiting>,
    ) -> Result<()> {
        let (total, done) = report.progress();
        self.progress.begin(total, done);
        let report = SharedReport::new(report, &self.progress);
        let follower = Follower {
            target: &*self.target,
            progress: &self.progress,
            report: &report,
        };
        let (sender, receiver) = mpsc::unbounded_channel();
        // Cancelled by a signal, and when the target takes nothing any more.
        let stop = self.stop.child_token();
        let (taken, left) = futures::join!(
            self.take_all(files, sender, &report, &stop),
            follower.follow(receiver, &stop)
        );
        waiting.extend(left);
        taken
    }

    /// Looks once more at the photos that were worked on when the work was stopped, and reports the others as waiting.
    ///
    /// # Errors
    /// None of the target's: a photo that can't be looked at is waiting.
    pub(super) async fn close(&self, waiting: Vec<Waiting>, report: &mut Report) {
        for (place, photo) in waiting.into_iter().enumerate() {
            let fate = match place {
                0..WINDOW => match self.target.look(&photo.id).await {
                    Ok(Some(standing)) => Fate::of(photo.id, standing, true),
                    Ok(None) | Err(_) => None,
                },
                _ => None,
            };
            report.settle(&photo.path, &fate.unwrap_or(Fate::Waiting(photo.id)));
        }
    }

    async fn take_all(
        &self,
        files: Vec<Found>,
        waiting: UnboundedSender<Waiting>,
        report: &SharedReport<'_>,
        stop: &CancellationToken,
    ) -> Result<()> {
        let takes = futures::stream::iter(files)
            .take_until(stop.cancelled())
            .map(|file| async move {
                let taken = self.take(&file, stop).await;
                (file.path, taken)
            })
            .buffer_unordered(UPLOADS);
        tokio::pin!(takes);
        let mut fault = None;
        let mut followed = HashSet::new();
        while let Some((path, taken)) = takes.next().await {
            match taken {
                Ok(Some(taken)) => {
                    report.taken(taken.is_new);
                    match Fate::of(taken.id, taken.standing, taken.is_new) {
                        Some(fate) => report.settle(&path, &fate),
                        // A copy of a file before it.
                        None if !followed.insert(taken.id) => {
                            report.settle(&path, &Fate::Known(taken.id));
                        }
                        None => self.hand_on(&waiting, taken.id, path, report),
                    }
                }
                // Stopped before it was taken.
                Ok(None) => {}
                Err(TakeError::File(refusal)) => report.settle(&path, &Fate::Refused(refusal)),
                Err(TakeError::Busy(error, _) | TakeError::Target(error)) => {
                    // The others that are on their way are waited for.
                    fault.get_or_insert(error);
                    stop.cancel();
                }
            }
        }
        fault.map_or(Ok(()), Err)
    }

    /// Passes a photo that is to be embedded to the follower.
    fn hand_on(
        &self,
        waiting: &UnboundedSender<Waiting>,
        id: PhotoId,
        path: PathBuf,
        report: &SharedReport<'_>,
    ) {
        let photo = Waiting { id, path };
        let left = if self.waits {
            // Nobody follows any more once this is stopped, or may not look.
            waiting.send(photo).err().map(|unsent| unsent.0)
        } else {
            Some(photo)
        };
        if let Some(photo) = left {
            report.settle(&photo.path, &Fate::Waiting(photo.id));
        }
    }

    /// Takes one file; `None` when this was stopped before.
    async fn take(&self, file: &Found, stop: &CancellationToken) -> Result<Option<Taken>, TakeError> {
        let details = self.details(file);
        let started = Instant::now();
        let mut tries = 0;
        let mut pause = Duration::from_millis(500);
        loop {
            let path = file.path.clone();
            let opened = tokio::task::spawn_blocking(move || Opened::open(&path))
                .await
                .map_err(|error| Refusal::new("internal", format!("reading the file failed: {error}")))
                .and_then(|opened| opened)
                .map_err(TakeError::File)?;
            let wait = match self.target.take(opened, details.clone()).await {
                Err(TakeError::File(refusal)) if refusal.changed && tries < TRIES_OF_A_CHANGING_FILE => {
                    tries += 1;
                    CHANGING_PAUSE
                }
                Err(TakeError::Busy(error, wait)) if started.elapsed() < BUSY_PATIENCE => {
                    self.progress.waiting(&error.to_string());
                    pause = (pause * 2).min(LONGEST_PAUSE);
                    wait.max(pause)
                }
                taken => return taken.map(Some),
            };
            tokio::select! {
                () = stop.cancelled() => return Ok(None),
                () = tokio::time::sleep(wait) => {}
            }
        }
    }

    fn details(&self, file: &Found) -> Details {
        let name = file.path.file_name().map(|name| name.to_string_lossy());
        let filename = name.and_then(|name| clean_filename(&name)).unwrap_or_default();
        let mut tags = self.tags.clone();
        if self.folder_tags {
            let folders = file.folders().filter_map(|folder| tag_from_name(&folder));
            tags.extend(folders.take(MAX_TAGS.saturating_sub(self.tags.len())));
        }
        Details { filename, tags }
    }
}
