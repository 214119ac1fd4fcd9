//! Stops asking a part that does not answer, so that a dead one costs its callers nothing.
//!
//! Closed, every call goes through. So many failures in a row open it, and for a time calls are refused at once. Then
//! one call at a time may try: an answer closes it, a failure keeps it open for as long again. A probe is never
//! refused, and an answer to one closes it, too.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;
use tracing::{debug, info, warn};

use lucida_core::{Error, ErrorKind, Result, metrics};

/// How soon a caller may come back while another's call finds out whether the part answers.
const TRIAL_WAIT: Duration = Duration::from_secs(1);

/// When a part is not asked any more, and for how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BreakerOptions {
    /// After how many failures in a row; 0 always asks.
    pub failures: u32,
    /// How long it is not asked before one call tries again.
    pub open: Duration,
}

/// The breaker of one part.
pub(super) struct Breaker {
    part: &'static str,
    backend: &'static str,
    options: BreakerOptions,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// How many calls failed since the part last answered.
    failures: u32,
    /// There while the breaker is open.
    open: Option<Open>,
}

struct Open {
    since: Instant,
    until: Instant,
    /// Whether a call is on its way that was let through to try.
    trying: bool,
}

impl Breaker {
    pub(super) fn new(part: &'static str, backend: &'static str, options: BreakerOptions) -> Arc<Self> {
        metrics::BREAKER_OPEN.set(0.0, &[part]);
        Arc::new(Self {
            part,
            backend,
            options,
            state: Mutex::default(),
        })
    }

    /// Lets a call through, or refuses it with `Unavailable` that says when to come back.
    pub(super) fn admit(self: &Arc<Self>) -> Result<Pass> {
        let mut state = self.lock();
        let failures = state.failures;
        let Some(open) = &mut state.open else {
            return Ok(self.pass(false));
        };
        let left = open.until.saturating_duration_since(Instant::now());
        if !left.is_zero() {
            let seconds = left.as_secs_f64().ceil();
            let what = format!("it is not asked again for {seconds} s");
            return Err(self.refusal(failures, &what, left));
        }
        if open.trying {
            let what = "another call finds out whether it does again";
            return Err(self.refusal(failures, what, TRIAL_WAIT));
        }
        open.trying = true;
        Ok(self.pass(true))
    }

    /// Lets a call through in any state; its result counts.
    pub(super) fn probe(self: &Arc<Self>) -> Pass {
        self.pass(false)
    }

    /// Returns whether calls are refused now.
    pub(super) fn is_open(&self) -> bool {
        let state = self.lock();
        state
            .open
            .as_ref()
            .is_some_and(|open| Instant::now() < open.until)
    }

    fn pass(self: &Arc<Self>, trial: bool) -> Pass {
        Pass {
            breaker: Arc::clone(self),
            trial,
        }
    }

    fn refusal(&self, failures: u32, what: &str, wait: Duration) -> Error {
        let part = self.part;
        Error::unavailable(format!(
            "the {part} did not answer {failures} times in a row: {what}"
        ))
        .with_retry_after(wait)
        .context(format!("{part} ({})", self.backend))
    }

    fn answered(&self) {
        let mut state = self.lock();
        state.failures = 0;
        let Some(open) = state.open.take() else {
            return;
        };
        metrics::BREAKER_OPEN.set(0.0, &[self.part]);
        drop(state);
        info!(
            part = self.part,
            backend = self.backend,
            away_secs = open.since.elapsed().as_secs_f64(),
            "a part answers again"
        );
    }

    fn failed(&self, error: &Error, trial: bool) {
        let BreakerOptions {
            failures: limit,
            open,
        } = self.options;
        let mut state = self.lock();
        state.failures = state.failures.saturating_add(1);
        let failures = state.failures;
        let now = Instant::now();
        match &mut state.open {
            // Others began before, or are probes: were they to count here, probes alone could keep everybody out.
            Some(opened) if trial => {
                opened.until = now + open;
                drop(state);
                debug!(part = self.part, %error, failures, "a part still does not answer");
            }
            None if limit > 0 && failures >= limit => {
                state.open = Some(Open {
                    since: now,
                    until: now + open,
                    trying: false,
                });
                metrics::BREAKER_OPEN.set(1.0, &[self.part]);
                drop(state);
                warn!(
                    part = self.part,
                    backend = self.backend,
                    %error,
                    failures,
                    open_secs = open.as_secs_f64(),
                    "a part does not answer: not asking it for a while"
                );
            }
            Some(_) | None => {}
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The permit for one call. Dropped before the call's end, as when its caller is cancelled, it counts as no result.
pub(super) struct Pass {
    breaker: Arc<Breaker>,
    trial: bool,
}

impl Pass {
    /// Takes in how the call ended, in the part's own words.
    pub(super) fn ended<T>(self, result: &Result<T>) {
        let Err(error) = result else {
            return self.breaker.answered();
        };
        match error.kind() {
            ErrorKind::NotFound | ErrorKind::AlreadyExists | ErrorKind::Conflict => self.breaker.answered(),
            // What is full can still be read.
            ErrorKind::Unavailable if error.code() == "storage_full" => self.breaker.answered(),
            ErrorKind::Timeout | ErrorKind::Unavailable | ErrorKind::PermissionDenied => {
                self.breaker.failed(error, self.trial);
            }
            // These may come from this side, with the part not even asked.
            ErrorKind::InvalidInput
            | ErrorKind::Unsupported
            | ErrorKind::ConfigInvalid
            | ErrorKind::Overloaded
            | ErrorKind::Internal => {}
        }
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        if self.trial
            && let Some(open) = &mut self.breaker.lock().open
        {
            open.trying = false;
        }
    }
}
