//! What `compare` sets beside each other: the Python service that Lucida replaces, and Lucida's ways to run its models.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};
use lucida_core::BuildContext;
use lucida_test_servers::free_address;

use crate::server::{Server, Setting};

/// The models of full size, and the service that runs them in Python.
#[derive(Debug, Clone)]
pub(crate) struct Subjects {
    /// Holds the folders that `xtask/parity/make_models.py --size full` makes.
    pub(crate) models: PathBuf,
    /// The interpreter, with what the service needs installed.
    pub(crate) python: PathBuf,
    /// The service's script.
    pub(crate) service: PathBuf,
}

/// One way in which Lucida runs the models.
#[derive(Debug)]
pub(crate) struct Candidate {
    pub(crate) name: &'static str,
    pub(crate) settings: Vec<Setting>,
}

impl Subjects {
    /// Takes what is all given, or nothing.
    pub(crate) fn of(
        models: Option<PathBuf>,
        python: Option<PathBuf>,
        service: Option<PathBuf>,
    ) -> Option<Self> {
        Some(Self {
            models: models?,
            python: python?,
            service: service?,
        })
    }

    /// Returns the folder of the model for pictures.
    pub(crate) fn clip(&self) -> PathBuf {
        self.models.join("clip")
    }

    /// Returns an ONNX export of its image tower.
    pub(crate) fn clip_export(&self) -> PathBuf {
        self.models.join("clip-onnx-qdrant-vision/model.onnx")
    }

    fn multilingual(&self) -> PathBuf {
        self.models.join("multilingual")
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
        let models = [
            ("model", clip.to_string_lossy()),
            ("text_model", multilingual.to_string_lossy()),
        ];
        let models = models.iter().map(|(key, folder)| (*key, &**folder));
        let of_engine = models
            .chain(settings.iter().copied())
            .map(|(key, value)| Setting::new(&format!("embedder.{engine}.{key}"), value));
        let chosen = [Setting::new("embedder.type", engine)];
        Candidate {
            name,
            settings: chosen.into_iter().chain(of_engine).collect(),
        }
    }

    /// Starts the Python service, its log in `folder`, with its own defaults.
    pub(crate) async fn start_service(&self, folder: &Path) -> Result<Server> {
        let address = SocketAddr::from(free_address()?);
        let mut command = Command::new(&self.python);
        command
            .arg(&self.service)
            .arg("--image-model")
            .arg(self.clip())
            .arg("--text-model")
            .arg(self.multilingual())
            .arg("--port")
            .arg(address.port().to_string());
        let started = Server::launch(command, folder, address, "/healthz").await;
        started.context("starting the Python service")
    }
}

/// Returns whether the library for the device `openvino` is in the cache.
pub(crate) fn has_openvino() -> bool {
    let folder = BuildContext::from_env().cache_dir.join("onnxruntime-openvino");
    folder.is_dir()
}
