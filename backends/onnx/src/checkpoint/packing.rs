//! Puts texts beside each other, so that one run computes several and each gets the bits that it gets alone.
//!
//! Every row of a matrix product is a sum of its own, so texts may be joined there. Attention, softmax and pooling sum
//! over a text, in an order that depends on how long the row is that they are given: so that length, the number of slots,
//! is a matter of the text alone, and only texts with the same number share a run.

use lucida_models::checkpoint::{Pooling, TextTower, Tokens};

use crate::graph::signed;

/// How texts of one tower are laid out.
#[derive(Debug, Clone)]
pub(super) struct Packing {
    pooling: Vec<Pooling>,
    first_position: usize,
    causal: bool,
}

/// The inputs of one run, in the graph's order.
#[derive(Debug, PartialEq)]
pub(super) struct Packed {
    /// `(tokens,)`: the ids of all texts, end to end.
    pub(super) ids: Vec<i64>,
    /// `(tokens,)`: their positions, each text from the start.
    pub(super) positions: Vec<i64>,
    /// `(texts, slots)`: the token in each slot; those past a text's end hold its first token.
    pub(super) rows: Vec<i64>,
    /// `(tokens,)`: the slot of each token, counted through all texts.
    pub(super) slots: Vec<i64>,
    /// `(masks, 1, askers, slots)`: added to the scores.
    pub(super) mask: Vec<f32>,
    /// `[masks, askers]`: `[texts, 1]`, or `[1, slots]` in a causal tower.
    pub(super) mask_sides: [usize; 2],
    /// `(texts, poolings, 1, slots)`: what each token counts for.
    pub(super) weights: Vec<f32>,
}

/// Fewer slots than this are not told apart, so that short texts share runs.
const LEAST_SLOTS: usize = 16;

/// The smallest number is as good as minus infinity where every row has a greater one, and makes no NaN anywhere.
pub(super) const HIDDEN: f32 = f32::MIN;

/// Returns how many slots a text of so many tokens has where it may share a run.
pub(super) fn shared_slots(tokens: usize) -> usize {
    tokens.max(LEAST_SLOTS).next_power_of_two()
}

impl Packing {
    pub(super) fn of(tower: &TextTower) -> Self {
        Self {
            pooling: tower.pooling.clone(),
            first_position: tower.embedding.first_position,
            causal: tower.encoder.causal,
        }
    }

    /// Lays out texts, none of which has more tokens than `slots`.
    pub(super) fn pack(&self, texts: &[&Tokens], slots: usize) -> Packed {
        let mut packed = Packed {
            ids: Vec::new(),
            positions: Vec::new(),
            rows: Vec::with_capacity(texts.len() * slots),
            slots: Vec::new(),
            mask: Vec::new(),
            mask_sides: if self.causal { [1, slots] } else { [texts.len(), 1] },
            weights: vec![0.0; texts.len() * self.pooling.len() * slots],
        };
        for (at, tokens) in texts.iter().enumerate() {
            let (first, text) = (packed.ids.len(), tokens.ids());
            packed.ids.extend(text.iter().map(|&id| i64::from(id)));
            packed
                .positions
                .extend((0..text.len()).map(|token| signed(self.first_position + token)));
            packed
                .rows
                .extend((0..slots).map(|slot| signed(first + if slot < text.len() { slot } else { 0 })));
            packed
                .slots
                .extend((0..text.len()).map(|token| signed(at * slots + token)));
            let weights = packed
                .weights
                .chunks_exact_mut(slots)
                .skip(at * self.pooling.len());
            for (pooling, weights) in self.pooling.iter().zip(weights) {
                weigh(*pooling, tokens, weights);
            }
        }
        packed.mask = if self.causal {
            // A token sees those before it, and so no slot past its text's end.
            hide(slots, (0..slots).map(|asker| asker + 1))
        } else {
            hide(slots, texts.iter().map(|text| text.ids().len()))
        };
        packed
    }
}

/// Makes rows of `slots`, of each of which so many can be seen.
fn hide(slots: usize, seen: impl Iterator<Item = usize>) -> Vec<f32> {
    seen.flat_map(|seen| (0..slots).map(move |slot| if slot < seen { 0.0 } else { HIDDEN }))
        .collect()
}

