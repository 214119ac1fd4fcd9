//! The text half: MiniLM on the tokens of one text, averaged inside the graph.

use lucida_core::Result;
use lucida_models::Tower;
use lucida_models::checkpoint::{TextTokenizer, Tokens};
use ort::session::Session;
use ort::value::TensorRef;

use super::manifest::Manifest;
use crate::device::Compute;
use crate::error::internal;
use crate::runtime::Runtime;
use crate::session;

pub(super) const GRAPH_FILE: &str = "text.onnx";
const TOKENIZER_FILE: &str = "tokenizer.json";
const INPUTS: [&str; 3] = ["input_ids", "attention_mask", "token_type_ids"];
const OUTPUT: &str = "sentence_embedding";

/// Reads the tokenizer. Its own padding doesn't count: a text is never padded here.
///
/// # Errors
/// `Unavailable` or `Internal`, naming the file.
pub(super) fn read_tokenizer(manifest: &Manifest) -> Result<TextTokenizer> {
    let bytes = manifest.read_file(TOKENIZER_FILE)?;
    TextTokenizer::from_bytes(&bytes, &manifest.path(TOKENIZER_FILE), manifest.max_tokens())
}

/// The text model in memory.
pub(crate) struct TextTower {
    session: Session,
}

impl TextTower {
    pub(super) fn load(manifest: &Manifest, runtime: &Runtime, compute: Compute) -> Result<Self> {
        let bytes = manifest.read_file(GRAPH_FILE)?;
        let file = manifest.path(GRAPH_FILE).display().to_string();
        let session = session::open(runtime, &file, bytes, compute, &INPUTS, OUTPUT)?;
        Ok(Self { session })
    }

    fn embed_one(&mut self, tokens: &Tokens) -> Result<Vec<f32>> {
        let running = |error| internal("running the text model", error);
        let ids: Vec<_> = tokens.ids().iter().map(|&id| i64::from(id)).collect();
        let (ones, zeros) = (vec![1_i64; ids.len()], vec![0_i64; ids.len()]);
        let row = |numbers| TensorRef::from_array_view(([1, ids.len()], numbers)).map_err(running);
        let [id_input, mask_input, type_input] = INPUTS;
        let inputs = ort::inputs![
            id_input => row(&ids[..])?,
            mask_input => row(&ones[..])?,
            type_input => row(&zeros[..])?,
        ];
        let outputs = self.session.run(inputs).map_err(running)?;
        let (_, vector) = outputs[OUTPUT].try_extract_tensor::<f32>().map_err(running)?;
        Ok(vector.to_vec())
    }
}

impl Tower for TextTower {
    type Input = Tokens;

    fn embed(&mut self, batch: &[Tokens]) -> Vec<Result<Vec<f32>>> {
        batch.iter().map(|tokens| self.embed_one(tokens)).collect()
    }

    fn token_count(tokens: &Tokens) -> Option<usize> {
        Some(tokens.unpadded())
    }
}
