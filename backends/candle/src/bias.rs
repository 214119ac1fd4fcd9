//! What attention adds to its scores by the distance of two tokens.

use lucida_models::checkpoint::ScoreBias;

/// A bias, ready to be added.
#[derive(Debug)]
pub(crate) enum Bias {
    /// Minus the distance times each head's slope.
    Slopes(Vec<f32>),
    /// Learnt numbers.
    Buckets {
        /// `(buckets, heads)`.
        table: Vec<f32>,
        heads: usize,
        /// The bucket of each distance from `-reach` to `reach`.
        bucket_of: Vec<usize>,
    },
}

impl Bias {
    pub(crate) fn new(bias: &ScoreBias) -> Self {
        match bias {
            ScoreBias::Slopes(slopes) => Self::Slopes(slopes.clone()),
            ScoreBias::Buckets(buckets) => Self::Buckets {
                table: buckets.table.to_f32(),
                heads: buckets.table.shape()[1],
                bucket_of: buckets.bucket_of.clone(),
            },
        }
    }

    /// Returns what a head adds at the distances from `1 - length` to `length - 1`, the key's place less the query's.
    #[expect(clippy::cast_precision_loss, reason = "no text has 2^24 tokens")]
    pub(crate) fn by_distance(&self, head: usize, length: usize) -> Vec<f32> {
        let places = 0..(2 * length).saturating_sub(1);
        match self {
            Self::Slopes(slopes) => places
                .map(|place| -slopes[head] * (place + 1).abs_diff(length) as f32)
                .collect(),
            Self::Buckets {
                table,
                heads,
                bucket_of,
            } => {
                let reach = bucket_of.len() / 2;
                let of = |place: usize| {
                    // What is beyond the reach has the bucket of the last within.
                    let place = (place + reach + 1).saturating_sub(length).min(2 * reach);
                    table[bucket_of[place] * heads + head]
                };
                places.map(of).collect()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_beyond_the_reach_share_the_last_bucket() {
        let bias = Bias::Buckets {
            table: vec![0.0, 10.0, 1.0, 11.0, 2.0, 12.0],
            heads: 2,
            bucket_of: vec![1, 0, 2],
        };
        assert_eq!(bias.by_distance(0, 3), [1.0, 1.0, 0.0, 2.0, 2.0]);
        assert_eq!(bias.by_distance(1, 2), [11.0, 10.0, 12.0]);
        assert_eq!(bias.by_distance(1, 1), [10.0]);
    }

    #[test]
    fn a_slope_takes_more_the_farther_a_token_is() {
        let bias = Bias::Slopes(vec![0.5]);
        assert_eq!(bias.by_distance(0, 3), [-1.0, -0.5, 0.0, -0.5, -1.0]);
    }
}