/// Fills what each token counts for; all are 0 before.
#[expect(clippy::cast_precision_loss, reason = "no text has 2^24 tokens")]
pub(super) fn weigh(pooling: Pooling, tokens: &Tokens, weights: &mut [f32]) {
    let pooled = tokens.unpooled()..tokens.ids().len();
    let length = pooled.len() as f32;
    match pooling {
        Pooling::Mean => weights[pooled].fill(length.recip()),
        Pooling::MeanSqrtLength => weights[pooled].fill(length.sqrt().recip()),
        Pooling::WeightedMean => {
            // The places from `unpooled + 1` to the last.
            let mut place = tokens.unpooled() as f32;
            let sum = length * (place + tokens.ids().len() as f32 + 1.0) / 2.0;
            for weight in &mut weights[pooled] {
                place += 1.0;
                *weight = place / sum;
            }
        }
        Pooling::Max => {}
        Pooling::First | Pooling::Last | Pooling::Token(_) | Pooling::LargestToken => {
            if let Some(row) = pooling.row(tokens) {
                weights[row] = 1.0;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packing(pooling: &[Pooling], causal: bool) -> Packing {
        Packing {
            pooling: pooling.to_vec(),
            first_position: 2,
            causal,
        }
    }

    fn text(ids: &[u32]) -> Tokens {
        Tokens::new(ids.to_vec(), 0)
    }

    #[test]
    fn the_tokens_of_a_prompt_that_is_left_out_count_for_nothing() {
        let all = [
            Pooling::Mean,
            Pooling::MeanSqrtLength,
            Pooling::WeightedMean,
            Pooling::First,
            Pooling::Last,
        ];
        let packed = packing(&all, false).pack(&[&Tokens::new(vec![5, 9, 7, 6, 8, 4], 2)], 6);
        let rows: Vec<_> = packed.weights.chunks_exact(6).collect();
        assert_eq!(rows[0], [0.0, 0.0, 0.25, 0.25, 0.25, 0.25]);
        assert_eq!(rows[1], [0.0, 0.0, 0.5, 0.5, 0.5, 0.5]);
        // 3 + 4 + 5 + 6 = 18
        assert_eq!(
            rows[2],
            [0.0, 0.0, 3.0 / 18.0, 4.0 / 18.0, 5.0 / 18.0, 6.0 / 18.0]
        );
        assert_eq!(rows[3], [0.0, 0.0, 1.0, 0.0, 0.0, 0.0]);
        assert_eq!(rows[4], [0.0, 0.0, 0.0, 0.0, 0.0, 1.0]);
    }

    #[test]
    fn texts_follow_each_other_and_each_has_its_own_slots() {
        let packed = packing(&[Pooling::Mean], false).pack(&[&text(&[5, 6]), &text(&[7, 8, 9, 5])], 4);
        assert_eq!(packed.ids, [5, 6, 7, 8, 9, 5]);
        assert_eq!(packed.positions, [2, 3, 2, 3, 4, 5]);
        assert_eq!(packed.rows, [0, 1, 0, 0, 2, 3, 4, 5]);
        assert_eq!(packed.slots, [0, 1, 4, 5, 6, 7]);
        assert_eq!(packed.mask_sides, [2, 1]);
        assert_eq!(packed.mask, [0.0, 0.0, HIDDEN, HIDDEN, 0.0, 0.0, 0.0, 0.0]);
        assert_eq!(packed.weights, [0.5, 0.5, 0.0, 0.0, 0.25, 0.25, 0.25, 0.25]);
    }

    #[test]
    fn a_causal_token_sees_only_those_before_it() {
        let packed = packing(&[Pooling::Last], true).pack(&[&text(&[5, 6, 7])], 3);
        assert_eq!(packed.mask_sides, [1, 3]);
        assert_eq!(
            packed.mask,
            [0.0, HIDDEN, HIDDEN, 0.0, 0.0, HIDDEN, 0.0, 0.0, 0.0]
        );
    }

    #[test]
    fn each_pooling_weighs_the_tokens_in_its_way() {
        let all = [
            Pooling::First,
            Pooling::Last,
            Pooling::Token(7),
            Pooling::LargestToken,
            Pooling::Max,
            Pooling::MeanSqrtLength,
            Pooling::WeightedMean,
        ];
        let packed = packing(&all, false).pack(&[&text(&[5, 9, 7, 6])], 5);
        let rows: Vec<_> = packed.weights.chunks_exact(5).collect();
        assert_eq!(rows[0], [1.0, 0.0, 0.0, 0.0, 0.0]);
        assert_eq!(rows[1], [0.0, 0.0, 0.0, 1.0, 0.0]);
        assert_eq!(rows[2], [0.0, 0.0, 1.0, 0.0, 0.0]);
        assert_eq!(rows[3], [0.0, 1.0, 0.0, 0.0, 0.0]);
        assert_eq!(rows[4], [0.0; 5]);
        assert_eq!(rows[5], [0.5, 0.5, 0.5, 0.5, 0.0]);
        assert_eq!(rows[6], [0.1, 0.2, 0.3, 0.4, 0.0]);
    }

    #[test]
    fn the_number_of_slots_is_a_matter_of_the_text_alone() {
        for (tokens, slots) in [(1, 16), (16, 16), (17, 32), (77, 128), (128, 128), (512, 512)] {
            assert_eq!(shared_slots(tokens), slots);
        }
    }
}
