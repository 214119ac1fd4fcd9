//! The tensors of a folder, found by name and held against the shape that they must have.

mod entry;
#[cfg(feature = "pytorch")]
mod pytorch;
#[cfg(not(feature = "pytorch"))]
#[path = "weights/pytorch_left_out.rs"]
mod pytorch;
mod safetensors;

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use lucida_core::{Error, Result};
use serde::Deserialize;

use self::entry::Entry;
use super::tensor::{Tensor, WeightFile};
use super::tower::{Attention, LayerNorm, Layout, Linear, NormKind};
use super::{broken, missing};

/// Which files hold a folder's weights, the best first: safetensors are read where there are some.
const SAFETENSORS: &str = "model.safetensors";
const PYTORCH: &str = "pytorch_model.bin";

/// The tensors of one folder, by name.
pub(super) struct Weights {
    place: PathBuf,
    tensors: HashMap<String, Entry>,
}

/// Which of several files each tensor of a sharded checkpoint is in.
#[derive(Deserialize)]
struct ShardIndex {
    weight_map: BTreeMap<String, String>,
}

impl Weights {
    /// Returns whether a folder has a file of weights.
    pub(super) fn are_in(folder: &Path) -> bool {
        [SAFETENSORS, PYTORCH]
            .into_iter()
            .any(|name| folder.join(name).is_file() || folder.join(index_of(name)).is_file())
    }

    /// Maps the first of these files that a folder has.
    ///
    /// # Errors
    /// `Unavailable` when there is none of them; `Internal` for a file that is damaged, naming it.
    pub(super) fn open_one(folder: &Path, names: &[&str]) -> Result<Self> {
        match names
            .iter()
            .map(|name| folder.join(name))
            .find(|path| path.is_file())
        {
            Some(path) => Self::read(&path, std::slice::from_ref(&path)),
            None => Err(missing(
                &folder.join(names.first().unwrap_or(&SAFETENSORS)),
                &format!("the weights, as `{}`,", names.join("` or `")),
            )),
        }
    }

    /// Maps a folder's weights: `model.safetensors` or its shards, else `pytorch_model.bin` or its shards.
    ///
    /// # Errors
    /// `Unavailable` when there are none; `Internal` for a file that is damaged, naming it.
    pub(super) fn open(folder: &Path) -> Result<Self> {
        for name in [SAFETENSORS, PYTORCH] {
            let whole = folder.join(name);
            if whole.is_file() {
                return Self::read(&whole, std::slice::from_ref(&whole));
            }
            let index = folder.join(index_of(name));
            if index.is_file() {
                return Self::read(&index, &shards(&index, folder)?);
            }
        }
        Err(missing(
            &folder.join(SAFETENSORS),
            &format!("the weights, as `{SAFETENSORS}` or `{PYTORCH}`,"),
        ))
    }

    fn read(place: &Path, files: &[PathBuf]) -> Result<Self> {
        let mut tensors = HashMap::new();
        for path in files {
            // Hugging Face's cache links to its blobs; who reads a part of a file by its path must not meet a link.
            let real = path
                .canonicalize()
                .map_err(|error| missing(path, "a part of the weights").with_source(error))?;
            let file =
                WeightFile::map(&real).map_err(|error| broken(path, "can't be mapped").with_source(error))?;
            let file = Arc::new(file);
            let found = if path.extension().is_some_and(|kind| kind == "bin") {
                pytorch::tensors(path, &file)?
            } else {
                safetensors::tensors(path, &file)?
            };
            tensors.extend(found);
        }
        Ok(Self {
            place: place.to_path_buf(),
            tensors,
        })
    }

    /// Returns whether there is a tensor of this name.
    pub(super) fn contains(&self, name: &str) -> bool {
        self.tensors.contains_key(name)
    }

    /// Returns the tensor of this name.
    ///
    /// # Errors
    /// `Internal`, naming the tensor, when it is missing, has another shape, or holds what is not read.
    pub(super) fn get(&self, name: &str, shape: &[usize]) -> Result<Tensor> {
        match self.tensors.get(name) {
            None => Err(self.fault(format!("lacks the tensor `{name}` of shape {shape:?}"))),
            Some(Entry::Unusable(why)) => {
                Err(self.fault(format!("has a tensor `{name}` that can't be read: {why}")))
            }
            Some(Entry::Usable(tensor)) if tensor.shape() == shape => Ok(tensor.clone()),
            Some(Entry::Usable(tensor)) => Err(self.fault(format!(
                "has the tensor `{name}` in shape {:?}, and the configuration says {shape:?}",
                tensor.shape()
            ))),
        }
    }

