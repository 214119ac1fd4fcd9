//! Which of a repository's files a model needs: what it is configured by, and its weights in one format.
//!
//! A repository often holds the same weights for half a dozen frameworks. Each folder decides for itself which it
//! has, since the parts of a sentence-transformers model (`0_CLIPModel`, `2_Dense`) were saved at different times.

use std::collections::{BTreeMap, BTreeSet};

/// The files to fetch.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Picked {
    pub(super) files: Vec<String>,
    /// Whether weights are among them, without which they are no model.
    pub(super) has_weights: bool,
}

/// Folders of other frameworks, of editors and of unfinished training.
const IGNORED_FOLDERS: [&str; 5] = [".", "openvino", "coreml", "flax", "checkpoint-"];

/// The weights that are read, by stem and extension, the best first.
const WEIGHTS: [(&str, &str); 4] = [
    ("model", ".safetensors"),
    ("pytorch_model", ".bin"),
    ("open_clip_model", ".safetensors"),
    ("open_clip_pytorch_model", ".bin"),
];

/// Files that are part of a tokenizer; other texts are licences and lists of requirements.
const TOKENIZER_TEXTS: [&str; 5] = [
    "vocab.txt",
    "merges.txt",
    "spiece.model",
    "tokenizer.model",
    "sentencepiece.bpe.model",
];

/// What exporters append to an ONNX file's name when they make it smaller or fit one processor.
const ONNX_VARIANTS: [&str; 20] = [
    "quantized",
    "quant",
    "optimized",
    "fp16",
    "bf16",
    "int8",
    "uint8",
    "qint8",
    "quint8",
    "int4",
    "uint4",
    "q4",
    "q4f16",
    "q8",
    "bnb4",
    "o1",
    "o2",
    "o3",
    "o4",
    "dynamic",
];

/// How an ONNX file of 8 bits is called after its original, the best first.
const INT8_SUFFIXES: [&str; 5] = ["_int8", "_quantized", "_uint8", "_quint8_avx2", "_qint8_arm64"];

/// Which of several formats is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Preference {
    /// Whether ONNX files are taken where there are weights as well.
    pub(super) exports_first: bool,
    /// Whether an ONNX file of 8 bits is taken in place of its original.
    pub(super) int8: bool,
}

/// Picks from the files of a repository, given as paths with `/`.
///
/// A folder's `model.safetensors` goes before its `pytorch_model.bin`; its ONNX files are taken only where there
/// are neither, or instead of them with `exports_first`.
pub(super) fn pick(files: &[String], preference: Preference) -> Picked {
    let mut folders: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for file in files {
        let (folder, name) = file.rsplit_once('/').unwrap_or(("", file));
        if !folder.split('/').any(is_ignored) && !name.starts_with('.') {
            folders.entry(folder).or_default().push(name);
        }
    }
    let mut checkpoints: BTreeMap<&str, Vec<&str>> = folders
        .iter()
        .map(|(folder, names)| (*folder, checkpoint(names)))
        .filter(|(_, weights)| !weights.is_empty())
        .collect();
    let mut graphs: BTreeMap<&str, Vec<&str>> = folders
        .iter()
        .map(|(folder, names)| (*folder, onnx(names, preference.int8)))
        .filter(|(_, weights)| !weights.is_empty())
        .collect();
    if preference.exports_first {
        for folder in graphs.keys() {
            checkpoints.remove(exported_from(folder));
        }
    } else {
        let covered: BTreeSet<&str> = checkpoints.keys().copied().collect();
        graphs.retain(|folder, _| !ancestors(exported_from(folder)).any(|above| covered.contains(above)));
    }

    let mut picked = Picked {
        files: Vec::new(),
        has_weights: !checkpoints.is_empty() || !graphs.is_empty(),
    };
    for (folder, names) in &folders {
        let weights: Vec<&str> = [&checkpoints, &graphs]
            .into_iter()
            .filter_map(|chosen| chosen.get(folder))
            .flatten()
            .copied()
            .collect();
        let unused_export = is_export_folder(folder) && weights.is_empty();
        for name in names {
            if weights.contains(name) || (is_config(name) && !unused_export) {
                picked.files.push(join(folder, name));
            }
        }
    }
    picked
}

fn is_ignored(folder: &str) -> bool {
    let folder = folder.to_ascii_lowercase();
    IGNORED_FOLDERS.iter().any(|start| folder.starts_with(start))
}

