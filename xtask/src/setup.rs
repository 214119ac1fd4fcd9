//! `cargo xtask setup`: what the default configuration needs, put into the cache once.

use std::path::PathBuf;

use anyhow::{Context as _, Result};

use crate::cache::Cache;
use crate::cargo::Workspace;
use crate::{photos, runtime, starter};

/// Where the parts of a complete set-up are.
pub(crate) struct Ready {
    runtime: PathBuf,
    model: PathBuf,
}

/// Puts in place what is missing; touches no network when nothing is.
pub(crate) fn ensure(cache: &Cache, workspace: &Workspace) -> Result<Ready> {
    Ok(Ready {
        runtime: runtime::ensure(cache)?,
        model: starter::ensure(cache, workspace)?,
    })
}

/// What is wanted besides.
#[derive(Debug, Clone, Copy, clap::Args)]
pub(crate) struct Extras {
    /// Fetch the photos that tests and benchmarks use as well.
    #[arg(long)]
    photos: bool,
    /// Fetch ONNX Runtime with OpenVINO as well, for `device = "openvino"` (84 MB).
    #[arg(long)]
    openvino: bool,
}

/// Runs the command.
pub(crate) fn run(cache: &Cache, workspace: &Workspace, extras: Extras) -> Result<()> {
    let photos = extras.photos.then(|| photos::ensure(cache)).transpose()?;
    let openvino = extras.openvino.then(|| openvino(cache)).transpose()?;
    let Ready { runtime, model } = ensure(cache, workspace)?;
    println!("ONNX Runtime   {}", runtime.display());
    println!("starter model  {}", model.display());
    if let Some(openvino) = openvino {
        println!("OpenVINO       {}", openvino.display());
    }
    if let Some(photos) = photos {
        println!("test photos    {}", photos.display());
    }
    Ok(())
}

fn openvino(cache: &Cache) -> Result<PathBuf> {
    runtime::ensure_openvino(cache)?.with_context(|| {
        format!(
            "no ONNX Runtime with OpenVINO is published for {}: it is for Linux on x86_64",
            runtime::platform()
        )
    })
}
