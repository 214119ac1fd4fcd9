//! `--watch`: which files are new or changed since they were last looked at, and when to look again.

use std::collections::HashMap;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use notify::{RecommendedWatcher, RecursiveMode, Watcher as _};
use tokio::sync::mpsc::{self, Receiver};
use tokio_util::sync::CancellationToken;

use super::file::Stamp;
use super::shown::shown;
use super::walk::Found;

/// A file that was written this recently may still be on its way.
const SETTLED_AFTER: Duration = Duration::from_secs(2);

/// How often the folders are searched without an event: network folders report no changes.
const LOOK_EVERY: Duration = Duration::from_secs(60);

/// Which files were looked at, and how they were then.
#[derive(Default)]
pub(super) struct Seen {
    stamps: HashMap<PathBuf, Stamp>,
}

/// What a look at the folders gives.
pub(super) struct Changes {
    /// New files and those that changed, complete as far as can be told.
    pub(super) files: Vec<Found>,
    /// Whether some were written just now, so that the next look should be soon.
    pub(super) unfinished: bool,
}

impl Seen {
    /// Returns which of the files are new or changed, and remembers them. Blocks.
    pub(super) fn changes(&mut self, files: Vec<Found>, settled_after: Duration) -> Changes {
        let mut changes = Changes {
            files: Vec::new(),
            unfinished: false,
        };
        for file in files {
            let Ok(metadata) = fs::metadata(&file.path) else {
                continue;
            };
            let stamp = Stamp::of(&metadata);
            if self.stamps.get(&file.path) == Some(&stamp) {
                continue;
            }
            if stamp.is_older_than(settled_after) {
                self.stamps.insert(file.path.clone(), stamp);
                changes.files.push(file);
            } else {
                changes.unfinished = true;
            }
        }
        changes
    }
}

/// Says when the folders should be searched again.
pub(super) struct Watch {
    events: Receiver<()>,
    _watcher: Option<RecommendedWatcher>,
}

impl Watch {
    /// Watches folders; where the system can't, `note` says so and they are looked through now and then.
    pub(super) fn start(folders: &[PathBuf], note: impl Fn(&str)) -> Self {
        // One place is enough: it says that there is something to look for.
        let (sender, events) = mpsc::channel(1);
        let tell = move |event: notify::Result<notify::Event>| {
            // Reading a file is an event too. What is not reported is found now and then.
            if event.is_ok_and(|event| !event.kind.is_access()) {
                let _ = sender.try_send(());
            }
        };
        let watcher = notify::recommended_watcher(tell).and_then(|mut watcher| {
            for folder in folders {
                watcher.watch(folder, RecursiveMode::Recursive)?;
            }
            Ok(watcher)
        });
        let watcher = match watcher {
            Ok(watcher) => Some(watcher),
            Err(error) => {
                let names: Vec<_> = folders.iter().map(|folder| shown(folder)).collect();
                note(&format!(
                    "changes in {} are not reported by the system ({error}): looking every {} seconds",
                    names.join(", "),
                    LOOK_EVERY.as_secs()
                ));
                None
            }
        };
        Self {
            events,
            _watcher: watcher,
        }
    }

    /// Waits until something changed and is likely to be complete, or it is time to look anyway.
    pub(super) async fn next(&mut self, unfinished: bool, stop: &CancellationToken) {
        let wait = if unfinished { SETTLED_AFTER } else { LOOK_EVERY };
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(wait) => return,
            event = self.events.recv() => if event.is_none() {
                // Without a watcher nothing is reported.
                tokio::select! {
                    () = stop.cancelled() => {}
                    () = tokio::time::sleep(wait) => {}
                }
                return;
            },
        }
        // A copy of many files makes many events.
        tokio::select! {
            () = stop.cancelled() => {}
            () = tokio::time::sleep(SETTLED_AFTER) => {}
        }
    }
}

/// Returns how long a file must have been left alone before a watch takes it.
pub(super) const fn settled_after() -> Duration {
    SETTLED_AFTER
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;
    use std::sync::Arc;

    #[test]
    fn a_file_is_taken_again_only_when_it_changed_and_not_while_it_is_written() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.jpg");
        fs::write(&path, "one").unwrap();
        let found = || {
            vec![Found {
                path: path.clone(),
                root: Arc::from(Path::new("/")),
            }]
        };
        let mut seen = Seen::default();
        let written_now = seen.changes(found(), Duration::from_secs(3600));
        assert!(written_now.files.is_empty() && written_now.unfinished);
        assert_eq!(seen.changes(found(), Duration::ZERO).files.len(), 1);
        let again = seen.changes(found(), Duration::ZERO);
        assert!(again.files.is_empty() && !again.unfinished);
        fs::write(&path, "three").unwrap();
        assert_eq!(seen.changes(found(), Duration::ZERO).files.len(), 1);
    }
}
