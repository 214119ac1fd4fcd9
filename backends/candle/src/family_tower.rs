//! A text tower whose encoder is a module of candle-transformers, on the processor or a graphics card.

use std::sync::Arc;

use candle_core::{DType, Device, Module as _, Result, Tensor};
use candle_nn::VarBuilder;
use candle_transformers::models::bert::BertModel;
use candle_transformers::models::clip::text_model::ClipTextTransformer;
use candle_transformers::models::modernbert::ModernBert;
use candle_transformers::models::nomic_bert::NomicBertModel;
use candle_transformers::models::openclip::text_model::OpenClipTextTransformer;
use candle_transformers::models::{qwen3, siglip};
use lucida_core::Error;
use lucida_models::Tower;
use lucida_models::checkpoint::{Pooling, TextTower, Tokens};
use rayon::ThreadPool;

use crate::columns::Columns;
use crate::encoder::Head;
use crate::error::per_input;
use crate::families;
use crate::modules::Config;
use crate::pooling::pool;

/// A module with its weights.
enum Module {
    ModernBert(ModernBert),
    NomicBert(NomicBertModel),
    Qwen3(qwen3::Model),
    Bert(BertModel),
    Clip(ClipTextTransformer),
    OpenClip(OpenClipTextTransformer),
    Siglip(siglip::TextModel),
}

impl Module {
    fn load(config: &Config, builder: VarBuilder<'_>) -> Result<Self> {
        Ok(match config {
            Config::ModernBert(config) => Self::ModernBert(ModernBert::load(builder, config)?),
            Config::NomicBert(config) => Self::NomicBert(NomicBertModel::load(builder, config)?),
            Config::Qwen3(config) => Self::Qwen3(qwen3::Model::new(config, builder)?),
            Config::Bert(config) => Self::Bert(BertModel::load(builder, config)?),
            Config::Clip(config) => Self::Clip(ClipTextTransformer::new(builder, config)?),
            Config::OpenClip(config) => Self::OpenClip(OpenClipTextTransformer::new(builder, config)?),
            Config::Siglip(config) => Self::Siglip(siglip::TextModel::new(config, builder)?),
        })
    }

    /// Computes a text's rows, `(1, s, h)`, from its ids, `(1, s)`.
    fn forward(&self, ids: &Tensor) -> Result<Output> {
        let rows = match self {
            Self::ModernBert(module) => {
                let seen = Tensor::ones(ids.shape(), DType::U32, ids.device())?;
                module.forward(ids, &seen)?
            }
            Self::NomicBert(module) => module.forward(ids, None, None)?,
            // The module remembers the texts that it has seen; a copy shares its weights, and remembers none.
            Self::Qwen3(module) => module.clone().forward(ids, 0)?,
            Self::Bert(module) => module.forward(ids, &ids.zeros_like()?, None)?,
            Self::Clip(module) => module.forward_with_mask(ids, usize::MAX)?,
            Self::OpenClip(module) => module.forward(ids)?,
            Self::Siglip(module) => return module.forward(ids).map(Output::Vector),
        };
        Ok(Output::Rows(rows))
    }
}

/// What a module computes of a text.
enum Output {
    /// `(1, s, h)`, still to be pooled and projected.
    Rows(Tensor),
    /// `(1, d)`.
    Vector(Tensor),
}

/// A text tower whose encoder is a module of candle-transformers.
pub struct FamilyTower {
    threads: Arc<ThreadPool>,
    device: Device,
    module: Module,
    vocabulary: usize,
    pooling: Vec<Pooling>,
    head: Head,
}

impl FamilyTower {
    /// Loads a tower; its weights are copied, as f32.
    ///
    /// # Errors
    /// `Internal` where loading fails, naming the tensor.
    pub(crate) fn load(
        tower: &TextTower,
        config: &Config,
        threads: Arc<ThreadPool>,
        device: &Device,
    ) -> lucida_core::Result<Self> {
        let builder = families::named(tower, config).into_builder(device);
        let module = Module::load(config, builder);
        let module =
            module.map_err(|error| Error::internal("loading the text tower failed").with_source(error))?;
        Ok(Self {
            threads,
            device: device.clone(),
            module,
            vocabulary: tower.embedding.tokens.shape()[0],
            pooling: tower.pooling.clone(),
            head: Head::new(tower.projection.as_ref(), &tower.dense),
        })
    }

    /// Computes one text by itself, so that its vector has the same bits whatever is beside it.
    fn vector(&self, tokens: &Tokens) -> Result<Vec<Vec<f32>>> {
        let ids = tokens.ids();
        let input = Tensor::new(ids, &self.device)?.unsqueeze(0)?;
        let rows = match self.module.forward(&input)? {
            Output::Rows(rows) => rows,
            Output::Vector(vector) => return vector.to_vec2(),
        };
        let columns = Columns::of([ids.len()]);
        let rows = rows.squeeze(0)?.to_device(&Device::Cpu)?;
        let rows = rows.t()?.pad_with_zeros(1, 0, columns.width() - ids.len())?;
        let pooled = pool(&rows.contiguous()?, &columns, &self.pooling, &[tokens])?;
        self.head.vectors(&pooled, 1)
    }

    fn embed_one(&self, tokens: &Tokens) -> lucida_core::Result<Vec<f32>> {
        // A tokenizer may know more tokens than its model.
        if let Some(id) = tokens.ids().iter().find(|&&id| id as usize >= self.vocabulary) {
            let message = format!(
                "the tokenizer gives token {id}, and the model has {}",
                self.vocabulary
            );
            return Err(Error::internal(message));
        }
        let vectors = self.threads.install(|| self.vector(tokens));
        let missing = || Err(Error::internal("the text tower gave no vector"));
        per_input(vectors, 1, "running the text tower")
            .pop()
            .unwrap_or_else(missing)
    }
}

impl Tower for FamilyTower {
    type Input = Tokens;

    fn embed(&mut self, batch: &[Tokens]) -> Vec<lucida_core::Result<Vec<f32>>> {
        batch.iter().map(|tokens| self.embed_one(tokens)).collect()
    }

    fn cost(tokens: &Tokens) -> usize {
        tokens.ids().len()
    }

    fn token_count(tokens: &Tokens) -> Option<usize> {
        Some(tokens.unpadded())
    }
}
