//! What makes two models the same one: their numbers, whatever the folder, the name and the kind of file they come from.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicUsize, Ordering};

use lucida_core::{Error, Result};

use super::broken;
use super::tensor::Tensor;
use super::tower::{
    Attention, Encoder, ImagePooling, ImageTower, LayerNorm, Linear, PatchEmbedding, ScoreBias, TextTower,
};

/// How much of a file is read at once.
const BLOCK_BYTES: usize = 1 << 20;

/// A hash over every number of a tower.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WeightsId([u8; 32]);

impl WeightsId {
    /// Hashes tensors in their order, whatever they are called, on every core. The files are read and not mapped, so that their pages count for nobody's memory.
    ///
    /// # Errors
    /// `Internal`, naming the file that can't be read.
    pub fn of(tensors: &[&Tensor]) -> Result<Self> {
        let next = AtomicUsize::new(0);
        let threads = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
        let work = || {
            let mut hashes = Vec::new();
            let mut block = vec![0; BLOCK_BYTES];
            loop {
                let place = next.fetch_add(1, Ordering::Relaxed);
                let Some(tensor) = tensors.get(place) else {
                    return Ok(hashes);
                };
                let hash = hash(tensor, &mut block)
                    .map_err(|error| broken(tensor.file(), "can't be read").with_source(error))?;
                hashes.push((place, hash));
            }
        };
        let hashes: Result<Vec<_>> = std::thread::scope(|scope| {
            let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
            let done = workers.into_iter().map(|worker| {
                worker
                    .join()
                    .unwrap_or_else(|_| Err(Error::internal("hashing the weights panicked")))
            });
            done.collect()
        });
        let mut hashes = hashes?.concat();
        hashes.sort_unstable_by_key(|(place, _)| *place);
        let mut whole = blake3::Hasher::new_derive_key("lucida 2026 weights of a tower v1");
        for (_, hash) in hashes {
            whole.update(hash.as_bytes());
        }
        Ok(Self(*whole.finalize().as_bytes()))
    }

    /// Returns the hash.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

fn hash(tensor: &Tensor, block: &mut [u8]) -> io::Result<blake3::Hash> {
    let mut hasher = blake3::Hasher::new();
    hasher.update(tensor.element_type().as_str().as_bytes());
    for &side in tensor.shape() {
        hasher.update(&(side as u64).to_le_bytes());
    }
    let mut file = File::open(tensor.file())?;
    file.seek(SeekFrom::Start(tensor.offset_bytes() as u64))?;
    let mut left = tensor.size_bytes();
    while left > 0 {
        let block = &mut block[..left.min(BLOCK_BYTES)];
        file.read_exact(block)?;
        hasher.update(block);
        left -= block.len();
    }
    Ok(hasher.finalize())
}

impl ImageTower {
    /// Lists every tensor.
    #[must_use]
    pub fn tensors(&self) -> Vec<&Tensor> {
        let PatchEmbedding {
            weight,
            bias,
            class,
            positions,
            image_size_pixels: _,
            patch_size_pixels: _,
        } = &self.patches;
        let mut list: Vec<_> = std::iter::once(weight).chain(bias).chain(class).collect();
        list.push(positions);
        if let Some(each) = &self.pre_norm {
            norm(&mut list, each);
        }
        encoder(&mut list, &self.encoder);
        if let Some(each) = &self.rows_norm {
            norm(&mut list, each);
        }
        if let ImagePooling::Attention(pool) = &self.pooling {
            list.push(&pool.probe);
            attention(&mut list, &pool.attention);
            norm(&mut list, &pool.norm);
            linear(&mut list, &pool.up);
            linear(&mut list, &pool.down);
        }
        if let Some(each) = &self.post_norm {
            norm(&mut list, each);
        }
        if let Some(each) = &self.projection {
            linear(&mut list, each);
        }
        list
    }
}

impl TextTower {
    /// Lists every tensor.
    #[must_use]
    pub fn tensors(&self) -> Vec<&Tensor> {
        let mut list = vec![&self.embedding.tokens];
        list.extend(&self.embedding.positions);
        list.extend(&self.embedding.types);
        for each in self.embedding.norm.iter().chain(&self.final_norm) {
            norm(&mut list, each);
        }
        encoder(&mut list, &self.encoder);
        for each in self
            .projection
            .iter()
            .chain(self.dense.iter().map(|step| &step.linear))
        {
            linear(&mut list, each);
        }
        list
    }
}

fn encoder<'a>(list: &mut Vec<&'a Tensor>, encoder: &'a Encoder) {
    for layer in &encoder.layers {
        attention(list, &layer.attention);
        linear(list, &layer.up);
        if let Some(gate) = &layer.gate {
            linear(list, gate);
        }
        linear(list, &layer.down);
        if let Some(each) = &layer.attention_norm {
            norm(list, each);
        }
        norm(list, &layer.feed_forward_norm);
        if let Some(norms) = &layer.output_norms {
            norm(list, &norms.attention);
            norm(list, &norms.feed_forward);
        }
    }
    if let Some(ScoreBias::Buckets(buckets)) = &encoder.bias {
        list.push(&buckets.table);
    }
}

fn attention<'a>(list: &mut Vec<&'a Tensor>, attention: &'a Attention) {
    for each in [
        &attention.query,
        &attention.key,
        &attention.value,
        &attention.output,
    ] {
        linear(list, each);
    }
    if let Some(norms) = &attention.head_norms {
        norm(list, &norms.query);
        norm(list, &norms.key);
    }
}

fn linear<'a>(list: &mut Vec<&'a Tensor>, linear: &'a Linear) {
    list.push(&linear.weight);
    list.extend(&linear.bias);
}

fn norm<'a>(list: &mut Vec<&'a Tensor>, norm: &'a LayerNorm) {
    list.push(&norm.weight);
    list.extend(&norm.bias);
}
