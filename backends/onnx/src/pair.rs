//! Two models as one: pictures by the first, texts by the second, which is in the same space.

use lucida_core::{EmbedderInfo, Modalities, Picture, Result, Token};
use lucida_models::{Model, TextInput, Tower};

/// A model with the image tower of one and the text tower of another.
pub(crate) struct Pair<V, T> {
    /// Its pictures' vectors are what an index holds, so it is what the pair is known by.
    pub(crate) visual: V,
    pub(crate) textual: T,
}

impl<V: Model, T: Model> Model for Pair<V, T> {
    type Visual = V::Visual;
    type Textual = T::Textual;

    fn describe(&self) -> EmbedderInfo {
        let (visual, textual) = (self.visual.describe(), self.textual.describe());
        EmbedderInfo {
            modalities: Modalities {
                image: visual.modalities.image,
                text: textual.modalities.text,
            },
            max_text_bytes: textual.max_text_bytes,
            texts: textual.texts,
            ..visual
        }
    }

    fn weight_bytes(&self) -> Option<u64> {
        Some(self.visual.weight_bytes()? + self.textual.weight_bytes()?)
    }

    fn tokenize(&self, text: TextInput<'_>) -> Result<Vec<Token>> {
        self.textual.tokenize(text)
    }

    fn decode_tokens(&self, ids: &[u32]) -> Result<String> {
        self.textual.decode_tokens(ids)
    }

    fn prepare_image(&self, picture: &Picture) -> Result<<Self::Visual as Tower>::Input> {
        self.visual.prepare_image(picture)
    }

    fn prepare_text(&self, text: TextInput<'_>) -> Result<<Self::Textual as Tower>::Input> {
        self.textual.prepare_text(text)
    }

    fn load_visual(&self) -> Result<Self::Visual> {
        self.visual.load_visual()
    }

    fn load_textual(&self) -> Result<Self::Textual> {
        self.textual.load_textual()
    }
}
