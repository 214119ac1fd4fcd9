//! `cargo xtask setup`: what the default configuration needs, put into the cache once.

use std::path::PathBuf;

use anyhow::Result;

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

/// Runs the command.
pub(crate) fn run(cache: &Cache, workspace: &Workspace, with_photos: bool) -> Result<()> {
    let photos = with_photos.then(|| photos::ensure(cache)).transpose()?;
    let Ready { runtime, model } = ensure(cache, workspace)?;
    println!("ONNX Runtime   {}", runtime.display());
    println!("starter model  {}", model.display());
    if let Some(photos) = photos {
        println!("test photos    {}", photos.display());
    }
    Ok(())
}
