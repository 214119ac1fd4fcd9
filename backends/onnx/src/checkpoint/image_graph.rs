//! The image tower of a checkpoint as a graph.

use lucida_models::checkpoint::{AttentionPool, ImagePooling, ImageTower, Tensor};

use super::blocks::Blocks;
use super::encoder::Sequences;
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
    let embedded = blocks.matrix(&cut, &patches.weight, patches.bias.as_ref());
    let mut x = blocks.reshape(&embedded, &[-1, across * across, signed(hidden)]);

    let batch = blocks.graph.op(
        "Shape",
        &[&pixels],
        &[("start", Attribute::Int(0)), ("end", Attribute::Int(1))],
    );
    if let Some(class) = &patches.class {
        let class = blocks.for_each(class, &batch, &[1, signed(hidden)]);
        x = blocks
            .graph
            .op("Concat", &[&class, &x], &[("axis", Attribute::Int(1))]);
    }
    let positions = blocks.float(&patches.positions);
    x = blocks.graph.op("Add", &[&x, &positions], &[]);
    x = blocks.reshape(&x, &[-1, signed(hidden)]);
    if let Some(norm) = &tower.pre_norm {
        x = blocks.norm(&x, norm);
    }

    // Only the class token's row needs nothing of the other rows after the last attention.
    x = match (&tower.pooling, &tower.rows_norm) {
        (ImagePooling::Class, None) => blocks.encoder_to_first(x, &tower.encoder, [length, hidden]),
        (pooling, rows_norm) => {
            let rows = Sequences::Even(length);
            x = blocks.encoder(x, &tower.encoder, &rows);
            if let Some(norm) = rows_norm {
                x = blocks.norm(&x, norm);
            }
            match pooling {
                ImagePooling::Class => blocks.first_rows(&x, [length, hidden]),
                ImagePooling::Mean => {
                    let first = usize::from(patches.class.is_some());
                    blocks.mean_rows(&x, [length, hidden], first)
                }
                ImagePooling::Attention(pool) => {
                    let asking = blocks.for_each(&pool.probe, &batch, &[signed(hidden)]);
                    blocks.attention_pool((&x, &rows), &asking, pool, tower.encoder.heads)
                }
            }
        }
    };
    if let Some(norm) = &tower.post_norm {
        x = blocks.norm(&x, norm);
    }
    if let Some(projection) = &tower.projection {
        x = blocks.exact(&x, projection);
    }
    (blocks.graph, x)
}

impl<'t> Blocks<'t> {
    /// Repeats a row for each picture: `(h,)` to `(batch, sides)`.
    fn for_each(&mut self, row: &'t Tensor, batch: &Value, sides: &[i64]) -> Value {
        let row = self.float(row);
        let sides = self.graph.ints(sides);
        let shape = self
            .graph
            .op("Concat", &[batch, &sides], &[("axis", Attribute::Int(0))]);
        self.graph.op("Expand", &[&row, &shape], &[])
    }

    /// Takes the mean of each picture's rows from `first` on: `(batch * length, h)` to `(batch, h)`.
    fn mean_rows(&mut self, x: &Value, [length, hidden]: [usize; 2], first: usize) -> Value {
        #[expect(clippy::cast_precision_loss, reason = "no picture has 2^24 patches")]
        let share = ((length - first) as f32).recip();
        let weights: Vec<_> = (0..length)
            .map(|row| if row < first { 0.0 } else { share })
            .collect();
        let weights = self.graph.floats(&[1, 1, length], &weights);
        let rows = self.reshape(x, &[-1, signed(length), signed(hidden)]);
        // One row to a product, whose sum is taken in the same order whatever the batch.
        let mean = self.graph.op("MatMul", &[&weights, &rows], &[]);
        self.reshape(&mean, &[-1, signed(hidden)])
    }

    /// Lets a learnt row ask all rows of each picture: `(batch * length, h)` to `(batch, h)`.
    fn attention_pool(
        &mut self,
        asked: (&Value, &Sequences),
        asking: &Value,
        pool: &'t AttentionPool,
        heads: usize,
    ) -> Value {
        let x = self.attention((asking, &Sequences::Even(1)), asked, &pool.attention, heads);
        let inner = self.norm(&x, &pool.norm);
        let inner = self.matrix(&inner, &pool.up.weight, pool.up.bias.as_ref());
        let inner = self.activation(inner, pool.activation);
        let inner = self.matrix(&inner, &pool.down.weight, pool.down.bias.as_ref());
        self.graph.op("Add", &[&x, &inner], &[])
    }
}
