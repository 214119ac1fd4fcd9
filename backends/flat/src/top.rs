//! The best few of many scored slots.

/// A slot of a collection and how near it seems.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Scored {
    pub(crate) score: f32,
    pub(crate) slot: u32,
}

/// Keeps the best so many of what is pushed.
#[derive(Debug)]
pub(crate) struct Top {
    keep: usize,
    /// What a score must be above to be among the best.
    floor: f32,
    scored: Vec<Scored>,
}

impl Top {
    /// Keeps this many, at least one.
    pub(crate) fn new(keep: usize) -> Self {
        Self {
            keep: keep.max(1),
            floor: f32::NEG_INFINITY,
            scored: Vec::new(),
        }
    }

    /// Looks at one.
    #[inline]
    pub(crate) fn push(&mut self, score: f32, slot: u32) {
        if score > self.floor {
            self.scored.push(Scored { score, slot });
            if self.scored.len() >= self.keep.saturating_mul(2).max(256) {
                self.shrink();
            }
        }
    }

    fn shrink(&mut self) {
        if self.scored.len() > self.keep {
            let last = self.keep - 1;
            self.scored
                .select_nth_unstable_by(last, |left, right| right.score.total_cmp(&left.score));
            self.floor = self.scored[last].score;
            self.scored.truncate(self.keep);
        }
    }

    /// Adds what another has kept.
    pub(crate) fn merge(&mut self, other: Self) {
        for Scored { score, slot } in other.scored {
            self.push(score, slot);
        }
    }

    /// Returns them, best first.
    pub(crate) fn into_sorted(mut self) -> Vec<Scored> {
        self.shrink();
        self.scored.sort_unstable_by(|left, right| {
            right
                .score
                .total_cmp(&left.score)
                .then(left.slot.cmp(&right.slot))
        });
        self.scored
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_of_many_are_kept_in_order() {
        for keep in [1, 7, 300, 5_000] {
            let (mut left, mut right) = (Top::new(keep), Top::new(keep));
            // Each number once, in a scattered order.
            for number in 0..4_096_u32 {
                let scattered = number.wrapping_mul(1_103) % 4_096;
                let half = if number % 2 == 0 { &mut left } else { &mut right };
                half.push(scattered as f32, scattered);
            }
            left.merge(right);
            let kept: Vec<_> = left.into_sorted().iter().map(|scored| scored.slot).collect();
            let expected: Vec<_> = (0..4_096).rev().take(keep).collect();
            assert_eq!(kept, expected);
        }
    }
}
