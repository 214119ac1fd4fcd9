//! What the benchmarks compare Lucida with: a service in Python, and models of full size that both run.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, Result};

use crate::cargo::Workspace;
use lucida_setup::cache::{Cache, Key};
use lucida_setup::python::{Environment, Python};

const SOURCE: &str = "xtask/parity";

/// The environment and the models, in place.
pub(crate) struct Subjects {
    environment: Environment,
    models: PathBuf,
    service: PathBuf,
}

impl Subjects {
    /// Installs what the scripts need and makes the models, which takes some minutes and gigabytes the first time.
    pub(crate) fn ensure(cache: &Cache, workspace: &Workspace) -> Result<Self> {
        let source = workspace.path(SOURCE);
        let models = cache.path("models-bench");
        let key = Key::of_scripts(&source)?;
        let lock = cache.lock()?;
        let environment = Python::find()?
            .environment(&cache.path("venv/parity"), &source.join("requirements.txt"))
            .context("cannot install what the Python service runs on")?;
        if !cache.holds(&models, &key) {
            eprintln!("making models of full size in {}", models.display());
            lock.replace(&models, &key, |made| {
                environment.fill(made, &source.join("make_models.py"), ["--size", "full"])
            })?;
        }
        Ok(Self {
            environment,
            models,
            service: source.join("reference_service.py"),
        })
    }

    /// Tells the benchmark program where they are.
    pub(crate) fn tell(&self, bench: &mut Command) {
        let script = self.environment.script(&self.service);
        bench.arg("--models").arg(&self.models);
        bench.arg("--python").arg(script.get_program());
        bench.arg("--service").arg(&self.service);
        // The program runs the service with the variables that it has itself.
        for (name, value) in script.get_envs() {
            match value {
                Some(value) => bench.env(name, value),
                None => bench.env_remove(name),
            };
        }
    }
}
