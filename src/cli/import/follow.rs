//! Following the photos that are to be embedded until they are ready, in the order in which they are worked on.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use lucida_core::{Error, PhotoId};
use tokio::sync::mpsc::UnboundedReceiver;
use tokio_util::sync::CancellationToken;

use super::progress::Progress;
use super::report::Fate;
use super::shared_report::SharedReport;
use super::shown::printable;
use super::target::{BUSY_PATIENCE, Standing, Target};

/// How often the photos that are to be embedded are looked at.
const LOOK_EVERY: Duration = Duration::from_millis(400);
/// How many photos that are not ready are looked at each time: those that are worked on, and a few more.
pub(super) const WINDOW: usize = 16;
/// How long nothing may become ready before the reason is shown.
const QUIET: Duration = Duration::from_secs(20);

/// A photo that is to be embedded.
pub(super) struct Waiting {
    pub(super) id: PhotoId,
    pub(super) path: PathBuf,
}

/// What looking at the photos that are to be embedded gave.
enum Looked {
    /// So many are settled now; the reason why the first of the others is not, if there is one.
    Well(usize, Option<String>),
    /// The key may not look at photos.
    Forbidden,
    /// The target did not answer.
    Failed(Error),
}

/// Follows the photos that a target has taken.
pub(super) struct Follower<'a, 'r> {
    pub(super) target: &'a dyn Target,
    pub(super) progress: &'a Progress,
    pub(super) report: &'a SharedReport<'r>,
}

impl Follower<'_, '_> {
    /// Looks at the photos that are to be embedded until all are settled, and returns those that are not.
    pub(super) async fn follow(
        &self,
        mut photos: UnboundedReceiver<Waiting>,
        stop: &CancellationToken,
    ) -> Vec<Waiting> {
        let mut line = Line::default();
        let mut open = true;
        let mut quiet = Quiet::new();
        let mut look = tokio::time::interval(LOOK_EVERY);
        look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        while open || !line.photos.is_empty() {
            tokio::select! {
                () = stop.cancelled() => break,
                photo = photos.recv(), if open => match photo {
                    Some(photo) => line.photos.push_back(photo),
                    None => open = false,
                },
                _ = look.tick(), if !line.photos.is_empty() => {
                    let looked = self.look_along(&mut line).await;
                    if let Some(note) = quiet.note(&looked) {
                        self.progress.note(&note);
                    }
                    if matches!(looked, Looked::Forbidden) || quiet.is_given_up() {
                        break;
                    }
                }
            }
        }
        photos.close();
        while let Some(photo) = photos.recv().await {
            line.photos.push_back(photo);
        }
        line.photos.into()
    }

    /// Looks at the first photos, which are worked on next, and at a few of the others in turn, since a job may come back
    /// later than those behind it.
    async fn look_along(&self, line: &mut Line) -> Looked {
        let (mut settled, mut first_reason) = (0, None);
        let mut front = 0;
        while front < WINDOW.min(line.photos.len()) {
            match self.look_at(line, front).await {
                Ok(Seen::Settled) => settled += 1,
                Ok(Seen::Waiting(reason)) => {
                    first_reason = first_reason.or(reason);
                    front += 1;
                }
                Err(trouble) => return trouble,
            }
        }
        for _ in 0..WINDOW {
            let place = line.other(front);
            if place >= line.photos.len() {
                break;
            }
            match self.look_at(line, place).await {
                Ok(Seen::Settled) => settled += 1,
                Ok(Seen::Waiting(reason)) => {
                    first_reason = first_reason.or(reason);
                    line.next_other += 1;
                }
                Err(trouble) => return trouble,
            }
        }
        Looked::Well(settled, first_reason)
    }

    /// Looks at one photo, and takes it out of the line when it is settled.
    async fn look_at(&self, line: &mut Line, place: usize) -> Result<Seen, Looked> {
        let Some(photo) = line.photos.get(place) else {
            return Ok(Seen::Waiting(None));
        };
        let standing = match self.target.look(&photo.id).await {
            Ok(Some(Standing::Waiting(reason))) => return Ok(Seen::Waiting(reason)),
            Ok(Some(standing)) => standing,
            Ok(None) => return Err(Looked::Forbidden),
            Err(error) => return Err(Looked::Failed(error)),
        };
        if let Some(fate) = Fate::of(photo.id, standing, true) {
            self.report.settle(&photo.path, &fate);
        }
        line.photos.remove(place);
        Ok(Seen::Settled)
    }
}

/// What looking at one photo gave.
enum Seen {
    /// It is settled.
    Settled,
    /// It is still to be embedded; why the last try failed.
    Waiting(Option<String>),
}

/// The photos that are to be embedded, in the order in which they were stored.
#[derive(Default)]
struct Line {
    photos: VecDeque<Waiting>,
    /// Which of those that are not in front is looked at next.
    next_other: usize,
}

impl Line {
    /// Returns the place of the photo behind the first `in_front` whose turn it is.
    fn other(&mut self, in_front: usize) -> usize {
        if self.next_other < in_front || self.next_other >= self.photos.len() {
            self.next_other = in_front;
        }
        self.next_other
    }
}

/// Since when nothing has become ready, and what was said about it.
struct Quiet {
    since: Instant,
    failing_since: Option<Instant>,
    noted: Option<String>,
}

impl Quiet {
    fn new() -> Self {
        Self {
            since: Instant::now(),
            failing_since: None,
            noted: None,
        }
    }

    /// Returns a line for the user, once per reason.
    fn note(&mut self, looked: &Looked) -> Option<String> {
        let reason = match looked {
            Looked::Well(settled, reason) => {
                self.failing_since = None;
                if *settled > 0 {
                    self.since = Instant::now();
                }
                reason.clone()
            }
            Looked::Forbidden => {
                return Some(
                    "the key may not read photos: the server embeds them, and this does not wait for it"
                        .to_owned(),
                );
            }
            Looked::Failed(error) => {
                self.failing_since.get_or_insert_with(Instant::now);
                Some(error.to_string())
            }
        };
        if self.since.elapsed() < QUIET || reason.is_none() || reason == self.noted {
            return None;
        }
        self.noted = reason;
        let reason = printable(self.noted.as_deref().unwrap_or_default());
        Some(format!("no photo has become ready for a while: {reason}"))
    }

    /// Returns whether the target has not answered for as long as it is waited for.
    fn is_given_up(&self) -> bool {
        self.failing_since
            .is_some_and(|since| since.elapsed() >= BUSY_PATIENCE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_photos_that_are_not_in_front_are_looked_at_in_turn() {
        let photo = |_| Waiting {
            id: PhotoId::generate(),
            path: PathBuf::new(),
        };
        let mut line = Line {
            photos: (0..5).map(photo).collect(),
            next_other: 0,
        };
        let mut places = Vec::new();
        for _ in 0..4 {
            places.push(line.other(2));
            line.next_other += 1;
        }
        assert_eq!(places, [2, 3, 4, 2]);
        // With nothing behind the front there is no place to look at.
        assert_eq!(line.other(5), 5);
    }
}
