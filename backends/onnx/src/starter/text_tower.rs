//! The text half: MiniLM on the tokens of one text, averaged inside the graph; another model for other languages.

use lucida_core::{Error, Result};
use lucida_models::Tower;
use lucida_models::checkpoint::{TextTokenizer, Tokens};
use ort::session::Session;
use ort::value::TensorRef;

use super::languages::LanguageTower;
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

/// A text as one of the models sees it.
pub(crate) enum Words {
    /// For MiniLM.
    English(Tokens),
    /// For the model for other languages.
    Other(Tokens),
}

/// The text model in memory, and the one for other languages if that was needed.
pub(crate) struct TextTower {
    session: Session,
    languages: Option<LanguageTower>,
}

impl TextTower {
    pub(super) fn load(
        manifest: &Manifest,
        runtime: &Runtime,
        compute: Compute,
        languages: Option<LanguageTower>,
    ) -> Result<Self> {
        let bytes = manifest.read_file(GRAPH_FILE)?;
        let file = manifest.path(GRAPH_FILE).display().to_string();
        let session = session::open(runtime, &file, bytes, compute, &INPUTS, OUTPUT)?;
        Ok(Self { session, languages })
    }

    fn embed_one(&mut self, words: &Words) -> Result<Vec<f32>> {
        match words {
            Words::English(tokens) => self.embed_english(tokens),
            Words::Other(tokens) => match &mut self.languages {
                Some(languages) => languages.embed(tokens),
                None => Err(Error::internal(
                    "a text in another language was prepared for an English model",
                )),
            },
        }
    }

    fn embed_english(&mut self, tokens: &Tokens) -> Result<Vec<f32>> {
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
    type Input = Words;

    fn embed(&mut self, batch: &[Words]) -> Vec<Result<Vec<f32>>> {
        batch.iter().map(|words| self.embed_one(words)).collect()
    }

    fn token_count(words: &Words) -> Option<usize> {
        let (Words::English(tokens) | Words::Other(tokens)) = words;
        Some(tokens.unpadded())
    }
}
