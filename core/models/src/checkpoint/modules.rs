//! sentence-transformers' `modules.json`: which steps a text takes, and the folder of each.

use std::path::{Path, PathBuf};

use lucida_core::Result;
use serde::Deserialize;

use super::activation::module_activation;
use super::tower::{Dense, Pooling};
use super::weights::Weights;
use super::{broken, read_json, unsupported};

/// The file that lists the modules.
pub(super) const MODULES_FILE: &str = "modules.json";

/// The modules of a model, in order, the ones that change nothing left out.
#[derive(Debug, Clone)]
pub(super) struct Modules {
    /// The folder of the `Transformer` or `CLIPModel`.
    pub(super) transformer: PathBuf,
    /// The folder of the `Pooling`, if there is one.
    pub(super) pooling: Option<PathBuf>,
    /// The folders of the `Dense`s.
    pub(super) dense: Vec<PathBuf>,
}

#[derive(Deserialize)]
struct Entry {
    path: String,
    #[serde(rename = "type")]
    kind: String,
}

impl Modules {
    /// Reads `modules.json` in `folder`.
    ///
    /// # Errors
    /// `Internal` for a damaged file; `Unsupported`, naming the module, for one that is not read.
    pub(super) fn read(folder: &Path) -> Result<Self> {
        let file = folder.join(MODULES_FILE);
        let entries: Vec<Entry> = read_json(&file)?;
        let mut transformer = None;
        let mut modules = Self {
            transformer: PathBuf::new(),
            pooling: None,
            dense: Vec::new(),
        };
        for Entry { path, kind } in entries {
            let place = folder.join(&path);
            let name = kind.rsplit('.').next().unwrap_or(&kind);
            match name {
                "Transformer" | "CLIPModel" if transformer.is_none() => transformer = Some(place),
                "Pooling" if modules.pooling.is_none() && modules.dense.is_empty() => {
                    modules.pooling = Some(place)
                }
                "Dense" => modules.dense.push(place),
                // Vectors are normalised at the end in any case, and nothing is dropped out at inference.
                "Normalize" | "Dropout" => {}
                _ => {
                    let problem = format!(
                        "has the module `{kind}` at this place; read are a Transformer or CLIPModel, a Pooling, then Dense, \
                         Normalize and Dropout"
                    );
                    return Err(unsupported(&file, &problem));
                }
            }
        }
        modules.transformer =
            transformer.ok_or_else(|| broken(&file, "has no Transformer and no CLIPModel"))?;
        Ok(modules)
    }
}

/// `config.json` of a `Pooling`, in its old form with a switch for each mode and in its new one.
#[derive(Deserialize)]
struct PoolingFile {
    pooling_mode: Option<PoolingMode>,
    #[serde(default)]
    pooling_mode_cls_token: bool,
    #[serde(default)]
    pooling_mode_max_tokens: bool,
    #[serde(default)]
    pooling_mode_mean_tokens: bool,
    #[serde(default)]
    pooling_mode_mean_sqrt_len_tokens: bool,
    #[serde(default)]
    pooling_mode_weightedmean_tokens: bool,
    #[serde(default)]
    pooling_mode_lasttoken: bool,
    #[serde(default = "yes")]
    include_prompt: bool,
}

/// One mode, or several.
#[derive(Deserialize)]
#[serde(untagged)]
enum PoolingMode {
    One(String),
    Many(Vec<String>),
}

/// Reads how the rows of a text become one; several ways are joined in the order of sentence-transformers' `Pooling`.
///
/// # Errors
/// `Internal` for a damaged file; `Unsupported`, naming the mode, for one that is not read.
pub(super) fn pooling(folder: &Path) -> Result<Vec<Pooling>> {
    let path = folder.join("config.json");
    let file: PoolingFile = read_json(&path)?;
    let modes = match file.pooling_mode {
        Some(PoolingMode::One(mode)) => vec![mode],
        Some(PoolingMode::Many(modes)) => modes,
        None => [
            (file.pooling_mode_cls_token, "cls"),
            (file.pooling_mode_max_tokens, "max"),
            (file.pooling_mode_mean_tokens, "mean"),
            (file.pooling_mode_mean_sqrt_len_tokens, "mean_sqrt_len_tokens"),
            (file.pooling_mode_weightedmean_tokens, "weightedmean"),
            (file.pooling_mode_lasttoken, "lasttoken"),
        ]
        .into_iter()
        .filter(|(on, _)| *on)
        .map(|(_, name)| name.to_owned())
        .collect(),
    };
    if modes.is_empty() {
        return Err(broken(&path, "names no pooling mode"));
    }
    modes.iter().map(|mode| named_pooling(&path, mode)).collect()
}

fn named_pooling(path: &Path, mode: &str) -> Result<Pooling> {
    match mode {
        "cls" => Ok(Pooling::First),
        "max" => Ok(Pooling::Max),
        "mean" => Ok(Pooling::Mean),
        "mean_sqrt_len_tokens" => Ok(Pooling::MeanSqrtLength),
        "weightedmean" => Ok(Pooling::WeightedMean),
        "lasttoken" => Ok(Pooling::Last),
        other => {
            let known = "cls, max, mean, mean_sqrt_len_tokens, weightedmean, lasttoken";
            Err(unsupported(
                path,
                &format!("has the pooling mode `{other}`; these are read: {known}"),
            ))
        }
    }
}

/// Reads whether a `Pooling` leaves out the tokens of a prompt.
///
/// # Errors
/// `Internal` for a damaged file; `Unsupported` where the largest of the other rows would be taken.
pub(super) fn excludes_prompt(folder: &Path) -> Result<bool> {
    let path = folder.join("config.json");
    let excludes = !read_json::<PoolingFile>(&path)?.include_prompt;
    if excludes && pooling(folder)?.contains(&Pooling::Max) {
        return Err(unsupported(
            &path,
            "has the pooling mode `max` and leaves out the prompt (`include_prompt`), which isn't computed together",
        ));
    }
    Ok(excludes)
}

/// `config.json` of a `Dense`.
#[derive(Deserialize)]
struct DenseFile {
    in_features: usize,
    out_features: usize,
    #[serde(default = "yes")]
    bias: bool,
    #[serde(default = "tanh")]
    activation_function: String,
}

const fn yes() -> bool {
    true
}

fn tanh() -> String {
    "torch.nn.modules.activation.Tanh".to_owned()
}

/// Reads a `Dense` and its weights.
///
/// # Errors
/// `Internal` for damaged files or a tensor that is missing or of another shape; `Unsupported` for an activation that
/// is not read.
pub(super) fn dense(folder: &Path) -> Result<Dense> {
    let path = folder.join("config.json");
    let file: DenseFile = read_json(&path)?;
    let weights = Weights::open(folder)?;
    Ok(Dense {
        linear: weights.linear("linear", [file.out_features, file.in_features], file.bias)?,
        activation: module_activation(&path, &file.activation_function)?,
    })
}