    /// Returns the sides of a tensor, for what a configuration leaves to the weights.
    ///
    /// # Errors
    /// `Internal`, naming the tensor, when it is missing or holds what is not read.
    pub(super) fn shape(&self, name: &str) -> Result<&[usize]> {
        match self.tensors.get(name) {
            None => Err(self.fault(format!("lacks the tensor `{name}`"))),
            Some(Entry::Unusable(why)) => {
                Err(self.fault(format!("has a tensor `{name}` that can't be read: {why}")))
            }
            Some(Entry::Usable(tensor)) => Ok(tensor.shape()),
        }
    }

    /// Returns `<name>.weight`, `(outputs, inputs)`, and its bias.
    pub(super) fn linear(&self, name: &str, [outputs, inputs]: [usize; 2], bias: bool) -> Result<Linear> {
        Ok(Linear {
            weight: self.get(&format!("{name}.weight"), &[outputs, inputs])?,
            bias: bias
                .then(|| self.get(&format!("{name}.bias"), &[outputs]))
                .transpose()?,
            layout: Layout::OutputsFirst,
        })
    }

    /// Returns the attention that PyTorch's `MultiheadAttention` stores under `<name>`: query, key and value as the thirds
    /// of one matrix.
    pub(super) fn fused_attention(&self, name: &str, hidden: usize) -> Result<Attention> {
        let weight = self.get(&format!("{name}.in_proj_weight"), &[3 * hidden, hidden])?;
        let bias = self.get(&format!("{name}.in_proj_bias"), &[3 * hidden])?;
        let third = |part: usize| {
            let rows = part * hidden..(part + 1) * hidden;
            Ok::<_, Error>(Linear {
                weight: self.cut(&weight, rows.clone())?,
                bias: Some(self.cut(&bias, rows)?),
                layout: Layout::OutputsFirst,
            })
        };
        Ok(Attention {
            query: third(0)?,
            key: third(1)?,
            value: third(2)?,
            output: self.linear(&format!("{name}.out_proj"), [hidden, hidden], true)?,
            head_norms: None,
        })
    }

    fn cut(&self, tensor: &Tensor, rows: Range<usize>) -> Result<Tensor> {
        tensor
            .rows(rows)
            .ok_or_else(|| self.fault(format!("has too few rows in the tensor `{}`", tensor.name())))
    }

    /// Returns the norm `<name>`; the first BERTs called its weight `gamma` and its bias `beta`.
    pub(super) fn norm(&self, name: &str, size: usize, epsilon: f32) -> Result<LayerNorm> {
        let old = self.contains(&format!("{name}.gamma"));
        let (weight, bias) = if old {
            ("gamma", "beta")
        } else {
            ("weight", "bias")
        };
        Ok(LayerNorm {
            weight: self.get(&format!("{name}.{weight}"), &[size])?,
            bias: Some(self.get(&format!("{name}.{bias}"), &[size])?),
            epsilon,
            kind: NormKind::Centred,
        })
    }

    /// Returns a norm without a bias.
    pub(super) fn plain_norm(
        &self,
        name: &str,
        size: usize,
        epsilon: f32,
        kind: NormKind,
    ) -> Result<LayerNorm> {
        Ok(LayerNorm {
            weight: self.get(&format!("{name}.weight"), &[size])?,
            bias: None,
            epsilon,
            kind,
        })
    }

    /// Returns matrices of the same sides that are stored one below the other in `<name>.weight`.
    pub(super) fn linear_parts<const N: usize>(
        &self,
        name: &str,
        [rows, inputs]: [usize; 2],
        bias: bool,
    ) -> Result<[Linear; N]> {
        let whole = self.linear(name, [N * rows, inputs], bias)?;
        let part = |place: usize| {
            let rows = place * rows..(place + 1) * rows;
            let bias = whole.bias.as_ref().map(|bias| self.cut(bias, rows.clone()));
            Ok::<_, Error>(Linear {
                weight: self.cut(&whole.weight, rows.clone())?,
                bias: bias.transpose()?,
                layout: Layout::OutputsFirst,
            })
        };
        let parts = (0..N).map(part).collect::<Result<Vec<_>>>()?;
        <[Linear; N]>::try_from(parts)
            .map_err(|_| self.fault(format!("has too few rows in the tensor `{name}.weight`")))
    }

    fn fault(&self, problem: String) -> Error {
        broken(&self.place, &problem)
    }
}

fn index_of(name: &str) -> String {
    format!("{name}.index.json")
}

/// Lists the files that an index names.
fn shards(index: &Path, folder: &Path) -> Result<Vec<PathBuf>> {
    let ShardIndex { weight_map } = super::read_json(index)?;
    let mut names: Vec<_> = weight_map.into_values().collect();
    names.sort_unstable();
    names.dedup();
    if names.iter().any(|name| Path::new(name).components().count() != 1) {
        return Err(broken(index, "names a file outside its folder"));
    }
    Ok(names.into_iter().map(|name| folder.join(name)).collect())
}
