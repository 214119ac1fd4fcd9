//! Whether a collection has outgrown an index that compares every point.

use std::collections::VecDeque;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use crate::lock::lock;

/// Searches above this are slow: a person notices them, and concurrent ones queue up.
const SLOW: Duration = Duration::from_millis(50);

/// How many of the last searches count. The 99th percentile of fewer would be decided by a search or two.
const WINDOW: usize = 1_000;

/// How many searches pass between two looks at the window.
const CHECK_EVERY: usize = 100;

/// Up to this many points, the cause of slow searches is a busy or slow machine, which another index doesn't change.
const MIN_POINTS: usize = 100_000;

/// How long the log stays silent after a warning.
const LOG_EVERY: Duration = Duration::from_secs(24 * 60 * 60);

/// How long the last searches took.
#[derive(Debug, Default)]
pub(crate) struct Pace {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    window: VecDeque<Duration>,
    unchecked: usize,
    outgrown: Option<Outgrown>,
    logged_at: Option<Instant>,
}

/// Searches are slow because of the number of points.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Outgrown {
    points: usize,
    /// The 99th percentile.
    p99: Duration,
}

impl Pace {
    /// Records a search of a collection with so many points, and logs when it has outgrown the index.
    pub(crate) fn record(&self, took: Duration, points: usize) {
        if let Some(outgrown) = lock(&self.state).record(took, points, Instant::now()) {
            tracing::warn!("{}", outgrown.note());
        }
    }

    /// Returns what an operator should know.
    pub(crate) fn note(&self) -> Option<String> {
        lock(&self.state).outgrown.map(Outgrown::note)
    }
}

impl State {
    /// Adds a search, and returns what to log now.
    fn record(&mut self, took: Duration, points: usize, now: Instant) -> Option<Outgrown> {
        if self.window.len() == WINDOW {
            self.window.pop_front();
        }
        self.window.push_back(took);
        self.unchecked += 1;
        if self.unchecked < CHECK_EVERY {
            return None;
        }
        self.unchecked = 0;
        self.outgrown = outgrown(self.window.iter().copied().collect(), points);
        let outgrown = self.outgrown?;
        if self
            .logged_at
            .is_some_and(|at| now.duration_since(at) < LOG_EVERY)
        {
            return None;
        }
        self.logged_at = Some(now);
        Some(outgrown)
    }
}

/// Decides by the last searches of a collection whether its number of points makes them slow.
fn outgrown(mut searches: Vec<Duration>, points: usize) -> Option<Outgrown> {
    if searches.len() < WINDOW || points <= MIN_POINTS {
        return None;
    }
    let rank = searches.len() * 99 / 100 - 1;
    let (_, p99, _) = searches.select_nth_unstable(rank);
    let p99 = *p99;
    (p99 > SLOW).then_some(Outgrown { points, p99 })
}

impl Outgrown {
    fn note(self) -> String {
        format!(
            "searches of {} points take {} ms (99th percentile): consider `type = \"qdrant\"` in `[index]`, whose \
             graph doesn't compare every point",
            self.points,
            self.p99.as_millis()
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FAST: Duration = Duration::from_millis(5);
    const TOO_SLOW: Duration = Duration::from_millis(80);

    fn searches(slow: usize) -> Vec<Duration> {
        let mut searches = vec![FAST; WINDOW - slow];
        searches.extend(vec![TOO_SLOW; slow]);
        searches
    }

    #[test]
    fn a_few_slow_searches_on_a_busy_machine_are_no_warning() {
        let hundredth = WINDOW / 100;
        assert_eq!(outgrown(searches(0), 5_000_000), None);
        assert_eq!(outgrown(searches(hundredth), 5_000_000), None);
        let expected = Outgrown {
            points: 5_000_000,
            p99: TOO_SLOW,
        };
        assert_eq!(outgrown(searches(hundredth + 1), 5_000_000), Some(expected));
    }

    #[test]
    fn slow_searches_of_few_points_or_few_slow_searches_decide_nothing() {
        assert_eq!(outgrown(searches(WINDOW), MIN_POINTS), None);
        assert_eq!(outgrown(vec![TOO_SLOW; WINDOW - 1], 5_000_000), None);
        assert_eq!(outgrown(Vec::new(), 5_000_000), None);
    }

    #[test]
    fn exactly_the_limit_is_not_slow() {
        assert_eq!(outgrown(vec![SLOW; WINDOW], 5_000_000), None);
    }

    #[test]
    fn the_note_names_the_index_to_use_and_goes_when_searches_are_fast_again() {
        let pace = Pace::default();
        for _ in 0..WINDOW {
            assert_eq!(pace.note(), None);
            pace.record(TOO_SLOW, 5_000_000);
        }
        let note = pace.note().unwrap();
        assert!(note.contains("5000000 points take 80 ms"), "{note}");
        assert!(note.contains("`type = \"qdrant\"`"), "{note}");
        for _ in 0..WINDOW {
            pace.record(FAST, 5_000_000);
        }
        assert_eq!(pace.note(), None);
    }

    #[test]
    fn the_log_repeats_the_warning_once_a_day() {
        let mut state = State::default();
        let start = Instant::now();
        let mut logged = |from: Instant| {
            let at_once = (0..3 * WINDOW).filter_map(|_| state.record(TOO_SLOW, 5_000_000, from));
            at_once.count()
        };
        assert_eq!(logged(start), 1);
        assert_eq!(logged(start + LOG_EVERY / 2), 0);
        assert_eq!(logged(start + LOG_EVERY), 1);
    }
}
