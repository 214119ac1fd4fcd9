//! The report of an import under way, shared by the files that are taken and the photos that are followed.

use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::progress::Progress;
use super::report::{Fate, Report};

/// A report, and the progress that shows its counts.
pub(super) struct SharedReport<'a> {
    report: Mutex<&'a mut Report>,
    progress: &'a Progress,
}

impl<'a> SharedReport<'a> {
    pub(super) const fn new(report: &'a mut Report, progress: &'a Progress) -> Self {
        Self {
            report: Mutex::new(report),
            progress,
        }
    }

    /// Counts a photo that the target has taken.
    pub(super) fn taken(&self, is_new: bool) {
        self.lock().taken(is_new);
    }

    /// Reports what became of a file, and shows it.
    pub(super) fn settle(&self, path: &Path, fate: &Fate) {
        let mut report = self.lock();
        report.settle(path, fate);
        self.progress.done(report.progress().1, &report.counts());
    }

    /// The report is whole between any two of its calls.
    fn lock(&self) -> MutexGuard<'_, &'a mut Report> {
        self.report.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
