//! How a search goes: which points meet the filter, then in one to three steps which of them are nearest.
//!
//! | points that meet the filter | steps |
//! | --- | --- |
//! | hardly more than are asked for | whole vectors |
//! | up to [`WITHOUT_BITS`] | codes of a byte, then the whole vectors of the best |
//! | more | bits of all, codes of those that may be among the best, whole vectors of the best |
//!
//! Which points may be among the best after the bits is no fixed number: the codes of the first thousand show how near
//! the hits are, and every point whose bits don't rule it out is looked at. So a filter that leaves points which are
//! all alike costs time, not hits.

use lucida_core::{IndexFilter, Result, ScoredId};

use crate::chunk::Chunk;
use crate::code::{CodeQuery, normalised};
use crate::collection::{Collection, View, WITHOUT_BITS, photo_id};
use crate::kernel::{CompareBits, CompareCodes, Dot, run};
use crate::mask::{CHUNK, Mask, count, places, position, slot};
use crate::readers::Readers;
use crate::sketch::Sketch;
use crate::threads::Threads;
use crate::top::{Scored, Top};

/// How many points' codes are compared, whatever the bits say.
const FIRST: usize = 1_000;

/// How much worse a code's cosine may be than the exact one's, at most: what rounding to a byte costs.
const ROUNDING: f32 = 0.003;

/// How many chunks are worth a thread: of columns, of codes, of bits.
const FILTERED_PER_THREAD: usize = 128;
const CODES_PER_THREAD: usize = 8;
const BITS_PER_THREAD: usize = 32;

/// One search of a collection.
pub(crate) struct Search<'a> {
    pub(crate) collection: &'a Collection,
    pub(crate) readers: &'a Readers,
    pub(crate) threads: &'a Threads,
    pub(crate) vector: &'a [f32],
    pub(crate) filter: &'a IndexFilter,
    pub(crate) limit: usize,
}

/// A search's query in the terms of the codes.
struct Query {
    rotated: Vec<f32>,
    codes: CodeQuery,
}

