//! Which ONNX file of a model folder is a tower, by the names that exporters give.

use std::path::{Path, PathBuf};

use lucida_core::{Error, Result, TowerKind};
use lucida_models::checkpoint::ModelFolder;

use crate::device::Precision;

/// How the file of one tower is called, the best first; `model` is a single tower or both together.
const fn stems(tower: TowerKind) -> [&'static str; 4] {
    match tower {
        TowerKind::Image => ["vision_model", "visual", "visual/model", "model"],
        TowerKind::Text => ["text_model", "textual", "textual/model", "model"],
    }
}

/// What follows the stem in each number format, the best first: the words of Optimum and Transformers.js, then those of
/// sentence-transformers, whose names of processors say where a file is fastest and not where it runs.
const fn suffixes(precision: Precision) -> &'static [&'static str] {
    match precision {
        // bf16 is a way to compute with fp32 weights.
        Precision::Fp32 | Precision::Bf16 => &["", "_optimized"],
        Precision::Int8 => &["_int8", "_quantized", "_uint8", "_quint8_avx2", "_qint8_arm64"],
    }
}

/// Finds the file of a tower in `onnx/` or in the folder itself; `None` where the folder has to be run in another way: it
/// has no such file, or none in this number format and weights to make one from.
///
/// # Errors
/// `ConfigInvalid` where there are only files in other number formats, naming them.
pub(super) fn find(folder: &ModelFolder, tower: TowerKind, precision: Precision) -> Result<Option<PathBuf>> {
    let places = [folder.model_path(), folder.path()].map(|place| [place.join("onnx"), place.to_path_buf()]);
    let mut others = Vec::new();
    for stem in stems(tower) {
        for place in places.as_flattened() {
            let named = |suffix: &&str| place.join(format!("{stem}{suffix}.onnx"));
            if let Some(file) = suffixes(precision).iter().map(named).find(|file| file.is_file()) {
                return Ok(Some(file));
            }
            others.extend(files_of(&place.join(stem)));
        }
    }
    if others.is_empty() || folder.has_weights() {
        return Ok(None);
    }
    others.sort_by(|one, other| one.0.cmp(&other.0));
    others.dedup();
    let described: Vec<_> = others
        .iter()
        .map(|(file, format)| {
            format!(
                "{} ({})",
                file.display(),
                format.map_or("not read", Precision::as_str)
            )
        })
        .collect();
    let message = format!(
        "there is no {} tower in `{}`, only {}",
        tower.as_str(),
        precision.as_str(),
        described.join(", ")
    );
    Err(Error::config("precision", message))
}

/// Lists the files of a stem with the number format of each, `None` for one that isn't read.
fn files_of(stem: &Path) -> Vec<(PathBuf, Option<Precision>)> {
    let (Some(place), Some(stem)) = (stem.parent(), stem.file_name().and_then(|name| name.to_str())) else {
        return Vec::new();
    };
    let entries = std::fs::read_dir(place).into_iter().flatten().flatten();
    entries
        .filter_map(|entry| {
            let name = entry.file_name();
            let suffix = name.to_str()?.strip_prefix(stem)?.strip_suffix(".onnx")?;
            let format = [Precision::Fp32, Precision::Int8]
                .into_iter()
                .find(|&format| suffixes(format).contains(&suffix));
            Some((entry.path(), format))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use lucida_core::ErrorKind;

    use super::*;

    /// A folder that says it is a CLIP, with files of these names.
    fn folder(files: &[&str]) -> (tempfile::TempDir, ModelFolder) {
        let clip = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../../core/testkit/testdata/parity/models/clip/config.json");
        let folder = tempfile::tempdir().unwrap();
        std::fs::copy(clip, folder.path().join("config.json")).unwrap();
        for file in files {
            let file = folder.path().join(file);
            std::fs::create_dir_all(file.parent().unwrap()).unwrap();
            std::fs::write(file, "").unwrap();
        }
        let model = ModelFolder::open(folder.path()).unwrap();
        (folder, model)
    }

    fn found(files: &[&str], tower: TowerKind, precision: Precision) -> Option<String> {
        let (place, model) = folder(files);
        let file = find(&model, tower, precision).unwrap()?;
        Some(
            file.strip_prefix(place.path())
                .unwrap()
                .to_str()
                .unwrap()
                .to_owned(),
        )
    }

    #[test]
    fn each_layout_has_its_names_and_a_file_of_one_tower_goes_first() {
        use TowerKind::{Image, Text};
        for (files, tower, file) in [
            (&["onnx/model.onnx"][..], Image, "onnx/model.onnx"),
            (
                &["onnx/model.onnx", "onnx/vision_model.onnx"],
                Image,
                "onnx/vision_model.onnx",
            ),
            (
                &["onnx/model.onnx", "onnx/vision_model.onnx"],
                Text,
                "onnx/model.onnx",
            ),
            (&["model_optimized.onnx"], Text, "model_optimized.onnx"),
            (&["model.onnx", "model_optimized.onnx"], Text, "model.onnx"),
            (&["visual.onnx", "textual.onnx"], Image, "visual.onnx"),
            (
                &["visual/model.onnx", "textual/model.onnx"],
                Text,
                "textual/model.onnx",
            ),
        ] {
            assert_eq!(
                found(files, tower, Precision::Fp32).as_deref(),
                Some(file),
                "{files:?}"
            );
        }
    }

    #[test]
    fn the_number_format_is_chosen_by_the_precision() {
        let files = [
            "onnx/text_model.onnx",
            "onnx/text_model_fp16.onnx",
            "onnx/text_model_quantized.onnx",
        ];
        for (precision, file) in [
            (Precision::Fp32, "onnx/text_model.onnx"),
            (Precision::Bf16, "onnx/text_model.onnx"),
            (Precision::Int8, "onnx/text_model_quantized.onnx"),
        ] {
            assert_eq!(found(&files, TowerKind::Text, precision).as_deref(), Some(file));
        }
        let both = ["model_quantized.onnx", "model_int8.onnx"];
        let file = found(&both, TowerKind::Text, Precision::Int8);
        assert_eq!(file.as_deref(), Some("model_int8.onnx"));
    }

    #[test]
    fn a_number_format_that_is_not_there_names_those_that_are() {
        let (_place, model) = folder(&["onnx/vision_model.onnx", "onnx/vision_model_q4.onnx"]);
        let error = find(&model, TowerKind::Image, Precision::Int8).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConfigInvalid);
        assert_eq!(error.field(), Some("precision"));
        for part in [
            "`int8`",
            "vision_model.onnx (fp32)",
            "vision_model_q4.onnx (not read)",
        ] {
            assert!(error.message().contains(part), "{error}");
        }
    }

    #[test]
    fn weights_of_the_model_itself_serve_a_number_format_that_is_not_there() {
        let files = ["onnx/model.onnx", "model.safetensors"];
        assert_eq!(found(&files, TowerKind::Image, Precision::Int8), None);
        assert_eq!(
            found(&files, TowerKind::Image, Precision::Fp32).as_deref(),
            Some("onnx/model.onnx")
        );
        assert_eq!(found(&[], TowerKind::Image, Precision::Fp32), None);
    }
}
