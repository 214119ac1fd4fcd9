//! Medians and quantiles, over few numbers and over many latencies.

use std::time::Duration;

/// Returns the median; of an even count the mean of the two in the middle, of none NaN.
pub(crate) fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    match sorted.len() {
        0 => f64::NAN,
        length if length % 2 == 1 => sorted[middle],
        _ => f64::midpoint(sorted[middle - 1], sorted[middle]),
    }
}

/// How long each of many requests took.
#[derive(Debug, Clone, Default)]
pub(crate) struct Latencies {
    sorted: Vec<Duration>,
}

impl Latencies {
    /// Takes them in any order.
    pub(crate) fn new(mut latencies: Vec<Duration>) -> Self {
        latencies.sort_unstable();
        Self { sorted: latencies }
    }

    /// Puts those of several runs together.
    pub(crate) fn merge(runs: impl IntoIterator<Item = Self>) -> Self {
        Self::new(runs.into_iter().flat_map(|run| run.sorted).collect())
    }

    /// Returns how many there are.
    pub(crate) const fn count(&self) -> usize {
        self.sorted.len()
    }

    /// Returns the smallest latency that at least `percent` of all don't exceed (nearest rank), in milliseconds.
    pub(crate) fn percentile_ms(&self, percent: usize) -> f64 {
        let rank = (self.sorted.len() * percent).div_ceil(100).max(1);
        self.sorted
            .get(rank - 1)
            .map_or(f64::NAN, |latency| latency.as_secs_f64() * 1e3)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_of_an_even_count_lies_between_the_two_in_the_middle() {
        assert!((median(&[4.0, 1.0, 3.0, 2.0]) - 2.5).abs() < f64::EPSILON);
        assert!((median(&[9.0, 1.0, 5.0]) - 5.0).abs() < f64::EPSILON);
        assert!(median(&[]).is_nan());
    }

    #[test]
    fn percentiles_are_by_nearest_rank() {
        let latencies = Latencies::new((1..=200).rev().map(Duration::from_millis).collect());
        for (percent, expected) in [(0, 1.0), (50, 100.0), (99, 198.0), (100, 200.0)] {
            assert!(
                (latencies.percentile_ms(percent) - expected).abs() < 1e-9,
                "{percent}"
            );
        }
        assert!(Latencies::default().percentile_ms(50).is_nan());
    }
}
