//! The tensors of a checkpoint for candle-transformers, under the names and in the shapes that its modules ask for.
//!
//! Whatever a module asks for and the checkpoint lacks is an error that names it: nothing is initialised.

use std::collections::HashMap;

use candle_core::{DType, Device, Result, Shape, Tensor};
use candle_nn::var_builder::SimpleBackend;
use candle_nn::{Init, VarBuilder};
use lucida_models::checkpoint;

use crate::numbers::turned;

/// Tensors by the names of a module; those of several parts are joined along their first side.
#[derive(Default)]
pub(crate) struct Named {
    parts: HashMap<String, Vec<Part>>,
}

/// What a part of a tensor is read from.
enum Part {
    /// A tensor as the file has it.
    Whole(checkpoint::Tensor),
    /// A matrix with its sides turned.
    Turned(checkpoint::Tensor),
    /// The rows of a matrix from this one on.
    RowsFrom(checkpoint::Tensor, usize),
    /// So many zeros, where a module asks for what its family adds and another family doesn't have.
    Zeros(usize),
}

impl Part {
    fn to_f32(&self) -> Vec<f32> {
        let read = |tensor: &checkpoint::Tensor| {
            let numbers = tensor.to_f32();
            tensor.release_pages();
            numbers
        };
        match self {
            Self::Whole(tensor) => read(tensor),
            Self::Turned(tensor) => turned(tensor),
            Self::RowsFrom(tensor, first) => {
                let width = tensor.len() / tensor.shape()[0].max(1);
                read(tensor).split_off(first * width)
            }
            Self::Zeros(count) => vec![0.0; *count],
        }
    }
}

impl Named {
    /// Adds a tensor.
    pub(crate) fn add(&mut self, name: impl Into<String>, tensor: &checkpoint::Tensor) {
        self.join(name, [tensor]);
    }

    /// Adds one that the checkpoint has in parts.
    pub(crate) fn join<'t>(
        &mut self,
        name: impl Into<String>,
        parts: impl IntoIterator<Item = &'t checkpoint::Tensor>,
    ) {
        let parts = parts.into_iter().cloned().map(Part::Whole);
        self.parts.insert(name.into(), parts.collect());
    }

    /// Adds the rows of a matrix from `first` on, which it must have.
    pub(crate) fn rows_from(&mut self, name: impl Into<String>, tensor: &checkpoint::Tensor, first: usize) {
        self.parts
            .insert(name.into(), vec![Part::RowsFrom(tensor.clone(), first)]);
    }

    /// Adds zeros that the checkpoint doesn't have.
    pub(crate) fn zeros(&mut self, name: impl Into<String>, count: usize) {
        self.parts.insert(name.into(), vec![Part::Zeros(count)]);
    }

    /// Adds a matrix, and its bias where it has one.
    pub(crate) fn linear(&mut self, name: &str, linear: &checkpoint::Linear) {
        let weight = linear.weight.clone();
        let weight = match linear.layout {
            checkpoint::Layout::OutputsFirst => Part::Whole(weight),
            checkpoint::Layout::InputsFirst => Part::Turned(weight),
        };
        self.parts.insert(format!("{name}.weight"), vec![weight]);
        if let Some(bias) = &linear.bias {
            self.add(format!("{name}.bias"), bias);
        }
    }

    /// Adds matrices without a bias: each under its name, or all of them, one below the other, under a single one.
    pub(crate) fn matrices(
        &mut self,
        names: impl ExactSizeIterator<Item = String>,
        parts: &[&checkpoint::Linear],
    ) {
        let each = parts.len().div_ceil(names.len().max(1)).max(1);
        for (name, parts) in names.zip(parts.chunks(each)) {
            self.join(
                format!("{name}.weight"),
                parts.iter().map(|linear| &linear.weight),
            );
        }
    }

    /// Adds the layers of an encoder under the names that transformers gives those of CLIP and SigLIP.
    pub(crate) fn clip_layers(&mut self, prefix: &str, encoder: &checkpoint::Encoder) {
        for (index, layer) in encoder.layers.iter().enumerate() {
            let place = format!("{prefix}.{index}");
            let attention = &layer.attention;
            for (name, linear) in [
                ("self_attn.q_proj", &attention.query),
                ("self_attn.k_proj", &attention.key),
                ("self_attn.v_proj", &attention.value),
                ("self_attn.out_proj", &attention.output),
                ("mlp.fc1", &layer.up),
                ("mlp.fc2", &layer.down),
            ] {
                self.linear(&format!("{place}.{name}"), linear);
            }
            if let Some(norm) = &layer.attention_norm {
                self.norm(&format!("{place}.layer_norm1"), norm);
            }
            self.norm(&format!("{place}.layer_norm2"), &layer.feed_forward_norm);
        }
    }

    /// Adds the matrices of query, key and value, one below the other, and their biases likewise, as PyTorch's
    /// `MultiheadAttention` has them.
    pub(crate) fn in_projection(&mut self, prefix: &str, attention: &checkpoint::Attention) {
        let thirds = [&attention.query, &attention.key, &attention.value];
        self.join(
            format!("{prefix}.in_proj_weight"),
            thirds.iter().map(|linear| &linear.weight),
        );
        self.join(
            format!("{prefix}.in_proj_bias"),
            thirds.iter().filter_map(|linear| linear.bias.as_ref()),
        );
    }

    /// Adds a norm.
    pub(crate) fn norm(&mut self, name: &str, norm: &checkpoint::LayerNorm) {
        self.add(format!("{name}.weight"), &norm.weight);
        if let Some(bias) = &norm.bias {
            self.add(format!("{name}.bias"), bias);
        }
    }

    /// Returns what a module is loaded from: f32, on a device.
    pub(crate) fn into_builder(self, device: &Device) -> VarBuilder<'static> {
        VarBuilder::from_backend(Box::new(self), DType::F32, device.clone())
    }
}

impl SimpleBackend for Named {
    fn get(&self, shape: Shape, name: &str, _init: Init, dtype: DType, device: &Device) -> Result<Tensor> {
        let Some(parts) = self.parts.get(name) else {
            candle_core::bail!("the module asks for `{name}`, which the checkpoint lacks");
        };
        let mut numbers = Vec::with_capacity(shape.elem_count());
        for part in parts {
            numbers.extend(part.to_f32());
        }
        if numbers.len() != shape.elem_count() {
            candle_core::bail!(
                "the module asks for `{name}` in shape {shape:?}, and the checkpoint has {} numbers",
                numbers.len()
            );
        }
        Tensor::from_vec(numbers, shape, device)?.to_dtype(dtype)
    }

    fn get_unchecked(&self, name: &str, _dtype: DType, _device: &Device) -> Result<Tensor> {
        candle_core::bail!("the module asks for `{name}` without a shape")
    }

    fn contains_tensor(&self, name: &str) -> bool {
        self.parts.contains_key(name)
    }
}
