//! The same measurement in several rounds.

use std::time::Duration;

use crate::load::Outcome;
use crate::statistics::{Latencies, median};

/// What one side did, round by round.
#[derive(Debug, Default)]
pub(crate) struct Runs {
    rates: Vec<f64>,
    latencies: Vec<Latencies>,
    processor_time: Duration,
}

impl Runs {
    /// Adds a round, and the processor's time that the side took for it.
    pub(crate) fn add(&mut self, outcome: Outcome, processor_time: Duration) {
        self.rates.push(outcome.per_second);
        self.latencies.push(outcome.latencies);
        self.processor_time += processor_time;
    }

    /// Returns the median of the answers per second.
    pub(crate) fn rate(&self) -> f64 {
        median(&self.rates)
    }

    /// Returns how many times as many answers per second these are. A round's runs follow each other, so that the ratio within
    /// each is steadier than the rates.
    pub(crate) fn ratio_to(&self, other: &Self) -> f64 {
        let ratios = self
            .rates
            .iter()
            .zip(&other.rates)
            .map(|(own, other)| own / other);
        median(&ratios.collect::<Vec<_>>())
    }

    /// Returns a percentile of the latencies of all rounds.
    pub(crate) fn percentile_ms(&self, percent: usize) -> f64 {
        Latencies::merge(self.latencies.iter().cloned()).percentile_ms(percent)
    }

    /// Returns the processor's time of one answer.
    #[expect(clippy::cast_precision_loss, reason = "a few thousand photos")]
    pub(crate) fn processor_ms(&self) -> f64 {
        let answers: usize = self.latencies.iter().map(Latencies::count).sum();
        self.processor_time.as_secs_f64() * 1e3 / answers as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(rates: &[f64]) -> Runs {
        let mut runs = Runs::default();
        for &per_second in rates {
            let outcome = Outcome {
                per_second,
                latencies: Latencies::new(vec![Duration::from_millis(10)]),
            };
            runs.add(outcome, Duration::from_millis(20));
        }
        runs
    }

    #[test]
    fn a_ratio_is_taken_within_each_round() {
        // The machine was half as fast in the second round.
        let ratio = run(&[40.0, 20.0, 44.0]).ratio_to(&run(&[10.0, 5.0, 10.0]));
        assert!((ratio - 4.0).abs() < f64::EPSILON);
        assert!((run(&[1.0, 2.0]).processor_ms() - 20.0).abs() < f64::EPSILON);
    }
}
