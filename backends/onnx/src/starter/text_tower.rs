//! The text half: MiniLM on the tokens of one text, averaged inside the graph.

use lucida_core::{Error, Result, Token};
use lucida_models::Tower;
use ort::session::Session;
use ort::value::TensorRef;
use tokenizers::{Encoding, Tokenizer, TruncationParams};

use super::manifest::{Manifest, broken};
use crate::device::Compute;
use crate::error::internal;
use crate::runtime::Runtime;
use crate::session;

pub(super) const GRAPH_FILE: &str = "text.onnx";
const TOKENIZER_FILE: &str = "tokenizer.json";
const INPUTS: [&str; 3] = ["input_ids", "attention_mask", "token_type_ids"];
const OUTPUT: &str = "sentence_embedding";

/// The tokenizer.
pub(super) struct Words {
    tokenizer: Tokenizer,
}

impl Words {
    /// Reads the tokenizer, sets its truncation and takes its padding off: a text is never padded here.
    ///
    /// # Errors
    /// `Unavailable` or `Internal`, naming the file.
    pub(super) fn read(manifest: &Manifest) -> Result<Self> {
        let bytes = manifest.read_file(TOKENIZER_FILE)?;
        let unusable = |error: tokenizers::Error| {
            broken(&manifest.path(TOKENIZER_FILE), "can't be used").with_source(error)
        };
        let mut tokenizer = Tokenizer::from_bytes(&bytes).map_err(unusable)?;
        let truncation = TruncationParams {
            max_length: manifest.max_tokens(),
            ..TruncationParams::default()
        };
        tokenizer
            .with_padding(None)
            .with_truncation(Some(truncation))
            .map_err(unusable)?;
        Ok(Self { tokenizer })
    }

    /// Tokenizes a text, with its special tokens, cut at the recipe's length.
    pub(super) fn tokenize(&self, text: &str) -> Result<Tokens> {
        let encoding = self.encode(text)?;
        Ok(Tokens(
            encoding.get_ids().iter().map(|&id| i64::from(id)).collect(),
        ))
    }

    /// Tokenizes a text and shows the spelling of its tokens.
    pub(super) fn show(&self, text: &str) -> Result<Vec<Token>> {
        let encoding = self.encode(text)?;
        let tokens = encoding.get_ids().iter().zip(encoding.get_special_tokens_mask());
        Ok(tokens
            .map(|(&id, &special)| Token {
                id,
                text: self.tokenizer.id_to_token(id).unwrap_or_default(),
                special: special != 0,
            })
            .collect())
    }

    fn encode(&self, text: &str) -> Result<Encoding> {
        self.tokenizer
            .encode_fast(text, true)
            .map_err(|error| Error::invalid("the text can't be split into tokens").with_source(error))
    }
}

/// A text as the model sees it: `(tokens,)` i64.
pub(crate) struct Tokens(Vec<i64>);

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

    fn embed_one(&mut self, Tokens(ids): &Tokens) -> Result<Vec<f32>> {
        let running = |error| internal("running the text model", error);
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
}