/// An index belongs to its weights, or to a framework's that are not used.
fn is_config(name: &str) -> bool {
    (name.ends_with(".json") && !name.ends_with(".index.json")) || TOKENIZER_TEXTS.contains(&name)
}

/// The weights of a folder in the best of the formats that it has.
fn checkpoint<'a>(names: &[&'a str]) -> Vec<&'a str> {
    for (stem, extension) in WEIGHTS {
        let whole = format!("{stem}{extension}");
        let index = format!("{whole}.index.json");
        let named = |name: &str| names.iter().copied().find(|other| *other == name);
        if let Some(whole) = named(&whole) {
            return vec![whole];
        }
        let mut shards: Vec<&str> = names
            .iter()
            .copied()
            .filter(|name| is_shard(name, stem, extension))
            .collect();
        if !shards.is_empty() {
            shards.extend(named(&index));
            return shards;
        }
    }
    Vec::new()
}

/// Returns whether a name is like `model-00001-of-00002.safetensors`.
fn is_shard(name: &str, stem: &str, extension: &str) -> bool {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|digit| digit.is_ascii_digit());
    name.strip_prefix(stem)
        .and_then(|rest| rest.strip_prefix('-'))
        .and_then(|rest| rest.strip_suffix(extension))
        .and_then(|numbers| numbers.split_once("-of-"))
        .is_some_and(|(number, count)| digits(number) && digits(count))
}

/// The ONNX files of a folder with the data beside them, each graph once.
fn onnx<'a>(names: &[&'a str], int8: bool) -> Vec<&'a str> {
    // Two towers in files of their own are loaded, and leave memory, one by one.
    let towers = ["text_model.onnx", "vision_model.onnx"]
        .iter()
        .all(|tower| names.contains(tower));
    let graphs: Vec<&str> = names
        .iter()
        .copied()
        .filter(|name| name.ends_with(".onnx"))
        .filter(|name| !(towers && *name == "model.onnx"))
        .filter(|name| !original(name).is_some_and(|original| names.contains(&original.as_str())))
        .map(|name| if int8 { int8_of(name, names) } else { name })
        .collect();
    let is_data = |name: &str| {
        graphs.iter().any(|graph| {
            name.strip_prefix(graph)
                .is_some_and(|rest| rest == ".data" || rest.starts_with("_data"))
        })
    };
    names
        .iter()
        .copied()
        .filter(|name| graphs.contains(name) || is_data(name))
        .collect()
}

