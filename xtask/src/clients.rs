//! The real clients that tests run against a server: packages of PyPI and npm, pinned in `tests/clients`, and Weaviate, which is
//! one; put into the cache.

use std::ffi::OsString;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread::JoinHandle;

use anyhow::{Context as _, Result, anyhow, bail};
use lucida_setup::cache::{Cache, CacheLock, Key};
use lucida_setup::python::{Environment, Python};

use crate::cargo::Workspace;
use crate::servers::go::{Go, WEAVIATE};

/// The Python that has the clients of PyPI.
const PYTHON: &str = "LUCIDA_TEST_CLIENTS_PYTHON";

/// Where its packages are, if not in an environment of their own.
const PACKAGES: &str = "LUCIDA_TEST_CLIENTS_PACKAGES";

/// The folder that has the clients of npm in `node_modules`.
const NODE: &str = "LUCIDA_TEST_CLIENTS_NODE";

/// The program of Weaviate.
const WEAVIATE_PROGRAM: &str = "LUCIDA_TEST_WEAVIATE";

/// The clients of an installation.
#[derive(Debug)]
pub(crate) struct Clients {
    python: Environment,
    node: PathBuf,
    /// Missing where it can't be built.
    weaviate: Option<PathBuf>,
}

/// An installation that goes on beside something else: it takes a minute or two.
pub(crate) struct Installation(JoinHandle<Result<Clients>>);

impl Installation {
    /// Begins in a thread. Where this program ends before it does, the next one begins anew.
    pub(crate) fn begin(cache: &Cache, workspace: &Workspace) -> Self {
        let (cache, lists) = (cache.clone(), workspace.path("tests/clients"));
        Self(std::thread::spawn(move || ensure(&cache, &lists)))
    }

    /// Waits until it is done.
    pub(crate) fn finish(self) -> Result<Clients> {
        self.0
            .join()
            .unwrap_or_else(|_| Err(anyhow!("the installation of the clients for tests panicked")))
    }
}

impl Clients {
    /// The variables by which tests find the clients.
    pub(crate) fn variables(&self) -> Vec<(&'static str, OsString)> {
        let mut variables = vec![
            (PYTHON, self.python.program().into()),
            (NODE, self.node.clone().into()),
        ];
        let weaviate = self.weaviate.iter();
        variables.extend(weaviate.map(|program| (WEAVIATE_PROGRAM, program.into())));
        variables.extend(
            self.python
                .packages_folder()
                .map(|folder| (PACKAGES, folder.into())),
        );
        variables
    }
}

/// Makes sure that what the lists in the folder `lists` pin is in the cache.
fn ensure(cache: &Cache, lists: &Path) -> Result<Clients> {
    // A cache within the cache, with a lock of its own: what else is set up need not wait for it.
    let cache = Cache::at(cache.path("test-clients"))?;
    let lock = cache.lock()?;
    let python = Python::find()?
        .environment(&cache.path("python"), &lists.join("requirements.txt"))
        .context("cannot install the clients of PyPI")?;
    let files = ["package.json", "package-lock.json"];
    let texts = files.map(|name| {
        let path = lists.join(name);
        fs::read(&path).with_context(|| format!("cannot read {}", path.display()))
    });
    let texts = texts.into_iter().collect::<Result<Vec<_>>>()?;
    let key = Key::of(texts.iter().map(Vec::as_slice));
    let node = cache.path("node");
    if !cache.holds(&node, &key) {
        eprintln!("installing the clients of npm into {}", node.display());
        lock.replace(&node, &key, |made| {
            for (name, text) in files.iter().zip(&texts) {
                fs::write(made.join(name), text).with_context(|| format!("cannot write {name}"))?;
            }
            npm_ci(made).context("cannot install the clients of npm")
        })?;
    }
    let weaviate = weaviate(&cache, &lock)
        .inspect_err(|error| {
            eprintln!("warning: no Weaviate, and the test that needs it is skipped: {error:#}")
        })
        .ok();
    Ok(Clients {
        python,
        node,
        weaviate,
    })
}

/// Makes sure that Weaviate is in the cache, and returns its program.
fn weaviate(cache: &Cache, lock: &CacheLock<'_>) -> Result<PathBuf> {
    let folder = cache.path("weaviate");
    let key = Key::of([WEAVIATE.as_bytes()]);
    if !cache.holds(&folder, &key) {
        let go = Go::find()?;
        eprintln!("building Weaviate, which takes some minutes");
        lock.replace(&folder, &key, |made| go.install(WEAVIATE, made))?;
    }
    Ok(folder.join("weaviate-server"))
}

/// Installs exactly what the lock file in a folder says, and runs no script of a package.
fn npm_ci(folder: &Path) -> Result<()> {
    let program = if cfg!(windows) { "npm.cmd" } else { "npm" };
    let mut command = Command::new(program);
    command
        .args([
            "ci",
            "--ignore-scripts",
            "--no-audit",
            "--no-fund",
            "--loglevel=error",
        ])
        .current_dir(folder)
        .stdin(Stdio::null());
    let done = match command.output() {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            bail!("npm not found: install Node.js 20 or later with npm")
        }
        done => done.with_context(|| format!("cannot run `{program}`"))?,
    };
    if !done.status.success() {
        bail!("npm failed: {}", String::from_utf8_lossy(&done.stderr).trim());
    }
    Ok(())
}
