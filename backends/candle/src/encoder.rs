//! The stack of transformer layers that every family has.

use candle_core::{Result, Tensor};
use lucida_models::checkpoint::{self, Activation, Dense, NormPlacement};

use crate::attention::Heads;
use crate::bias::Bias;
use crate::columns::Columns;
use crate::linear::Linear;
use crate::norm::LayerNorm;

/// An encoder, ready to run.
#[derive(Debug)]
pub(crate) struct Encoder {
    layers: Vec<Layer>,
    heads: Heads,
    bias: Option<Bias>,
    norm_placement: NormPlacement,
    activation: Activation,
}

#[derive(Debug)]
struct Layer {
    query: Linear,
    key: Linear,
    value: Linear,
    output: Linear,
    attention_norm: Option<LayerNorm>,
    up: Linear,
    gate: Option<Linear>,
    down: Linear,
    feed_forward_norm: LayerNorm,
}

impl Encoder {
    pub(crate) fn new(encoder: &checkpoint::Encoder) -> Self {
        Self {
            layers: encoder.layers.iter().map(Layer::new).collect(),
            heads: Heads {
                count: encoder.heads,
                causal: encoder.causal,
            },
            bias: encoder.bias.as_ref().map(Bias::new),
            norm_placement: encoder.norm_placement,
            activation: encoder.activation,
        }
    }

    /// Runs every layer: `(h, columns)` to the same shape.
    pub(crate) fn forward(&self, input: Tensor, columns: &Columns) -> Result<Tensor> {
        let mut x = input;
        for layer in &self.layers {
            let norm = |x: &Tensor| match &layer.attention_norm {
                Some(norm) => norm.forward(x),
                None => Ok(x.clone()),
            };
            x = match self.norm_placement {
                NormPlacement::Before => {
                    let x = self.attend(layer, &norm(&x)?, &x, columns)?;
                    layer.feed_forward(&layer.feed_forward_norm.forward(&x)?, &x, self.activation)?
                }
                NormPlacement::After => {
                    let x = norm(&self.attend(layer, &x, &x, columns)?)?;
                    let x = layer.feed_forward(&x, &x, self.activation)?;
                    layer.feed_forward_norm.forward(&x)?
                }
            };
        }
        Ok(x)
    }

    /// Returns what attention makes of `x`, plus `onto`.
    fn attend(&self, layer: &Layer, x: &Tensor, onto: &Tensor, columns: &Columns) -> Result<Tensor> {
        let query = layer.query.forward(x, Activation::Identity)?;
        let key = layer.key.forward(x, Activation::Identity)?;
        let value = layer.value.forward(x, Activation::Identity)?;
        let mixed = self
            .heads
            .attend([&query, &key, &value], columns, self.bias.as_ref())?;
        layer.output.forward_onto(&mixed, onto)
    }
}

impl Layer {
    fn new(layer: &checkpoint::EncoderLayer) -> Self {
        let attention = &layer.attention;
        Self {
            query: Linear::new(&attention.query),
            key: Linear::new(&attention.key),
            value: Linear::new(&attention.value),
            output: Linear::new(&attention.output),
            attention_norm: layer.attention_norm.as_ref().map(LayerNorm::new),
            up: Linear::new(&layer.up),
            gate: layer.gate.as_ref().map(Linear::new),
            down: Linear::new(&layer.down),
            feed_forward_norm: LayerNorm::new(&layer.feed_forward_norm),
        }
    }

    /// Returns what the second half makes of `x`, plus `onto`.
    fn feed_forward(&self, x: &Tensor, onto: &Tensor, activation: Activation) -> Result<Tensor> {
        let mut inner = self.up.forward(x, activation)?;
        if let Some(gate) = &self.gate {
            inner = (inner * gate.forward(x, Activation::Identity)?)?;
        }
        self.down.forward_onto(&inner, onto)
    }
}

/// What follows the encoder once each input is one column: the projection and the dense steps.
#[derive(Debug)]
pub(crate) struct Head {
    steps: Vec<(Linear, Activation)>,
}

impl Head {
    pub(crate) fn new(projection: Option<&checkpoint::Linear>, dense: &[Dense]) -> Self {
        let projection = projection.map(|linear| (Linear::new(linear), Activation::Identity));
        let dense = dense
            .iter()
            .map(|step| (Linear::new(&step.linear), step.activation));
        Self {
            steps: projection.into_iter().chain(dense).collect(),
        }
    }

    /// Computes the vectors, `count` of them, each `(d,)`, of the first columns of `(h, columns)`.
    pub(crate) fn vectors(&self, pooled: &Tensor, count: usize) -> Result<Vec<Vec<f32>>> {
        let mut x = pooled.clone();
        for (linear, activation) in &self.steps {
            x = linear.forward(&x, *activation)?;
        }
        x.narrow(1, 0, count)?.t()?.to_vec2()
    }
}