/// The copy of a graph in 8 bits; the graph itself where there is none.
fn int8_of<'a>(graph: &'a str, names: &[&'a str]) -> &'a str {
    let stem = graph.strip_suffix(".onnx").unwrap_or(graph);
    let copies = INT8_SUFFIXES.map(|suffix| format!("{stem}{suffix}.onnx"));
    let find = |copy: &String| names.iter().copied().find(|name| name == copy);
    copies.iter().find_map(find).unwrap_or(graph)
}

/// The name of the graph that a smaller one was made from: `model.onnx` of `model_qint8_avx512.onnx`.
fn original(name: &str) -> Option<String> {
    let stem = name.strip_suffix(".onnx")?;
    let separator = |letter: char| matches!(letter, '_' | '-' | '.');
    stem.match_indices(separator).find_map(|(at, _)| {
        let word = stem[at + 1..].split(separator).next()?.to_ascii_lowercase();
        ONNX_VARIANTS
            .contains(&word.as_str())
            .then(|| format!("{}.onnx", &stem[..at]))
    })
}

fn is_export_folder(folder: &str) -> bool {
    folder == "onnx" || folder.ends_with("/onnx")
}

/// The folder whose weights an ONNX file holds: exporters put it into `onnx` below, or beside them.
fn exported_from(folder: &str) -> &str {
    match folder.strip_suffix("onnx") {
        Some("") => "",
        Some(above) if above.ends_with('/') => &above[..above.len() - 1],
        Some(_) | None => folder,
    }
}

/// A folder, the one around it, and so on up to the repository's root.
fn ancestors(folder: &str) -> impl Iterator<Item = &str> {
    std::iter::successors(Some(folder), |folder| {
        (!folder.is_empty()).then(|| folder.rsplit_once('/').map_or("", |(above, _)| above))
    })
}

fn join(folder: &str, name: &str) -> String {
    if folder.is_empty() {
        name.to_owned()
    } else {
        format!("{folder}/{name}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WEIGHTS_FIRST: Preference = Preference {
        exports_first: false,
        int8: false,
    };
    const EXPORTS_FIRST: Preference = Preference {
        exports_first: true,
        int8: false,
    };
    const INT8: Preference = Preference {
        exports_first: true,
        int8: true,
    };

    fn picked(files: &str, preference: Preference) -> String {
        let files: Vec<String> = files.split_whitespace().map(str::to_owned).collect();
        let mut picked = pick(&files, preference).files;
        picked.sort();
        picked.join(" ")
    }

    fn check(files: &str, expected: &str) {
        let mut expected: Vec<&str> = expected.split_whitespace().collect();
        expected.sort_unstable();
        assert_eq!(picked(files, WEIGHTS_FIRST), expected.join(" "));
    }

    fn check_onnx(files: &str, expected: &str) {
        let mut expected: Vec<&str> = expected.split_whitespace().collect();
        expected.sort_unstable();
        assert_eq!(picked(files, EXPORTS_FIRST), expected.join(" "));
    }

    #[test]
    fn a_transformers_repository_gives_its_configs_and_safetensors() {
        check(
            ".gitattributes README.md config.json flax_model.msgpack merges.txt model.safetensors
             preprocessor_config.json pytorch_model.bin rust_model.ot special_tokens_map.json tf_model.h5
             tokenizer.json tokenizer_config.json vocab.json LICENSE.txt train.py",
            "config.json merges.txt model.safetensors preprocessor_config.json special_tokens_map.json
             tokenizer.json tokenizer_config.json vocab.json",
        );
    }

    #[test]
    fn an_open_clip_repository_gives_its_weights_once_and_its_tokenizer() {
        check(
            "README.md open_clip_config.json open_clip_model.safetensors open_clip_pytorch_model.bin spiece.model
             tokenizer.json",
            "open_clip_config.json open_clip_model.safetensors spiece.model tokenizer.json",
        );
        // The same weights under transformers' names go first.
        check(
            "config.json model.safetensors open_clip_config.json open_clip_pytorch_model.bin",
            "config.json model.safetensors open_clip_config.json",
        );
    }

    #[test]
    fn an_export_of_immich_gives_both_graphs_and_what_is_beside_them() {
        check(
            "README.md config.json textual/model.onnx textual/tokenizer.json textual/tokenizer_config.json
             visual/model.onnx visual/preprocess_cfg.json",
            "config.json textual/model.onnx textual/tokenizer.json textual/tokenizer_config.json
             visual/model.onnx visual/preprocess_cfg.json",
        );
    }

    #[test]
    fn an_older_repository_gives_its_pytorch_weights() {
        check(
            "config.json pytorch_model.bin tf_model.h5 training_args.bin optimizer.bin vocab.txt",
            "config.json pytorch_model.bin vocab.txt",
        );
    }

    #[test]
    fn each_folder_of_a_sentence_transformers_repository_decides_for_itself() {
        check(
            "0_CLIPModel/config.json 0_CLIPModel/model.safetensors 0_CLIPModel/pytorch_model.bin
             0_CLIPModel/vocab.json 1_Pooling/config.json 2_Dense/config.json 2_Dense/pytorch_model.bin
             README.md config_sentence_transformers.json modules.json",
            "0_CLIPModel/config.json 0_CLIPModel/model.safetensors 0_CLIPModel/vocab.json 1_Pooling/config.json
             2_Dense/config.json 2_Dense/pytorch_model.bin config_sentence_transformers.json modules.json",
        );
    }

    #[test]
    fn shards_come_with_their_index() {
        check(
            "config.json model-00001-of-00002.safetensors model-00002-of-00002.safetensors
             model.safetensors.index.json pytorch_model-00001-of-00001.bin pytorch_model.bin.index.json
             tf_model.h5.index.json",
            "config.json model-00001-of-00002.safetensors model-00002-of-00002.safetensors
             model.safetensors.index.json",
        );
        check(
            "pytorch_model-00001-of-00001.bin pytorch_model.bin.index.json model-a-of-b.safetensors",
            "pytorch_model-00001-of-00001.bin pytorch_model.bin.index.json",
        );
    }

    #[test]
    fn weights_in_another_library_s_naming_are_left() {
        check(
            "config.json open_clip_config.json open_clip_model.safetensors open_clip_pytorch_model.bin
             pytorch_model.bin model.fp16.safetensors adapter_model.safetensors",
            "config.json open_clip_config.json pytorch_model.bin",
        );
    }

    #[test]
    fn exports_are_left_where_there_are_weights() {
        let files = "config.json model.safetensors onnx/config.json onnx/model.onnx onnx/model_O1.onnx
             onnx/model_qint8_avx512.onnx openvino/openvino_model.bin openvino/openvino_config.json
             coreml/model.json 2_Dense/model.safetensors elsewhere/model.onnx";
        check(files, "config.json model.safetensors 2_Dense/model.safetensors");
        check_onnx(
            files,
            "config.json onnx/config.json onnx/model.onnx 2_Dense/model.safetensors elsewhere/model.onnx",
        );
    }

    #[test]
    fn exports_are_taken_where_there_is_nothing_else() {
        check(
            "config.json preprocessor_config.json tokenizer.json onnx/model.onnx onnx/model_fp16.onnx
             onnx/model_quantized.onnx onnx/text_model.onnx onnx/text_model_quantized.onnx onnx/vision_model.onnx
             onnx/vision_model_bnb4.onnx quantize_config.json",
            "config.json preprocessor_config.json tokenizer.json onnx/text_model.onnx onnx/vision_model.onnx
             quantize_config.json",
        );
        check(
            "model.onnx config.json tokenizer.json",
            "model.onnx config.json tokenizer.json",
        );
        check(
            "textual/model.onnx textual/tokenizer.json visual/model.onnx visual/preprocess_cfg.json",
            "textual/model.onnx textual/tokenizer.json visual/model.onnx visual/preprocess_cfg.json",
        );
    }

    #[test]
    fn an_export_in_8_bits_is_taken_by_that_precision() {
        let files = "config.json model.safetensors onnx/text_model.onnx onnx/text_model_fp16.onnx onnx/text_model_int8.onnx
             onnx/text_model_quantized.onnx onnx/vision_model.onnx onnx/vision_model_quantized.onnx";
        assert_eq!(
            picked(files, INT8),
            "config.json onnx/text_model_int8.onnx onnx/vision_model_quantized.onnx"
        );
        assert_eq!(
            picked("model.onnx model.onnx_data model_q4.onnx", INT8),
            "model.onnx model.onnx_data"
        );
        assert_eq!(
            picked("model.onnx model.onnx_data model_int8.onnx", INT8),
            "model_int8.onnx"
        );
        let weights = Preference {
            exports_first: false,
            ..INT8
        };
        assert_eq!(picked(files, weights), "config.json model.safetensors");
    }

    #[test]
    fn an_export_in_one_file_is_taken_where_only_one_tower_is_by_itself() {
        check("model.onnx text_model.onnx", "model.onnx text_model.onnx");
    }

    #[test]
    fn an_export_comes_with_its_data() {
        check(
            "onnx/model.onnx onnx/model.onnx_data onnx/model.onnx_data_1 onnx/model_q4.onnx
             onnx/model_q4.onnx_data model.onnx model.onnx.data other.data",
            "onnx/model.onnx onnx/model.onnx_data onnx/model.onnx_data_1 model.onnx model.onnx.data",
        );
    }

    #[test]
    fn a_quantized_export_without_its_original_is_taken() {
        check(
            "model_optimized.onnx config.json",
            "model_optimized.onnx config.json",
        );
    }

    #[test]
    fn the_weights_beside_an_export_of_another_part_stay() {
        check(
            "modules.json onnx/model.onnx 2_Dense/config.json 2_Dense/pytorch_model.bin",
            "modules.json onnx/model.onnx 2_Dense/config.json 2_Dense/pytorch_model.bin",
        );
    }

    #[test]
    fn folders_of_other_frameworks_and_hidden_ones_are_left() {
        check(
            "flax/model.safetensors .cache/config.json checkpoint-500/model.safetensors sub/.hidden.json
             OpenVINO/config.json config.json",
            "config.json",
        );
    }

    #[test]
    fn a_repository_without_weights_says_so() {
        let has_weights = |files: &[&str], prefer_onnx| {
            let files: Vec<String> = files.iter().map(|file| (*file).to_owned()).collect();
            let preference = if prefer_onnx { EXPORTS_FIRST } else { WEIGHTS_FIRST };
            pick(&files, preference).has_weights
        };
        assert!(!has_weights(&["config.json", "tf_model.h5"], false));
        assert!(!has_weights(&[], true));
        assert!(has_weights(&["model.safetensors"], true));
        assert!(has_weights(&["model.onnx"], false));
    }
}
