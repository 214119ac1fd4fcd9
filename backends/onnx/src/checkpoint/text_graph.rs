//! The text tower of a checkpoint as a graph.
//!
//! Texts of one run are joined end to end for the matrices, which read their weights once for all of them, and put into
//! slots for attention and pooling. [`super::packing`] fills the inputs.

use lucida_models::checkpoint::{Linear, Pooling, TextTower};

use super::blocks::Blocks;
use super::places::Places;
use crate::graph::{Graph, Input, Side, Value, signed};
use crate::proto::DataType;

/// The inputs, in the graph's order.
pub(super) const INPUTS: [&str; 6] = ["ids", "positions", "rows", "slots", "mask", "weights"];

/// Returns the length of the tower's vectors.
pub(super) fn dimensions(tower: &TextTower) -> usize {
    let pooled = tower.embedding.tokens.shape()[1] * tower.pooling.len();
    let projected = tower.projection.as_ref().map_or(pooled, Linear::outputs);
    let last = tower.dense.last();
    last.map_or(projected, |step| step.linear.outputs())
}

/// Writes the tower; returns the graph and its result, `(texts, d)`.
pub(super) fn write(tower: &TextTower, int8: bool) -> (Graph<'_>, Value) {
    let mut blocks = Blocks::new(int8);
    let (tokens, texts, slots) = (Side::Free("tokens"), Side::Free("texts"), Side::Free("slots"));
    let sides: [(DataType, &[Side]); 6] = [
        (DataType::Int64, &[tokens]),
        (DataType::Int64, &[tokens]),
        (DataType::Int64, &[texts, slots]),
        (DataType::Int64, &[tokens]),
        (
            DataType::Float,
            &[Side::Free("masks"), Side::Fixed(1), Side::Free("askers"), slots],
        ),
        (
            DataType::Float,
            &[texts, Side::Fixed(tower.pooling.len()), Side::Fixed(1), slots],
        ),
    ];
    let mut named = INPUTS.into_iter().zip(sides);
    let [ids, positions, rows, slots, mask, weights] = std::array::from_fn(|_| {
        let (name, (data_type, sides)) = named.next().expect("there are as many names as inputs");
        blocks.graph.input(Input {
            name,
            data_type,
            sides,
        })
    });

    let embedding = &tower.embedding;
    let hidden = signed(embedding.tokens.shape()[1]);
    let mut x = blocks.lookup(&embedding.tokens, &ids);
    if let Some(scale) = embedding.scale {
        let scale = blocks.graph.float(scale);
        x = blocks.graph.op("Mul", &[&x, &scale], &[]);
    }
    if let Some(table) = &embedding.positions {
        let positions = blocks.exact_lookup(table, &positions);
        x = blocks.graph.op("Add", &[&x, &positions], &[]);
    }
    if let Some(types) = &embedding.types {
        let first = blocks.graph.int(0);
        let first = blocks.exact_lookup(types, &first);
        x = blocks.graph.op("Add", &[&x, &first], &[]);
    }
    if let Some(norm) = &embedding.norm {
        x = blocks.norm(&x, norm);
    }

    let inputs = Places {
        positions,
        rows: rows.clone(),
        slots,
        mask,
    };
    let sequences = blocks.sequences(&tower.encoder, &inputs);
    x = blocks.encoder_by_layer(x, &tower.encoder, &sequences);
    if let Some(norm) = &tower.final_norm {
        x = blocks.norm(&x, norm);
    }
    x = blocks.pool(&x, &rows, &weights, &tower.pooling, hidden);
    if let Some(projection) = &tower.projection {
        x = blocks.exact(&x, projection);
    }
    let vector = blocks.dense(x, &tower.dense);
    (blocks.graph, vector)
}

impl Blocks<'_> {
    /// Takes the rows of each text, `(n, h)`, to one, `(texts, h)` times the number of poolings. All but the largest are
    /// sums in which each row has a weight; a padding slot holds a row of its own text, so that it is no larger.
    pub(super) fn pool(
        &mut self,
        x: &Value,
        rows: &Value,
        weights: &Value,
        poolings: &[Pooling],
        hidden: i64,
    ) -> Value {
        let put = self.graph.op("Gather", &[x, rows], &[]);
        let second = self.graph.ints(&[1]);
        // (texts, 1, slots, h)
        let put = self.graph.op("Unsqueeze", &[&put, &second], &[]);
        // (texts, poolings, 1, h): one row to a product, whose sum is taken in the same order wherever it is computed.
        let mut pooled = self.graph.op("MatMul", &[weights, &put], &[]);
        let is_max: Vec<_> = poolings.iter().map(|&pooling| pooling == Pooling::Max).collect();
        if is_max.contains(&true) {
            let slots = self.graph.ints(&[2]);
            let largest = self.graph.op("ReduceMax", &[&put, &slots], &[]);
            let is_max = self.graph.truths(&[is_max.len(), 1, 1], &is_max);
            pooled = self.graph.op("Where", &[&is_max, &largest, &pooled], &[]);
        }
        self.reshape(&pooled, &[-1, signed(poolings.len()) * hidden])
    }
}
