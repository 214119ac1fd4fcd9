//! From the columns of an input's tokens to one column for the input.

use candle_core::{Device, Result, Tensor};
use lucida_models::checkpoint::{Pooling, Tokens};

use crate::columns::Columns;

/// Makes one column of each text's, several poolings below each other: `(h, columns)` to `(poolings · h, texts)`, with
/// columns of 0 behind.
pub(crate) fn pool(x: &Tensor, columns: &Columns, pooling: &[Pooling], batch: &[&Tokens]) -> Result<Tensor> {
    let parts = pooling.iter().map(|&pooling| {
        let rows: Vec<_> = batch.iter().map(|tokens| pooling.row(tokens)).collect();
        each(x, columns, |text, tokens| match rows[text] {
            Some(row) => tokens[row],
            None => fold(pooling, tokens, batch[text].unpooled()),
        })
    });
    Tensor::cat(&parts.collect::<Result<Vec<_>>>()?, 0)
}

/// Takes the first column of each input: `(h, columns)` to `(h, inputs)`, with columns of 0 behind.
pub(crate) fn first(x: &Tensor, columns: &Columns) -> Result<Tensor> {
    each(x, columns, |_, tokens| tokens[0])
}

/// Takes the mean of each input's columns from `first` on: `(h, columns)` to `(h, inputs)`, with columns of 0 behind.
pub(crate) fn mean(x: &Tensor, columns: &Columns, first: usize) -> Result<Tensor> {
    each(x, columns, |_, tokens| fold(Pooling::Mean, tokens, first))
}

/// Makes one number of an input's, without the first `unpooled`.
#[expect(clippy::cast_precision_loss, reason = "no text has 2^24 tokens")]
fn fold(pooling: Pooling, tokens: &[f32], unpooled: usize) -> f32 {
    let tokens = &tokens[unpooled..];
    let count = tokens.len() as f32;
    match pooling {
        Pooling::Mean => tokens.iter().sum::<f32>() / count,
        Pooling::MeanSqrtLength => tokens.iter().sum::<f32>() / count.sqrt(),
        Pooling::WeightedMean => {
            let mut place = unpooled as f32;
            let sum = tokens.iter().fold(0.0, |sum, number| {
                place += 1.0;
                sum + place * number
            });
            // The places from `unpooled + 1` to the last.
            sum / (count * (unpooled as f32 + place + 1.0) / 2.0)
        }
        Pooling::Max => tokens.iter().copied().fold(f32::NEG_INFINITY, f32::max),
        Pooling::First | Pooling::Last | Pooling::Token(_) | Pooling::LargestToken => tokens[0],
    }
}

/// Computes one number of each input, given by its place in the batch, from what a row has for it.
fn each(x: &Tensor, columns: &Columns, number: impl Fn(usize, &[f32]) -> f32) -> Result<Tensor> {
    let (height, width) = x.dims2()?;
    let numbers = x.flatten_all()?.to_vec1::<f32>()?;
    let inputs = columns.inputs();
    let target_width = Columns::of(inputs.iter().map(|_| 1)).width();
    let mut result = vec![0.0; height * target_width];
    for (result, numbers) in result
        .chunks_exact_mut(target_width)
        .zip(numbers.chunks_exact(width))
    {
        for (place, (result, input)) in result.iter_mut().zip(inputs).enumerate() {
            *result = number(place, &numbers[input.clone()]);
        }
    }
    Tensor::from_vec(result, (height, target_width), &Device::Cpu)
}