impl Search<'_> {
    /// Finds the nearest points.
    ///
    /// # Errors
    /// `InvalidInput` for a vector of other dimensions; those of the database.
    pub(crate) fn run(&self) -> Result<Vec<ScoredId>> {
        self.collection.check(self.vector)?;
        let view = self.collection.view(self.filter);
        let masks = self.masks(&view);
        let matching: usize = masks.iter().map(count).sum();
        if matching == 0 || self.limit == 0 {
            return Ok(Vec::new());
        }
        let mut rotated = normalised(self.vector);
        self.collection.rotation.apply(&mut rotated);
        let query = Query {
            codes: CodeQuery::of(&rotated),
            rotated,
        };
        // Rounding may swap neighbours, so some more than are asked for are compared exactly.
        let best = self.limit.saturating_add(self.limit / 4 + 40).min(matching);
        let nearest = if best == matching {
            all(&masks)
        } else if let Some(sketch) = view.sketch.as_deref().filter(|_| matching > WITHOUT_BITS) {
            self.by_bits(&view, &masks, sketch, &query, best)
        } else {
            self.by_codes(&view, &masks, &query, best)
        };
        self.exactly(&view, &nearest)
    }

    /// Returns which points of each chunk meet the filter.
    fn masks(&self, view: &View) -> Vec<Mask> {
        let matcher = &view.matcher;
        let made = self.threads.split(
            view.chunks.len(),
            FILTERED_PER_THREAD,
            Vec::new,
            |made: &mut Vec<(usize, Mask)>, at| made.push((at, matcher.matching(&view.chunks[at]))),
        );
        let mut masks = vec![[0; CHUNK / 64]; view.chunks.len()];
        for (at, mask) in made.into_iter().flatten() {
            masks[at] = mask;
        }
        for slot in &matcher.exclude {
            let (at, place) = position(*slot);
            masks[at][place / 64] &= !(1 << (place % 64));
        }
        masks
    }

    /// Compares the codes of every point.
    fn by_codes(&self, view: &View, masks: &[Mask], query: &Query, best: usize) -> Vec<Scored> {
        let compare = |(top, scores): &mut (Top, Vec<f32>), at: usize| {
            compare_codes(&view.chunks[at], at, &masks[at], &query.codes, scores, |scored| {
                top.push(scored.score, scored.slot);
            });
        };
        let make = || (Top::new(best), vec![0.0; CHUNK]);
        // Where few points meet the filter, they are spread over many chunks.
        let share = masks.iter().map(count).sum::<usize>().div_ceil(CHUNK).max(1);
        let per_thread = CODES_PER_THREAD * masks.len().div_ceil(share);
        merged(self.threads.split(masks.len(), per_thread, make, compare), best)
    }

    /// Compares the bits of every point, and the codes of those that may be among the best.
    fn by_bits(
        &self,
        view: &View,
        masks: &[Mask],
        sketch: &Sketch,
        query: &Query,
        best: usize,
    ) -> Vec<Scored> {
        struct Seen {
            first: Top,
            /// For chunk after chunk, the best score that each point may have.
            possible: Vec<(usize, Vec<f32>)>,
            sums: Vec<u32>,
        }
        let keep = FIRST.max(best.saturating_mul(2));
        let bits_query = sketch.query(&query.rotated);
        let look = |seen: &mut Seen, at: usize| {
            let Some(bits) = &view.chunks[at].bits else {
                // Whatever has no bits yet may be as near as can be.
                places(&masks[at], |place| {
                    seen.first.push(f32::INFINITY, slot(at, place))
                });
                seen.possible.push((at, vec![f32::INFINITY; CHUNK]));
                return;
            };
            run(CompareBits {
                query: &bits_query.bits,
                bits: &bits.words,
                mask: &masks[at],
                sums: &mut seen.sums,
            });
            let columns = bits.radius.iter().zip(&bits.factor);
            let possible: Vec<f32> = seen
                .sums
                .iter()
                .zip(columns)
                .map(|(sum, (radius, factor))| bits_query.best(*sum, *radius, *factor))
                .collect();
            places(&masks[at], |place| {
                seen.first.push(possible[place], slot(at, place));
            });
            seen.possible.push((at, possible));
        };
        let make = || Seen {
            first: Top::new(keep),
            possible: Vec::new(),
            sums: vec![0; CHUNK],
        };
        let seen = self.threads.split(masks.len(), BITS_PER_THREAD, make, look);
        let mut first = Top::new(keep);
        let mut possible = Vec::with_capacity(masks.len());
        for part in seen {
            first.merge(part.first);
            possible.extend(part.possible);
        }

        // The codes of the first show what the hits are like at least.
        let mut looked_at: Vec<Mask> = vec![[0; CHUNK / 64]; masks.len()];
        for scored in first.into_sorted() {
            mark(&mut looked_at, scored.slot);
        }
        let mut nearest = self.by_codes(view, &looked_at, query, best);
        let last = nearest.get(self.limit.min(nearest.len()).saturating_sub(1));
        let floor = last.map_or(f32::NEG_INFINITY, |last| last.score - ROUNDING);

        // Every other point that may be as near.
        let mut rest: Vec<Mask> = vec![[0; CHUNK / 64]; masks.len()];
        for (at, possible) in &possible {
            let left = &mut rest[*at];
            for (number, word) in left.iter_mut().enumerate() {
                let mut candidates = masks[*at][number] & !looked_at[*at][number];
                while candidates != 0 {
                    let bit = candidates.trailing_zeros();
                    if possible[number * 64 + bit as usize] >= floor {
                        *word |= 1 << bit;
                    }
                    candidates &= candidates - 1;
                }
            }
        }
        if rest.iter().any(|mask| mask.iter().any(|word| *word != 0)) {
            let mut top = Top::new(best);
            let more = self.by_codes(view, &rest, query, best);
            for scored in nearest.into_iter().chain(more) {
                top.push(scored.score, scored.slot);
            }
            nearest = top.into_sorted();
        }
        nearest
    }

    /// Reads the whole vectors of points, and returns the nearest as they really are.
    fn exactly(&self, view: &View, nearest: &[Scored]) -> Result<Vec<ScoredId>> {
        let mut points: Vec<(u32, u128)> = nearest
            .iter()
            .map(|scored| {
                let (at, place) = position(scored.slot);
                (scored.slot, view.chunks[at].columns.photos[place])
            })
            .collect();
        points.sort_unstable();
        let unit = normalised(self.vector);
        let mut hits = Vec::with_capacity(points.len());
        let Collection {
            tables, dimensions, ..
        } = self.collection;
        let read = self
            .readers
            .vectors(tables, *dimensions, &points, |photo, vector| {
                let (product, square) = run(Dot {
                    left: &unit,
                    right: vector,
                });
                let score = if square > 0.0 {
                    product / square.sqrt()
                } else {
                    0.0
                };
                hits.push(ScoredId {
                    photo_id: photo_id(photo),
                    // The square of an extreme vector may not fit.
                    score: if score.is_finite() {
                        score
                    } else {
                        extreme(&unit, vector)
                    },
                });
            });
        self.collection.exists()?;
        read?;
        hits.sort_unstable_by(|left, right| {
            right
                .score
                .total_cmp(&left.score)
                .then(left.photo_id.cmp(&right.photo_id))
        });
        hits.truncate(self.limit);
        Ok(hits)
    }
}

fn extreme(unit: &[f32], vector: &[f32]) -> f32 {
    let vector = normalised(vector);
    unit.iter().zip(&vector).map(|(u, v)| u * v).sum()
}

fn compare_codes(
    chunk: &Chunk,
    at: usize,
    mask: &Mask,
    query: &CodeQuery,
    scores: &mut [f32],
    mut each: impl FnMut(Scored),
) {
    run(CompareCodes {
        query: &query.values,
        query_scale: query.scale,
        codes: &chunk.codes.values,
        scales: &chunk.codes.scales,
        mask,
        scores,
    });
    places(mask, |place| {
        each(Scored {
            score: scores[place],
            slot: slot(at, place),
        });
    });
}

fn merged(parts: Vec<(Top, Vec<f32>)>, best: usize) -> Vec<Scored> {
    let mut top = Top::new(best);
    for (part, _) in parts {
        top.merge(part);
    }
    top.into_sorted()
}

/// Returns all points that masks mean, without a score.
fn all(masks: &[Mask]) -> Vec<Scored> {
    let mut all = Vec::new();
    for (at, mask) in masks.iter().enumerate() {
        places(mask, |place| {
            all.push(Scored {
                score: 0.0,
                slot: slot(at, place),
            });
        });
    }
    all
}

fn mark(masks: &mut [Mask], slot: u32) {
    let (at, place) = position(slot);
    masks[at][place / 64] |= 1 << (place % 64);
}
