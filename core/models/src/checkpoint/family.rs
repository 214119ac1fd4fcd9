//! Families of models by their name: what is said of those that aren't read, and what depends on the family alone.

use std::path::Path;

use lucida_core::{Error, Result};
use serde_json::Value;

use super::tokenizer::Cleaning;
use super::{bert, read_json, rotary, siglip, unsupported};
use crate::export_only::{DEBERTA, JINA_CLIP};

/// What makes a family one that no tower of this version computes.
enum Reason {
    /// It writes texts.
    Generative,
    /// It cuts a picture into a number of tiles that depends on its shape.
    Tiled,
    /// Its encoder has other layers than those that are read; an ONNX export of it may run.
    OtherLayers,
}

/// Families that people come with, and why they aren't read.
const NOT_READ: [(&str, Reason); 26] = [
    ("llava", Reason::Generative),
    ("llava_next", Reason::Tiled),
    ("llava_onevision", Reason::Tiled),
    ("idefics", Reason::Generative),
    ("idefics2", Reason::Tiled),
    ("idefics3", Reason::Tiled),
    ("smolvlm", Reason::Tiled),
    ("internvl", Reason::Tiled),
    ("internvl_chat", Reason::Tiled),
    ("mllama", Reason::Tiled),
    ("qwen2_vl", Reason::Tiled),
    ("qwen2_5_vl", Reason::Tiled),
    ("qwen3_vl", Reason::Tiled),
    ("phi3_v", Reason::Tiled),
    ("paligemma", Reason::Generative),
    ("blip", Reason::Generative),
    ("blip-2", Reason::Generative),
    ("instructblip", Reason::Generative),
    ("florence2", Reason::Generative),
    ("kosmos-2", Reason::Generative),
    ("git", Reason::Generative),
    ("coca", Reason::Generative),
    ("llama", Reason::Generative),
    ("gpt2", Reason::Generative),
    ("t5", Reason::Generative),
    (DEBERTA, Reason::OtherLayers),
];

/// Says what a family of other layers takes.
fn other_layers(name: &str) -> String {
    format!(
        "is of a `{name}`, whose layers no engine computes from the weights: put an ONNX export of it into `onnx/`, which \
         `type = \"onnx\"` runs"
    )
}

/// Tells why the weights of a text encoder of this name can't be computed, where an ONNX export of it can; `None` for any
/// other model. Of a family that isn't known that is so where the folder has an export.
pub(super) fn exported_only(name: &str, folder: &Path) -> Option<String> {
    match NOT_READ.iter().find(|(family, _)| *family == name) {
        Some((_, Reason::OtherLayers)) => Some(other_layers(name)),
        Some(_) => None,
        None => has_export(folder).then(|| other_layers(name)),
    }
}

/// Returns whether a folder has an ONNX file.
pub(super) fn has_export(folder: &Path) -> bool {
    let is_graph = |entry: std::io::Result<std::fs::DirEntry>| {
        entry.is_ok_and(|entry| entry.path().extension().is_some_and(|kind| kind == "onnx"))
    };
    [folder.join("onnx"), folder.to_path_buf()]
        .iter()
        .filter_map(|place| std::fs::read_dir(place).ok())
        .flatten()
        .any(is_graph)
}

/// Says of a model of an unknown family which is the nearest that is read, and what it would take.
pub(super) fn unknown(path: &Path, name: &str) -> Error {
    let known: Vec<&str> = [
        "clip",
        "clip_vision_model",
        "clip_text_model",
        "chinese_clip",
        JINA_CLIP,
    ]
    .into_iter()
    .chain(siglip::MODEL_TYPES)
    .chain(bert::MODEL_TYPES)
    .chain(rotary::MODEL_TYPES)
    .collect();
    let reason = NOT_READ.iter().find(|(family, _)| *family == name);
    let problem = match reason {
        Some((_, Reason::Generative)) => {
            format!(
                "is of a `{name}`, a generative model: it writes texts and has no vector for a photo or a text"
            )
        }
        Some((_, Reason::Tiled)) => format!(
            "is of a `{name}`, which cuts each picture into another number of tiles: only models whose pictures have a \
             fixed size are read"
        ),
        Some((_, Reason::OtherLayers)) => other_layers(name),
        None => {
            let nearest = known
                .iter()
                .max_by(|one, other| {
                    strsim::jaro_winkler(one, name).total_cmp(&strsim::jaro_winkler(other, name))
                })
                .copied()
                .unwrap_or("clip");
            format!(
                "is of a `{name}`, which is not known; the nearest that is read is `{nearest}`, and a text encoder of this \
                 name needs an ONNX export in `onnx/`, which `type = \"onnx\"` runs"
            )
        }
    };
    unsupported(
        path,
        &format!("{problem}; this version reads {}", known.join(", ")),
    )
}

/// Tells what the tokenizer of a SigLIP does to a text first, by the class that its folder names.
///
/// # Errors
/// `Internal` for a damaged file.
pub(super) fn siglip_cleaning(folder: &Path) -> Result<Cleaning> {
    let path = folder.join("tokenizer_config.json");
    let settings: Value = if path.is_file() {
        read_json(&path)?
    } else {
        Value::Null
    };
    let class = settings.get("tokenizer_class").and_then(Value::as_str);
    let lowercases = settings.get("do_lower_case").and_then(Value::as_bool);
    Ok(match class.map(|class| class.trim_end_matches("Fast")) {
        Some("SiglipTokenizer") | None if lowercases != Some(false) => Cleaning::Canonical,
        Some("Siglip2Tokenizer") => Cleaning::Lowercase,
        Some(_) | None => Cleaning::None,
    })
}
