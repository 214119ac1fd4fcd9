//! What an import shows while it runs: one live line on a terminal, a plain line now and then elsewhere.

use std::collections::VecDeque;
use std::io::{self, IsTerminal as _};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{HumanDuration, ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};
use tracing_subscriber::fmt::MakeWriter;

/// How often the live line is drawn anew when nothing happens.
const DRAW_EVERY: Duration = Duration::from_millis(250);

/// How often a plain line is written where there is no terminal.
const LINE_EVERY: Duration = Duration::from_secs(10);

/// Over how long the rate is measured: long enough for a large photo not to show, short enough to follow a server that
/// gets busy.
const RATE_OVER: Duration = Duration::from_secs(60);

/// For how long the rate is not known.
const RATE_FROM: Duration = Duration::from_secs(2);

/// What is shown while an import runs.
pub(super) struct Progress {
    bar: ProgressBar,
    live: bool,
    rate: Arc<Mutex<Rate>>,
    /// When the last plain line was written.
    plain: Mutex<Instant>,
}

/// How fast files are done, by when how many were.
struct Rate {
    samples: VecDeque<(Instant, u64)>,
}

impl Rate {
    fn new(now: Instant, done: u64) -> Self {
        Self {
            samples: VecDeque::from([(now, done)]),
        }
    }

    fn add(&mut self, now: Instant, done: u64) {
        // One sample a second is enough; the first stays until the second is old, too.
        let newest = self.samples.back().map(|(at, _)| *at);
        if newest.is_none_or(|at| now.duration_since(at) >= Duration::from_secs(1)) {
            self.samples.push_back((now, done));
        }
        while self
            .samples
            .get(1)
            .is_some_and(|(at, _)| now.duration_since(*at) >= RATE_OVER)
        {
            self.samples.pop_front();
        }
    }

    /// Returns how many files are done a second, while so many are; `None` when that is unknown.
    #[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
    fn per_sec(&self, now: Instant, done: u64) -> Option<f64> {
        let (since, before) = *self.samples.front()?;
        let passed = now.duration_since(since);
        let more = done.saturating_sub(before);
        (passed >= RATE_FROM && more > 0).then(|| more as f64 / passed.as_secs_f64())
    }
}

impl Progress {
    /// Starts to show; on a terminal that can move its cursor there is a live line.
    pub(super) fn start() -> Self {
        let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        let live = io::stderr().is_terminal() && !dumb;
        let target = if live {
            ProgressDrawTarget::stderr_with_hz(8)
        } else {
            ProgressDrawTarget::hidden()
        };
        let bar = ProgressBar::with_draw_target(None, target);
        if live {
            bar.set_style(spinner());
            bar.set_message("starting");
            bar.enable_steady_tick(DRAW_EVERY);
        }
        Self {
            bar,
            live,
            rate: Arc::new(Mutex::new(Rate::new(Instant::now(), 0))),
            plain: Mutex::new(Instant::now()),
        }
    }

    /// Shows how many files the search for them has found.
    pub(super) fn searching(&self, found: u64) {
        self.bar.set_message(format!("looking for photos: {found} files"));
    }

    /// Shows a bar of so many files, of which so many are done.
    pub(super) fn begin(&self, total: u64, done: u64) {
        *lock(&self.rate) = Rate::new(Instant::now(), done);
        *lock(&self.plain) = Instant::now();
        // Before the style, which would show the last one in brackets.
        self.bar.set_message("");
        self.bar.set_style(bar(&self.rate));
        self.bar.set_length(total);
        self.bar.set_position(done);
    }

    /// Shows that so many files are done, and what became of them.
    pub(super) fn done(&self, done: u64, of_them: &str) {
        lock(&self.rate).add(Instant::now(), done);
        self.bar.set_position(done);
        self.bar.set_message(format!(" ({of_them})"));
        self.plain_line(done, of_them);
    }

    /// Shows in the live line what keeps the import from going on.
    pub(super) fn waiting(&self, reason: &str) {
        self.bar.set_message(format!(" (waiting: {reason})"));
    }

    /// Shows a spinner and what is waited for.
    pub(super) fn idle(&self, what: &str) {
        self.bar.set_style(spinner());
        self.bar.set_message(what.to_owned());
        if !self.live {
            self.note(what);
        }
    }

