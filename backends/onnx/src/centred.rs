//! Texts whose vectors are centred: the layer normalisation without weights of nomic-embed-text v1.5, `F.layer_norm`. Its scale
//! doesn't count, since every vector gets unit length after it.

use lucida_core::{EmbedderInfo, Picture, Result, Token};
use lucida_models::{Model, TextInput, Tower};

/// A model whose text vectors have the mean of their numbers subtracted.
pub(crate) struct Centred<M>(pub(crate) M);

/// Its text tower.
pub(crate) struct CentredTower<T>(T);

impl<T: Tower> Tower for CentredTower<T> {
    type Input = T::Input;

    fn embed(&mut self, batch: &[T::Input]) -> Vec<Result<Vec<f32>>> {
        let vectors = self.0.embed(batch).into_iter();
        vectors.map(|vector| vector.map(centred)).collect()
    }

    fn cost(input: &T::Input) -> usize {
        T::cost(input)
    }

    fn token_count(input: &T::Input) -> Option<usize> {
        T::token_count(input)
    }
}

#[expect(clippy::cast_precision_loss, reason = "no vector has 2^24 numbers")]
fn centred(mut vector: Vec<f32>) -> Vec<f32> {
    let mean = vector.iter().sum::<f32>() / vector.len() as f32;
    for number in &mut vector {
        *number -= mean;
    }
    vector
}

impl<M: Model> Model for Centred<M> {
    type Visual = M::Visual;
    type Textual = CentredTower<M::Textual>;

    fn describe(&self) -> EmbedderInfo {
        self.0.describe()
    }

    fn weight_bytes(&self) -> Option<u64> {
        self.0.weight_bytes()
    }

    fn tokenize(&self, text: TextInput<'_>) -> Result<Vec<Token>> {
        self.0.tokenize(text)
    }

    fn decode_tokens(&self, ids: &[u32]) -> Result<String> {
        self.0.decode_tokens(ids)
    }

    fn prepare_image(&self, picture: &Picture) -> Result<<Self::Visual as Tower>::Input> {
        self.0.prepare_image(picture)
    }

    fn prepare_text(&self, text: TextInput<'_>) -> Result<<Self::Textual as Tower>::Input> {
        self.0.prepare_text(text)
    }

    fn load_visual(&self) -> Result<Self::Visual> {
        self.0.load_visual()
    }

    fn load_textual(&self) -> Result<Self::Textual> {
        Ok(CentredTower(self.0.load_textual()?))
    }
}
