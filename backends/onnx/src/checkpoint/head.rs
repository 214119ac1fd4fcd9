//! What a sentence-transformers folder does to the rows of its encoder, for an encoder that somebody else exported.

use lucida_core::Result;
use lucida_models::checkpoint::{Pooling, TextHead, Tokens};
use ort::session::Session;
use ort::value::TensorRef;

use super::blocks::Blocks;
use super::blocks::OUTPUT;
use super::packing::weigh;
use super::placement::Placement;
use crate::device::{Compute, Device, Precision};
use crate::error::internal;
use crate::graph::{Input, Side, signed};
use crate::proto::DataType;
use crate::runtime::Runtime;
use crate::session;

/// The inputs: the encoder's rows `(s, h)` f32, their order `(1, s)` i64, and what each counts for,
/// `(1, poolings, 1, s)` f32.
const INPUTS: [&str; 3] = ["states", "rows", "weights"];

/// Pooling and dense steps, in memory.
pub(crate) struct Head {
    session: Session,
    pooling: Vec<Pooling>,
    hidden: usize,
}

impl Head {
    /// Writes the steps as a graph and loads it. They are small and the last, so they are computed in f32 and by
    /// ONNX Runtime's own kernels, whatever the encoder is.
    ///
    /// # Errors
    /// `Internal` where the weights can't be loaded.
    pub(crate) fn load(runtime: &Runtime, compute: Compute, head: &TextHead, hidden: usize) -> Result<Self> {
        let mut blocks = Blocks::new(false);
        let mut input = |name, data_type, sides: &[Side]| {
            blocks.graph.input(Input {
                name,
                data_type,
                sides,
            })
        };
        let [states, rows, weights] = INPUTS;
        let (tokens, poolings) = (Side::Free("tokens"), head.pooling.len());
        let states = input(states, DataType::Float, &[tokens, Side::Fixed(hidden)]);
        let rows = input(rows, DataType::Int64, &[Side::Fixed(1), tokens]);
        let sides = [Side::Fixed(1), Side::Fixed(poolings), Side::Fixed(1), tokens];
        let weights = input(weights, DataType::Float, &sides);
        let pooled = blocks.pool(&states, &rows, &weights, &head.pooling, signed(hidden));
        let vector = blocks.dense(pooled, &head.dense);

        let Placement { folder, locations } = Placement::in_checkpoint(blocks.graph.weights())?;
        let dimensions = head
            .dense
            .last()
            .map_or(hidden * poolings, |step| step.linear.outputs());
        let graph = blocks.graph.finish(&vector, OUTPUT, dimensions, &locations);
        let exact = Compute {
            device: Device::Cpu,
            precision: Precision::Fp32,
            ..compute
        };
        Ok(Self {
            session: session::open_with_weights(runtime, "the text tower's head", &graph, &folder, exact)?,
            pooling: head.pooling.clone(),
            hidden,
        })
    }

    /// Takes the rows of one text, `(s, h)` f32, to its vector.
    ///
    /// # Errors
    /// `Internal` where the computation failed.
    pub(crate) fn apply(&mut self, states: &[f32], text: &Tokens) -> Result<Vec<f32>> {
        let (tokens, poolings) = (text.ids().len(), self.pooling.len());
        let mut weights = vec![0.0; poolings * tokens];
        for (pooling, weights) in self.pooling.iter().zip(weights.chunks_exact_mut(tokens)) {
            weigh(*pooling, text, weights);
        }
        let order: Vec<_> = (0..tokens).map(signed).collect();
        let running = |error| internal("running the text tower's head", error);
        let [states_input, rows_input, weights_input] = INPUTS;
        let inputs = ort::inputs![
            states_input => TensorRef::from_array_view(([tokens, self.hidden], states)).map_err(running)?,
            rows_input => TensorRef::from_array_view(([1, tokens], &order[..])).map_err(running)?,
            weights_input => TensorRef::from_array_view(([1, poolings, 1, tokens], &weights[..])).map_err(running)?,
        ];
        let outputs = self.session.run(inputs).map_err(running)?;
        let (_, vector) = outputs[OUTPUT].try_extract_tensor::<f32>().map_err(running)?;
        Ok(vector.to_vec())
    }
}
