//! What `compare` sets beside each other: the Python service that Lucida replaces, and Lucida's ways to run its models.

use std::path::{Path, PathBuf};

use anyhow::Result;
use lucida_core::BuildContext;

use crate::python_service::PythonService;
use crate::server::{Server, Setting};

/// The models that `xtask/parity/make_models.py --size full` writes, and the service that runs them in Python.
#[derive(Debug, Clone)]
pub(crate) struct Subjects(pub(crate) PythonService);

/// One way in which Lucida runs the models.
#[derive(Debug)]
pub(crate) struct Candidate {
    pub(crate) name: &'static str,
    pub(crate) settings: Vec<Setting>,
}

impl Subjects {
    /// Returns the folder of the model for pictures.
    pub(crate) fn clip(&self) -> PathBuf {
        self.0.model("clip")
    }

    /// Returns an ONNX export of its image tower.
    pub(crate) fn clip_export(&self) -> PathBuf {
        self.0.model("clip-onnx-qdrant-vision/model.onnx")
    }

    fn multilingual(&self) -> PathBuf {
        self.0.model("multilingual")
    }

    /// Lists Lucida's ways, the plain one first.
    pub(crate) fn candidates(&self) -> Vec<Candidate> {
        let mut candidates = vec![
            self.candidate("ONNX Runtime, fp32", "onnx", &[]),
            self.candidate("ONNX Runtime, int8", "onnx", &[("precision", "int8")]),
        ];
        if has_openvino() {
            let settings = [("device", "openvino"), ("precision", "bf16")];
            candidates.push(self.candidate("OpenVINO, bf16", "onnx", &settings));
        }
        candidates.push(self.candidate("candle, fp32", "candle", &[]));
        candidates
    }

    fn candidate(&self, name: &'static str, engine: &str, settings: &[(&str, &str)]) -> Candidate {
        let (clip, multilingual) = (self.clip(), self.multilingual());
        let (clip, multilingual) = (clip.to_string_lossy(), multilingual.to_string_lossy());
        let models = [("model", &*clip), ("text_model", &*multilingual)];
        Candidate {
            name,
            settings: Setting::of_engine(engine, &[&models, settings].concat()),
        }
    }

    /// Starts the Python service, its log in `folder`, with its own defaults.
    pub(crate) async fn start_service(&self, folder: &Path) -> Result<Server> {
        let (clip, multilingual) = (self.clip(), self.multilingual());
        let arguments = [("--image-model", &*clip), ("--text-model", &*multilingual)];
        self.0.start(&arguments, folder).await
    }
}

/// Returns whether the library for the device `openvino` is in the cache.
pub(crate) fn has_openvino() -> bool {
    let folder = BuildContext::from_env().cache_dir.join("onnxruntime-openvino");
    folder.is_dir()
}
