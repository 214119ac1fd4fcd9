//! The text tower of a checkpoint, in memory.

use std::collections::BTreeMap;

use lucida_core::{Error, Result};
use lucida_models::Tower;
use lucida_models::checkpoint::Tokens;
use ort::session::Session;
use ort::value::TensorRef;

use super::blocks::OUTPUT;
use super::image_tower::for_each;
use super::packing::{Packing, shared_slots};
use super::text_graph::INPUTS;
use crate::error::internal;

/// Texts to vectors.
pub(crate) struct TextTower {
    session: Session,
    packing: Packing,
    /// Whether a run may take several texts.
    together: bool,
    dimensions: usize,
}

impl TextTower {
    pub(super) const fn new(session: Session, packing: Packing, dimensions: usize, together: bool) -> Self {
        Self {
            session,
            packing,
            together,
            dimensions,
        }
    }

    fn run(&mut self, texts: &[&Tokens], slots: usize) -> Result<Vec<Vec<f32>>> {
        let running = |error| internal("running the text tower", error);
        let packed = self.packing.pack(texts, slots);
        let (tokens, count) = (packed.ids.len(), texts.len());
        let [masks, askers] = packed.mask_sides;
        let poolings = packed.weights.len() / (count * slots);
        let [ids, positions, rows, slot_of, mask, weights] = INPUTS;
        let inputs = ort::inputs![
            ids => TensorRef::from_array_view(([tokens], &packed.ids[..])).map_err(running)?,
            positions => TensorRef::from_array_view(([tokens], &packed.positions[..])).map_err(running)?,
            rows => TensorRef::from_array_view(([count, slots], &packed.rows[..])).map_err(running)?,
            slot_of => TensorRef::from_array_view(([tokens], &packed.slots[..])).map_err(running)?,
            mask => TensorRef::from_array_view(([masks, 1, askers, slots], &packed.mask[..])).map_err(running)?,
            weights => TensorRef::from_array_view(([count, poolings, 1, slots], &packed.weights[..]))
                .map_err(running)?,
        ];
        let outputs = self.session.run(inputs).map_err(running)?;
        let (_, vectors) = outputs[OUTPUT].try_extract_tensor::<f32>().map_err(running)?;
        Ok(vectors
            .chunks_exact(self.dimensions)
            .map(<[f32]>::to_vec)
            .collect())
    }
}

impl Tower for TextTower {
    type Input = Tokens;

    fn embed(&mut self, batch: &[Tokens]) -> Vec<Result<Vec<f32>>> {
        if !self.together {
            let one = |text: &Tokens| {
                let vectors = self.run(&[text], text.ids().len());
                for_each(1, vectors)
            };
            return batch.iter().flat_map(one).collect();
        }
        let mut by_slots: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for (place, text) in batch.iter().enumerate() {
            by_slots
                .entry(shared_slots(text.ids().len()))
                .or_default()
                .push(place);
        }
        let mut results: Vec<_> = batch
            .iter()
            .map(|_| Err(Error::internal("a text was left out")))
            .collect();
        for (slots, places) in by_slots {
            let texts: Vec<_> = places.iter().map(|&place| &batch[place]).collect();
            let vectors = self.run(&texts, slots);
            for (place, vector) in places.iter().zip(for_each(places.len(), vectors)) {
                results[*place] = vector;
            }
        }
        results
    }

    fn cost(text: &Tokens) -> usize {
        text.ids().len()
    }

    fn token_count(tokens: &Tokens) -> Option<usize> {
        Some(tokens.unpadded())
    }
}
