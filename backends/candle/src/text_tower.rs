//! The half that takes texts.

use std::sync::Arc;

use candle_core::{Device, Result, Tensor};
use lucida_core::Error;
use lucida_models::Tower;
use lucida_models::checkpoint::{self, Pooling, TokenEmbedding, Tokens};
use rayon::ThreadPool;

use crate::columns::Columns;
use crate::encoder::{Encoder, Head};
use crate::error::per_input;
use crate::norm::LayerNorm;
use crate::pooling::pool;

/// A text tower, ready to run.
pub struct TextTower {
    threads: Arc<ThreadPool>,
    /// The tables stay in their files: a text needs a few rows of them.
    embedding: TokenEmbedding,
    embedding_norm: Option<LayerNorm>,
    encoder: Encoder,
    final_norm: Option<LayerNorm>,
    pooling: Vec<Pooling>,
    head: Head,
}

impl TextTower {
    pub(crate) fn new(tower: &checkpoint::TextTower, threads: Arc<ThreadPool>) -> Self {
        Self {
            threads,
            embedding: tower.embedding.clone(),
            embedding_norm: tower.embedding.norm.as_ref().map(LayerNorm::new),
            encoder: Encoder::new(&tower.encoder),
            final_norm: tower.final_norm.as_ref().map(LayerNorm::new),
            pooling: tower.pooling.clone(),
            head: Head::new(tower.projection.as_ref(), &tower.dense),
        }
    }

    /// Checks that the table has every token: a tokenizer may know more of them than its model.
    fn check(&self, tokens: &Tokens) -> lucida_core::Result<()> {
        let table = &self.embedding.tokens;
        let size = table.shape()[0];
        match tokens.ids().iter().find(|&&id| id as usize >= size) {
            None => Ok(()),
            Some(id) => Err(Error::internal(format!(
                "the tokenizer gives token {id}, and `{}` has {size}",
                table.name()
            ))),
        }
    }

    fn vectors(&self, batch: &[&Tokens]) -> Result<Vec<Vec<f32>>> {
        if batch.is_empty() {
            return Ok(Vec::new());
        }
        let columns = Columns::of(batch.iter().map(|tokens| tokens.ids().len()));
        let mut x = self.embed_tokens(batch, &columns)?;
        if let Some(norm) = &self.embedding_norm {
            x = norm.forward(&x)?;
        }
        x = self.encoder.forward(x, &columns)?;
        if let Some(norm) = &self.final_norm {
            x = norm.forward(&x)?;
        }
        let pooled = pool(&x, &columns, &self.pooling, batch)?;
        self.head.vectors(&pooled, batch.len())
    }

    /// Sums each token's embeddings: `(h, columns)`.
    fn embed_tokens(&self, batch: &[&Tokens], columns: &Columns) -> Result<Tensor> {
        let TokenEmbedding {
            tokens: table,
            // Of a family that candle-transformers runs.
            scale: _,
            positions,
            first_position,
            types,
            norm: _,
        } = &self.embedding;
        let (hidden, width) = (table.shape()[1], columns.width());
        let row = |table: &checkpoint::Tensor, row: usize| match table.row_to_f32(row) {
            Some(numbers) => Ok(numbers),
            None => candle_core::bail!("`{}` has no row {row}", table.name()),
        };
        let kind = types.as_ref().map(|types| row(types, 0)).transpose()?;
        let mut x = vec![0.0; hidden * width];
        for (tokens, input) in batch.iter().zip(columns.inputs()) {
            for (place, (&id, column)) in tokens.ids().iter().zip(input.clone()).enumerate() {
                let token = row(table, id as usize)?;
                let position = positions
                    .as_ref()
                    .map(|positions| row(positions, first_position + place))
                    .transpose()?;
                for part in std::iter::once(&token).chain(&position).chain(&kind) {
                    let numbers = x.iter_mut().skip(column).step_by(width);
                    numbers.zip(part).for_each(|(sum, number)| *sum += number);
                }
            }
        }
        Tensor::from_vec(x, (hidden, width), &Device::Cpu)
    }
}

impl Drop for TextTower {
    fn drop(&mut self) {
        self.embedding.tokens.release_pages();
        if let Some(positions) = &self.embedding.positions {
            positions.release_pages();
        }
    }
}

impl Tower for TextTower {
    type Input = Tokens;

    fn embed(&mut self, batch: &[Tokens]) -> Vec<lucida_core::Result<Vec<f32>>> {
        let checks: Vec<_> = batch.iter().map(|tokens| self.check(tokens)).collect();
        let sound: Vec<_> = batch
            .iter()
            .zip(&checks)
            .filter_map(|(tokens, check)| check.is_ok().then_some(tokens))
            .collect();
        let vectors = self.threads.install(|| self.vectors(&sound));
        let mut vectors = per_input(vectors, sound.len(), "running the text tower").into_iter();
        let missing = || Err(Error::internal("the text tower gave too few vectors"));
        checks
            .into_iter()
            .map(|check| check.and_then(|()| vectors.next().unwrap_or_else(missing)))
            .collect()
    }

    fn cost(tokens: &Tokens) -> usize {
        tokens.ids().len()
    }

    fn token_count(tokens: &Tokens) -> Option<usize> {
        Some(tokens.unpadded())
    }
}
