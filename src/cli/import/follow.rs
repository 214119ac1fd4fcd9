//! Following the photos that are to be embedded until they are ready, in the order in which they are worked on.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use lucida_core::{Error, PhotoId};
use tokio::sync::mpsc::UnboundedReceiver;
use tokio_util::sync::CancellationToken;

use super::run::{BUSY_PATIENCE, Run, Shared, fate};
use super::shown::printable;
use super::target::Standing;

/// How often the photos that are to be embedded are looked at.
const LOOK_EVERY: Duration = Duration::from_millis(400);
/// How many photos that are not ready are looked at each time: those that are worked on, and a few more.
pub(super) const WINDOW: usize = 16;
/// After so many looks a photo goes to the end of the line, so that one that is tried again and again hides none.
const LOOKS_IN_FRONT: u32 = 25;
/// How long nothing may become ready before the reason is shown.
const QUIET: Duration = Duration::from_secs(20);

/// A photo that is to be embedded.
pub(super) struct Waiting {
    pub(super) id: PhotoId,
    pub(super) path: PathBuf,
    looks: u32,
}

impl Waiting {
    pub(super) const fn new(id: PhotoId, path: PathBuf) -> Self {
        Self { id, path, looks: 0 }
    }
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

impl Run {
    /// Looks at the photos that are to be embedded until all are settled, and returns those that are not.
    pub(super) async fn follow(
        &self,
        mut photos: UnboundedReceiver<Waiting>,
        shared: &Shared<'_>,
        stop: &CancellationToken,
    ) -> Vec<Waiting> {
        let mut line = VecDeque::new();
        let mut open = true;
        let mut quiet = Quiet::new();
        let mut look = tokio::time::interval(LOOK_EVERY);
        look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        while open || !line.is_empty() {
            tokio::select! {
                () = stop.cancelled() => break,
                photo = photos.recv(), if open => match photo {
                    Some(photo) => line.push_back(photo),
                    None => open = false,
                },
                _ = look.tick(), if !line.is_empty() => {
                    let looked = self.look_along(&mut line, shared).await;
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
            line.push_back(photo);
        }
        line.into()
    }

    async fn look_along(&self, line: &mut VecDeque<Waiting>, shared: &Shared<'_>) -> Looked {
        let mut still = Vec::new();
        let mut settled = 0;
        let mut first_reason = None;
        let mut trouble = None;
        while still.len() < WINDOW
            && let Some(mut photo) = line.pop_front()
        {
            match self.target.look(&photo.id).await {
                Ok(Some(Standing::Waiting(reason))) => {
                    photo.looks += 1;
                    first_reason = first_reason.or(reason);
                    still.push(photo);
                    continue;
                }
                Ok(Some(standing)) => {
                    settled += 1;
                    if let Some(fate) = fate(photo.id, standing, true) {
                        self.settle(shared, &photo.path, &fate);
                    }
                    continue;
                }
                Ok(None) => trouble = Some(Looked::Forbidden),
                Err(error) => trouble = Some(Looked::Failed(error)),
            }
            line.push_front(photo);
            break;
        }
        for photo in still.into_iter().rev() {
            if photo.looks.is_multiple_of(LOOKS_IN_FRONT) {
                line.push_back(photo);
            } else {
                line.push_front(photo);
            }
        }
        trouble.unwrap_or(Looked::Well(settled, first_reason))
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
