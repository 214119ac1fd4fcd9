//! What the benchmarks compare Lucida with: services in Python, and models of full size that both run.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, Result};

use crate::cargo::Workspace;
use lucida_setup::cache::{Cache, Key};
use lucida_setup::python::{Environment, Python};

const SOURCE: &str = "xtask/parity";

/// A service in Python, and the models that it runs.
pub(crate) struct Kind {
    /// The folder of the environment in the cache, and the file that lists its packages.
    environment: &'static str,
    requirements: &'static str,
    /// The folder of the models in the cache, the script that writes them, and its arguments.
    models: &'static str,
    script: &'static str,
    arguments: &'static [&'static str],
    service: &'static str,
    /// The flags by which the benchmark program takes the models, the interpreter and the service.
    flags: [&'static str; 3],
}

/// CLIP with sentence-transformers: the service that Lucida replaces.
pub(crate) const CLIP: Kind = Kind {
    environment: "venv/parity",
    requirements: "requirements.txt",
    models: "models-bench",
    script: "make_models.py",
    arguments: &["--size", "full"],
    service: "reference_service.py",
    flags: ["--models", "--python", "--service"],
};

/// SigLIP with transformers, MobileCLIP with OpenCLIP.
pub(crate) const FAMILIES: Kind = Kind {
    environment: "venv/open-clip",
    requirements: "requirements-open-clip.txt",
    models: "models-bench-families",
    script: "make_families.py",
    arguments: &[],
    service: "family_service.py",
    flags: ["--family-models", "--family-python", "--family-service"],
};

/// The environment and the models, in place.
pub(crate) struct Subjects {
    environment: Environment,
    models: PathBuf,
    service: PathBuf,
    flags: [&'static str; 3],
}

impl Subjects {
    /// Installs what the scripts need and writes the models, which takes some minutes and gigabytes the first time.
    pub(crate) fn ensure(kind: &Kind, cache: &Cache, workspace: &Workspace) -> Result<Self> {
        let source = workspace.path(SOURCE);
        let models = cache.path(kind.models);
        let key = Key::of_scripts(&source)?;
        let lock = cache.lock()?;
        let environment = Python::find()?
            .environment(&cache.path(kind.environment), &source.join(kind.requirements))
            .context("cannot install what the Python service runs on")?;
        if !cache.holds(&models, &key) {
            eprintln!("writing models of full size into {}", models.display());
            lock.replace(&models, &key, |made| {
                environment.fill(made, &source.join(kind.script), kind.arguments)
            })?;
        }
        Ok(Self {
            environment,
            models,
            service: source.join(kind.service),
            flags: kind.flags,
        })
    }

    /// Gives the benchmark program their places.
    pub(crate) fn give(&self, bench: &mut Command) {
        let script = self.environment.script(&self.service);
        let [models, python, service] = self.flags;
        bench.arg(models).arg(&self.models);
        bench.arg(python).arg(script.get_program());
        bench.arg(service).arg(&self.service);
        // The program runs the service with the variables that it has itself.
        for (name, value) in script.get_envs() {
            match value {
                Some(value) => bench.env(name, value),
                None => bench.env_remove(name),
            };
        }
    }
}
