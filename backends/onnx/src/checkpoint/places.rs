//! What a text's layers know of the places of its tokens, as operators of a graph: windows, rotations, and biases by
//! distance. Each is computed once for all the layers that share it.

use lucida_models::checkpoint::{Encoder, Rotary, ScoreBias};

use super::blocks::Blocks;
use super::encoder::{Rotation, Sequences};
use super::packing::HIDDEN;
use crate::graph::{Attribute, Value, signed};

/// The inputs of a text's graph that say where its tokens are.
pub(super) struct Places {
    /// `(n,)` i64: the place of each row in its text.
    pub(super) positions: Value,
    /// `(texts, slots)` i64: the row that each slot gets.
    pub(super) rows: Value,
    /// `(n,)` i64: the slot of each row.
    pub(super) slots: Value,
    /// Added to the scores of every layer: f32, broadcast to `(texts, heads, slots, slots)`.
    pub(super) mask: Value,
}

impl<'t> Blocks<'t> {
    /// Returns how each layer sees its texts.
    pub(super) fn sequences(&mut self, encoder: &'t Encoder, places: &Places) -> Vec<Sequences> {
        let mut masks: Vec<(Option<usize>, Value)> = Vec::new();
        let mut rotations: Vec<(&Rotary, Rotation)> = Vec::new();
        let biased = match &encoder.bias {
            Some(bias) => {
                let bias = self.bias(bias, places);
                self.graph.op("Add", &[&places.mask, &bias], &[])
            }
            None => places.mask.clone(),
        };
        masks.push((None, biased.clone()));
        let mut sequences = Vec::with_capacity(encoder.layers.len());
        for layer in &encoder.layers {
            let window = layer.places.window;
            let known = masks.iter().find(|(known, _)| *known == window);
            let mask = if let Some((_, mask)) = known {
                mask.clone()
            } else {
                let mask = self.windowed(&biased, window.unwrap_or_default(), places);
                masks.push((window, mask.clone()));
                mask
            };
            let rotation = layer.places.rotary.as_ref().map(|rotary| {
                let known = rotations.iter().find(|(known, _)| *known == rotary);
                if let Some((_, rotation)) = known {
                    return rotation.clone();
                }
                let rotation = self.rotation(rotary, places);
                rotations.push((rotary, rotation.clone()));
                rotation
            });
            sequences.push(Sequences::Packed {
                rows: places.rows.clone(),
                slots: places.slots.clone(),
                mask,
                rotation,
            });
        }
        sequences
    }

    /// Hides what is farther away than `window` in a mask: both have nothing but 0 and the smallest number.
    fn windowed(&mut self, mask: &Value, window: usize, places: &Places) -> Value {
        let distances = self.distances(places);
        let distances = self.graph.op("Abs", &[&distances], &[]);
        let window = self.graph.int(signed(window));
        let is_far = self.graph.op("Greater", &[&distances, &window], &[]);
        let (hidden, seen) = (self.graph.float(HIDDEN), self.graph.float(0.0));
        let far = self.graph.op("Where", &[&is_far, &hidden, &seen], &[]);
        self.graph.op("Min", &[mask, &far], &[])
    }

    /// Returns what is added by distance, `(heads, slots, slots)`.
    fn bias(&mut self, bias: &'t ScoreBias, places: &Places) -> Value {
        let distances = self.distances(places);
        match bias {
            ScoreBias::Slopes(slopes) => {
                let distances = self.graph.op("Abs", &[&distances], &[]);
                let distances = self.float_of(&distances);
                let slopes: Vec<_> = slopes.iter().map(|slope| -slope).collect();
                let slopes = self.graph.floats(&[slopes.len(), 1, 1], &slopes);
                self.graph.op("Mul", &[&distances, &slopes], &[])
            }
            ScoreBias::Buckets(buckets) => {
                let reach = signed(buckets.reach());
                let (least, most) = (self.graph.int(-reach), self.graph.int(reach));
                let near = self.graph.op("Clip", &[&distances, &least, &most], &[]);
                let from_first = self.graph.op("Add", &[&near, &most], &[]);
                let bucket_of: Vec<_> = buckets.bucket_of.iter().copied().map(signed).collect();
                let bucket_of = self.graph.ints(&bucket_of);
                let numbers = self.exact_lookup(&buckets.table, &bucket_of);
                // (slots, slots, heads)
                let numbers = self.graph.op("Gather", &[&numbers, &from_first], &[]);
                self.transpose(&numbers, &[2, 0, 1])
            }
        }
    }

    /// Returns the place of each key less that of each query, `(slots, slots)` i64, queries first.
    fn distances(&mut self, places: &Places) -> Value {
        let sides = [("start", Attribute::Int(1)), ("end", Attribute::Int(2))];
        let count = self.graph.op("Shape", &[&places.rows], &sides);
        let first_side = self.graph.ints(&[0]);
        let count = self.graph.op("Squeeze", &[&count, &first_side], &[]);
        let (first, step) = (self.graph.int(0), self.graph.int(1));
        let slots = self.graph.op("Range", &[&first, &count, &step], &[]);
        let keys = self.graph.op("Unsqueeze", &[&slots, &first_side], &[]);
        let second_side = self.graph.ints(&[1]);
        let queries = self.graph.op("Unsqueeze", &[&slots, &second_side], &[]);
        self.graph.op("Sub", &[&keys, &queries], &[])
    }

    /// Returns the angles of every row.
    fn rotation(&mut self, rotary: &Rotary, places: &Places) -> Rotation {
        let positions = self.float_of(&places.positions);
        let sides = self.graph.ints(&[1, 2]);
        let positions = self.graph.op("Unsqueeze", &[&positions, &sides], &[]);
        let frequencies = self
            .graph
            .floats(&[1, 1, rotary.frequencies.len()], &rotary.frequencies);
        let angles = self.graph.op("Mul", &[&positions, &frequencies], &[]);
        Rotation {
            cosine: self.graph.op("Cos", &[&angles], &[]),
            sine: self.graph.op("Sin", &[&angles], &[]),
        }
    }
}
