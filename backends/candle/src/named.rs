//! The tensors of a checkpoint for candle-transformers, under the names and in the shapes that its modules ask for.
//!
//! Whatever a module asks for and the checkpoint lacks is an error that names it: nothing is initialised.

use std::collections::HashMap;

use candle_core::{DType, Device, Result, Shape, Tensor};
use candle_nn::var_builder::SimpleBackend;
use candle_nn::{Init, VarBuilder};
use lucida_models::checkpoint;

/// Tensors by the names of a module; those of several parts are joined along their first side.
#[derive(Default)]
pub(crate) struct Named {
    parts: HashMap<String, Vec<checkpoint::Tensor>>,
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
        self.parts
            .insert(name.into(), parts.into_iter().cloned().collect());
    }

    /// Adds a matrix, and its bias where it has one.
    pub(crate) fn linear(&mut self, name: &str, linear: &checkpoint::Linear) {
        self.add(format!("{name}.weight"), &linear.weight);
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
            part.release_pages();
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
