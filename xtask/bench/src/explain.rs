//! Where the server's time went, by its own histograms: what to look at first when a figure is bad.

use std::collections::BTreeMap;

/// The sums and counts of every histogram of durations at one moment.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Snapshot(BTreeMap<String, Total>);

#[derive(Debug, Clone, Copy, Default, PartialEq)]
struct Total {
    seconds: f64,
    count: f64,
}

impl Snapshot {
    /// Reads the text of `/metrics`.
    pub(crate) fn parse(metrics: &str) -> Self {
        let mut totals: BTreeMap<String, Total> = BTreeMap::new();
        for line in metrics.lines().filter(|line| !line.starts_with('#')) {
            let Some((series, value)) = line.rsplit_once(' ') else {
                continue;
            };
            let Ok(value) = value.parse::<f64>() else { continue };
            let (name, labels) = series.find('{').map_or((series, ""), |at| series.split_at(at));
            let name = name.strip_prefix("lucida_").unwrap_or(name);
            if let Some(name) = name.strip_suffix("_duration_seconds_sum") {
                totals.entry(format!("{name}{labels}")).or_default().seconds = value;
            } else if let Some(name) = name.strip_suffix("_duration_seconds_count") {
                totals.entry(format!("{name}{labels}")).or_default().count = value;
            }
        }
        Self(totals)
    }

    /// Reports what took time since `earlier`, the longest in all first: a line for each series.
    pub(crate) fn since(&self, earlier: &Self) -> String {
        let grown = self.0.iter().map(|(series, now)| {
            let before = earlier.0.get(series).copied().unwrap_or_default();
            (
                series,
                Total {
                    seconds: now.seconds - before.seconds,
                    count: now.count - before.count,
                },
            )
        });
        let mut grown: Vec<_> = grown.filter(|(_, total)| total.count > 0.0).collect();
        grown.sort_by(|(_, left), (_, right)| right.seconds.total_cmp(&left.seconds));
        let line = |(series, Total { seconds, count }): (&String, Total)| {
            format!(
                "    {seconds:8.2} s = {count:6.0} × {:8.2} ms  {series}\n",
                seconds / count * 1e3
            )
        };
        grown.into_iter().map(line).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_grew_is_told_with_its_mean_and_the_longest_first() {
        let earlier = Snapshot::parse(
            "# HELP lucida_a_duration_seconds A.\n\
             lucida_a_duration_seconds_sum 1\nlucida_a_duration_seconds_count 1\n\
             lucida_still_duration_seconds_sum 1\nlucida_still_duration_seconds_count 1\n",
        );
        let later = Snapshot::parse(
            "lucida_a_duration_seconds_sum 2\nlucida_a_duration_seconds_count 11\n\
             lucida_b_duration_seconds_bucket{x=\"y\",le=\"1\"} 1\n\
             lucida_b_duration_seconds_sum{x=\"y\"} 4\nlucida_b_duration_seconds_count{x=\"y\"} 2\n\
             lucida_still_duration_seconds_sum 1\nlucida_still_duration_seconds_count 1\n",
        );
        let told = later.since(&earlier);
        let lines: Vec<_> = told
            .lines()
            .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
            .collect();
        assert_eq!(
            lines,
            ["4.00 s = 2 × 2000.00 ms b{x=\"y\"}", "1.00 s = 10 × 100.00 ms a"]
        );
    }
}
