//! Models of full size in several families, what runs them in Python, and Lucida's ways to run them.

use std::path::{Path, PathBuf};

use anyhow::Result;

use crate::python_service::PythonService;
use crate::reference::Reference;
use crate::server::{Server, Setting};

/// The models that `xtask/parity/make_families.py` writes, and `xtask/parity/family_service.py`, which runs them in Python.
#[derive(Debug, Clone)]
pub(crate) struct FamilySubjects(pub(crate) PythonService);

/// One family: its checkpoint, and the exports of its image tower.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Family {
    pub(crate) heading: &'static str,
    /// The folder of the checkpoint.
    checkpoint: &'static str,
    /// The folder that the engine `onnx` runs: the checkpoint, or an export where it computes no such tower from weights.
    onnx: &'static str,
    /// The image tower in fp32 and in int8, and the names of its input and output.
    graphs: [&'static str; 2],
    names: [&'static str; 2],
    /// What runs it in Python.
    pub(crate) library: &'static str,
}

/// The families that are measured.
pub(crate) const FAMILIES: [Family; 2] = [
    Family {
        heading: "SigLIP B/16",
        checkpoint: "siglip",
        onnx: "siglip",
        graphs: ["siglip-onnx/model.onnx", "siglip-onnx/model_int8.onnx"],
        names: ["pixel_values", "image_embeds"],
        library: "transformers",
    },
    Family {
        heading: "MobileCLIP-S0",
        checkpoint: "mobileclip",
        onnx: "immich-mobileclip",
        graphs: [
            "immich-mobileclip/visual/model.onnx",
            "immich-mobileclip/visual/model_int8.onnx",
        ],
        names: ["image", "embedding"],
        library: "open_clip",
    },
];

impl FamilySubjects {
    /// Returns the folder of a model.
    pub(crate) fn folder(&self, name: &str) -> PathBuf {
        self.0.model(name)
    }

    /// Returns ONNX Runtime by itself on the exports of a family, in fp32 and in int8.
    pub(crate) fn references(&self, family: Family) -> Result<[Reference; 2]> {
        let checkpoint = self.folder(family.checkpoint);
        let [fp32, int8] = family.graphs.map(|graph| self.folder(graph));
        Ok([
            Reference::export(&checkpoint, fp32, family.names)?,
            Reference::export(&checkpoint, int8, family.names)?,
        ])
    }

    /// Lists Lucida's ways to run a family, with the words for the table.
    pub(crate) fn candidates(&self, family: Family) -> [(&'static str, Vec<Setting>); 3] {
        let on = |engine: &str, model: &str, settings: &[(&str, &str)]| {
            let model = self.folder(model).to_string_lossy().into_owned();
            Setting::of_engine(engine, &[&[("model", &*model)], settings].concat())
        };
        [
            ("Lucida, `onnx`, fp32", on("onnx", family.onnx, &[])),
            (
                "Lucida, `onnx`, int8",
                on("onnx", family.onnx, &[("precision", "int8")]),
            ),
            ("Lucida, `candle`, fp32", on("candle", family.checkpoint, &[])),
        ]
    }

    /// Starts the Python service of a family, its log in `folder`.
    pub(crate) async fn start_service(&self, family: Family, folder: &Path) -> Result<Server> {
        let model = self.folder(family.checkpoint);
        let arguments = [("--library", Path::new(family.library)), ("--model", &model)];
        self.0.start(&arguments, folder).await
    }
}
