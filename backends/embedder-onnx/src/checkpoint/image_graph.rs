//! The image tower of a checkpoint as a graph.

use lucida_models::checkpoint::ImageTower;

use super::blocks::Blocks;
use crate::graph::{Attribute, Graph, Input, Side, Value, signed};
use crate::proto::DataType;

/// `(batch, 3, side, side)` f32, normalised.
pub(super) const INPUT: &str = "pixels";

/// Writes the tower; returns the graph and its result, `(batch, d)`.
pub(super) fn write(tower: &ImageTower, int8: bool) -> (Graph<'_>, Value) {
    let mut blocks = Blocks::new(int8);
    let patches = &tower.patches;
    let (side, patch) = (patches.image_size_pixels, patches.patch_size_pixels);
    let (length, hidden) = (patches.positions.shape()[0], patches.positions.shape()[1]);
    let pixels = blocks.graph.input(Input {
        name: INPUT,
        data_type: DataType::Float,
        sides: &[
            Side::Free("batch"),
            Side::Fixed(3),
            Side::Fixed(side),
            Side::Fixed(side),
        ],
    });

    // A convolution whose stride is its size is a matrix over cut-out patches, which is no slower; and the matrix gives
    // each row the same bits whatever the batch, where a convolution sums in another order for another number of
    // pictures.
    let (across, patch) = (signed(side / patch), signed(patch));
    let cut = blocks.reshape(&pixels, &[-1, 3, across, patch, across, patch]);
    let cut = blocks.transpose(&cut, &[0, 2, 4, 1, 3, 5]);
    let cut = blocks.reshape(&cut, &[-1, 3 * patch * patch]);
    let embedded = blocks.matrix(&cut, &patches.weight, None);
    let embedded = blocks.reshape(&embedded, &[-1, across * across, signed(hidden)]);

    let class = blocks.float(&patches.class);
    let batch = blocks.graph.op(
        "Shape",
        &[&pixels],
        &[("start", Attribute::Int(0)), ("end", Attribute::Int(1))],
    );
    let row = blocks.graph.ints(&[1, signed(hidden)]);
    let shape = blocks
        .graph
        .op("Concat", &[&batch, &row], &[("axis", Attribute::Int(0))]);
    let class = blocks.graph.op("Expand", &[&class, &shape], &[]);
    let x = blocks
        .graph
        .op("Concat", &[&class, &embedded], &[("axis", Attribute::Int(1))]);
    let positions = blocks.float(&patches.positions);
    let x = blocks.graph.op("Add", &[&x, &positions], &[]);
    let x = blocks.reshape(&x, &[-1, signed(hidden)]);

    let x = blocks.norm(&x, &tower.pre_norm);
    let x = blocks.encoder_to_first(x, &tower.encoder, [length, hidden]);
    let x = blocks.norm(&x, &tower.post_norm);
    let vector = blocks.exact(&x, &tower.projection);
    (blocks.graph, vector)
}
