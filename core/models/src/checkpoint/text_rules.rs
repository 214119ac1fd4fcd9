//! How the texts of a model are split, as the folder and its family say.

use std::path::Path;

use lucida_core::Result;
use serde::Deserialize;

use super::jina_clip::JinaClipConfig;
use super::kind::Kind;
use super::tokenizer::{Cleaning, Padding, TextRules};
use super::weights::Weights;
use super::{family, modules, read_json};

/// Returns the rules of a model, without the limit of a configuration; `None` for one without a text tower.
///
/// `model` is the folder with the tokenizer, `pooling` that of the pooling, in a model that has one.
///
/// # Errors
/// Those of [`super::ModelFolder::open`].
pub(super) fn of(kind: &Kind, model: &Path, pooling: Option<&Path>) -> Result<Option<TextRules>> {
    let sentences = |max_positions: usize| sentence_rules(model, pooling, max_positions);
    Ok(Some(match kind {
        Kind::Clip(config) => {
            let Some(text) = &config.text else {
                return Ok(None);
            };
            let sees_padding = config.is_bare && !Weights::are_in(model);
            TextRules {
                max_positions: text.max_position_embeddings,
                max_tokens: None,
                cleaning: Cleaning::None,
                padding: sees_padding.then_some(Padding::Own),
                excludes_prompt: false,
                limit: None,
            }
        }
        Kind::Siglip(config) => {
            let Some(text) = &config.text else {
                return Ok(None);
            };
            // Whatever else the tokenizer says: the model was trained with texts of this length.
            let length = text.max_position_embeddings;
            fixed(length, family::siglip_cleaning(model)?, Some(Padding::Own))
        }
        Kind::OpenClip(config) => {
            let padding = if config.has_own_tokenizer() {
                Padding::Zero
            } else {
                Padding::Own
            };
            fixed(
                config.context_length(),
                open_clip_cleaning(config.canonicalizes()),
                config.sees_padding().then_some(padding),
            )
        }
        // Padded as Immich does, whatever the model sees of it: some graphs take texts of this length only.
        Kind::Immich(config) => fixed(
            config.context_length,
            open_clip_cleaning(config.canonicalizes),
            Some(Padding::Own),
        ),
        Kind::JinaClip(_) => {
            let (most, usual) = JinaClipConfig::token_limits();
            let rules = sentences(most)?;
            TextRules {
                max_tokens: rules.max_tokens.or(Some(usual)),
                ..rules
            }
        }
        Kind::NomicVision(_) => return Ok(None),
        Kind::ChineseClip(config) => sentences(config.max_tokens())?,
        Kind::Encoder(config) => sentences(config.max_tokens())?,
        Kind::Rotary(config) => sentences(config.max_tokens)?,
        Kind::Exported(config) => sentences(config.max_tokens)?,
    }))
}

/// Returns the rules of a model whose texts have one length at most, whatever its tokenizer says.
const fn fixed(length: usize, cleaning: Cleaning, padding: Option<Padding>) -> TextRules {
    TextRules {
        max_positions: length,
        max_tokens: Some(length),
        cleaning,
        padding,
        excludes_prompt: false,
        limit: None,
    }
}

const fn open_clip_cleaning(canonicalizes: bool) -> Cleaning {
    if canonicalizes {
        Cleaning::OpenClip
    } else {
        Cleaning::None
    }
}

/// Returns the rules of a model that sentence-transformers may say more of.
fn sentence_rules(model: &Path, pooling: Option<&Path>, max_positions: usize) -> Result<TextRules> {
    let file = SentenceFile::read(model)?;
    Ok(TextRules {
        max_positions,
        max_tokens: file.max_seq_length,
        cleaning: if file.do_lower_case {
            Cleaning::Lowercase
        } else {
            Cleaning::None
        },
        padding: None,
        excludes_prompt: pooling.map_or(Ok(false), modules::excludes_prompt)?,
        limit: None,
    })
}

/// `sentence_bert_config.json`, by whichever of its names.
#[derive(Debug, Default, Deserialize)]
struct SentenceFile {
    max_seq_length: Option<usize>,
    #[serde(default)]
    do_lower_case: bool,
}

impl SentenceFile {
    /// The names that sentence-transformers looks for, in its order.
    const NAMES: [&str; 5] = ["bert", "roberta", "distilbert", "camembert", "xlm-roberta"];

    fn read(folder: &Path) -> Result<Self> {
        let paths = Self::NAMES.map(|name| folder.join(format!("sentence_{name}_config.json")));
        match paths.iter().find(|path| path.is_file()) {
            Some(path) => read_json(path),
            None => Ok(Self::default()),
        }
    }
}