    /// Writes a line above the live one.
    pub(super) fn note(&self, line: &str) {
        self.bar.suspend(|| eprintln!("{line}"));
    }

    /// Removes the live line.
    pub(super) fn end(&self) {
        self.bar.disable_steady_tick();
        self.bar.finish_and_clear();
    }

    /// Returns where a log goes that is to stand above the live line.
    pub(super) fn log_writer(&self) -> AboveTheLine {
        AboveTheLine(self.bar.clone())
    }

    fn plain_line(&self, done: u64, of_them: &str) {
        let now = Instant::now();
        if self.live || now.duration_since(*lock(&self.plain)) < LINE_EVERY {
            return;
        }
        *lock(&self.plain) = now;
        let total = self.bar.length().unwrap_or_default();
        let per_sec = lock(&self.rate).per_sec(now, done);
        let (rate, left) = (rate(per_sec), time_left(total, done, per_sec));
        eprintln!("{done} of {total} files, {rate}, {left} ({of_them})");
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.end();
    }
}

fn spinner() -> ProgressStyle {
    ProgressStyle::with_template("{spinner} {msg}").unwrap_or_else(|_| ProgressStyle::default_spinner())
}

fn bar(rate_so_far: &Arc<Mutex<Rate>>) -> ProgressStyle {
    let (for_rate, for_left) = (Arc::clone(rate_so_far), Arc::clone(rate_so_far));
    ProgressStyle::with_template("{bar:20} {pos} of {len} files, {rate}, {left}{msg}")
        .unwrap_or_else(|_| ProgressStyle::default_bar())
        .progress_chars("━╸─")
        .with_key(
            "rate",
            move |state: &ProgressState, line: &mut dyn std::fmt::Write| {
                let per_sec = lock(&for_rate).per_sec(Instant::now(), state.pos());
                // Writing to a line in memory can't fail.
                let _ = line.write_str(&rate(per_sec));
            },
        )
        .with_key(
            "left",
            move |state: &ProgressState, line: &mut dyn std::fmt::Write| {
                let per_sec = lock(&for_left).per_sec(Instant::now(), state.pos());
                let total = state.len().unwrap_or_default();
                let _ = line.write_str(&time_left(total, state.pos(), per_sec));
            },
        )
}

fn rate(per_sec: Option<f64>) -> String {
    format!("{:.1} photos/s", per_sec.unwrap_or_default())
}

#[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
fn time_left(total: u64, done: u64, per_sec: Option<f64>) -> String {
    let secs = per_sec.map(|per_sec| total.saturating_sub(done) as f64 / per_sec);
    match secs.and_then(|secs| Duration::try_from_secs_f64(secs.ceil()).ok()) {
        Some(left) => format!("{} left", HumanDuration(left)),
        None => "time left not known yet".to_owned(),
    }
}

/// What the locks guard is whole between any two statements.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Writes log lines to the standard error without tearing the live line.
#[derive(Clone)]
pub(super) struct AboveTheLine(ProgressBar);

impl io::Write for AboveTheLine {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.suspend(|| io::stderr().write_all(bytes))?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

impl<'a> MakeWriter<'a> for AboveTheLine {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_left_follows_from_the_last_minute_and_is_unknown_while_nothing_moves() {
        let start = Instant::now();
        let at = |secs: u64| start + Duration::from_secs(secs);
        let mut measured = Rate::new(start, 0);
        assert_eq!(
            time_left(600, 0, measured.per_sec(at(10), 0)),
            "time left not known yet"
        );
        // Known photos go by quickly, then each second brings 5.
        measured.add(at(1), 1000);
        for secs in 2..=70 {
            measured.add(at(secs), 1000 + 5 * (secs - 1));
        }
        let per_sec = measured.per_sec(at(70), 1345);
        assert_eq!(rate(per_sec), "5.0 photos/s");
        assert_eq!(time_left(1645, 1345, per_sec), "60 seconds left");
        // A pause makes the rate fall slowly, not to nothing at once.
        assert_eq!(rate(measured.per_sec(at(130), 1345)), "2.5 photos/s");
    }
}
