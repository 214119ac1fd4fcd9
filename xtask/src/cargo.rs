//! Runs cargo in this workspace and reads what it reports.

use std::ffi::{OsStr, OsString};
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

/// The checkout that this program belongs to.
#[derive(Debug)]
pub(crate) struct Workspace {
    root: PathBuf,
    environment: Vec<(&'static str, OsString)>,
}

impl Workspace {
    /// Finds the checkout from where cargo says that this crate is.
    pub(crate) fn locate() -> Result<Self> {
        let own = std::env::var_os("CARGO_MANIFEST_DIR").unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into());
        let root = Path::new(&own)
            .parent()
            .filter(|root| root.join("Cargo.toml").is_file());
        let root =
            root.with_context(|| format!("{} is in no workspace: run `cargo xtask`", own.display()))?;
        Ok(Self {
            root: root.to_path_buf(),
            environment: Vec::new(),
        })
    }

    /// The path of `relative` in the checkout.
    pub(crate) fn path(&self, relative: impl AsRef<Path>) -> PathBuf {
        self.root.join(relative)
    }

    /// Sets a variable for every cargo run from here on, unless the user has set it.
    pub(crate) fn default_variable(&mut self, name: &'static str, value: impl Into<OsString>) {
        if std::env::var_os(name).is_none() {
            self.environment.push((name, value.into()));
        }
    }

    /// A cargo command that runs in the root of the checkout.
    pub(crate) fn cargo<S: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = S>) -> Command {
        let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        command.current_dir(&self.root).args(arguments);
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command
    }

    /// Runs a build command and returns the programs that it made.
    pub(crate) fn build<S: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = S>) -> Result<Built> {
        let mut command = self.cargo(arguments);
        let mut built = Built::default();
        read_lines(&mut command, |line| {
            if let Ok(message) = serde_json::from_slice(line) {
                built.add(&message);
            }
        })?;
        Ok(built)
    }

    /// Builds the program `name` of the package of that name and returns its path.
    pub(crate) fn build_package(&self, name: &str, arguments: &[&str]) -> Result<PathBuf> {
        let build = ["build", MESSAGES, "--package", name];
        let built = self.build(build.iter().chain(arguments))?;
        built
            .program(name)
            .with_context(|| format!("the package {name} has no program `{name}`"))
    }

    /// Lists the features of a package, `default` aside.
    pub(crate) fn features(&self, package: &str) -> Result<Vec<String>> {
        let output = self
            .cargo(["metadata", "--no-deps", "--format-version=1"])
            .stderr(Stdio::inherit())
            .output();
        let output = output.context("cannot run cargo metadata")?;
        if !output.status.success() {
            bail!("cargo metadata failed ({})", output.status);
        }
        let metadata = serde_json::from_slice(&output.stdout).context("cargo metadata wrote no JSON")?;
        features_of(&metadata, package).with_context(|| format!("cargo metadata knows no package {package}"))
    }
}

/// What [`Workspace::build`] reads. Arguments of the user may follow, among them a `--`.
pub(crate) const MESSAGES: &str = "--message-format=json-render-diagnostics";

/// The programs that a build made.
#[derive(Debug, Default)]
pub(crate) struct Built {
    /// The kind of target, its name and its path.
    programs: Vec<(&'static str, String, PathBuf)>,
}

impl Built {
    /// The path of the program `name`.
    pub(crate) fn program(&self, name: &str) -> Option<PathBuf> {
        self.find("bin", name)
    }

    /// The path of the example `name`.
    pub(crate) fn example(&self, name: &str) -> Option<PathBuf> {
        self.find("example", name)
    }

    fn find(&self, kind: &str, name: &str) -> Option<PathBuf> {
        let mut programs = self.programs.iter();
        programs
            .find(|(its_kind, its_name, _)| *its_kind == kind && its_name == name)
            .map(|(.., path)| path.clone())
    }

    /// Adds what cargo says that it made, if it is a program and no test.
    fn add(&mut self, message: &Value) {
        let target = &message["target"];
        let is_test = message["profile"]["test"] == true;
        let kinds = target["kind"].as_array().map_or([].as_slice(), Vec::as_slice);
        let kind = ["bin", "example"]
            .into_iter()
            .find(|kind| kinds.contains(&(*kind).into()));
        let found = (kind, target["name"].as_str(), message["executable"].as_str());
        if let ((Some(kind), Some(name), Some(path)), false) = (found, is_test) {
            self.programs.push((kind, name.to_owned(), path.into()));
        }
    }
}

/// Runs `command` to its end and hands every line of its output to `each`, line break included.
pub(crate) fn read_lines(command: &mut Command, mut each: impl FnMut(&[u8])) -> Result<()> {
    let told = describe(command);
    let mut child = command
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot run {told}"))?;
    if let Some(stdout) = child.stdout.take() {
        let mut reader = BufReader::new(stdout);
        let mut line = Vec::new();
        while reader
            .read_until(b'\n', &mut line)
            .with_context(|| format!("cannot read from {told}"))?
            > 0
        {
            each(&line);
            line.clear();
        }
    }
    let status = child.wait().with_context(|| format!("cannot wait for {told}"))?;
    if !status.success() {
        bail!("{told} failed ({status})");
    }
    Ok(())
}

/// Runs `command`, its output going where ours goes.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let told = describe(command);
    let status = command.status().with_context(|| format!("cannot run {told}"))?;
    if !status.success() {
        bail!("{told} failed ({status})");
    }
    Ok(())
}

/// The command as one would type it.
fn describe(command: &Command) -> String {
    let program = Path::new(command.get_program())
        .file_stem()
        .unwrap_or(command.get_program());
    let words: Vec<_> = std::iter::once(program)
        .chain(command.get_args())
        .map(OsStr::to_string_lossy)
        .collect();
    format!("`{}`", words.join(" "))
}

fn features_of(metadata: &Value, package: &str) -> Option<Vec<String>> {
    let package = metadata["packages"]
        .as_array()?
        .iter()
        .find(|found| found["name"] == package)?;
    let features = package["features"].as_object()?.keys();
    Some(
        features
            .filter(|feature| *feature != "default")
            .cloned()
            .collect(),
    )
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_program_is_told_apart_from_its_unit_tests_its_library_and_an_example() {
        let message = |kind: &str, test: bool| {
            json!({
                "reason": "compiler-artifact",
                "target": {"name": "lucida", "kind": [kind]},
                "profile": {"test": test},
                "executable": format!("/target/{kind}/lucida"),
            })
        };
        let built = |message: &Value| {
            let mut built = Built::default();
            built.add(message);
            (
                built.program("lucida"),
                built.example("lucida"),
                built.program("other"),
            )
        };
        assert_eq!(
            built(&message("bin", false)),
            (Some("/target/bin/lucida".into()), None, None)
        );
        assert_eq!(
            built(&message("example", false)),
            (None, Some("/target/example/lucida".into()), None)
        );
        assert_eq!(built(&message("bin", true)), (None, None, None));
        assert_eq!(built(&message("lib", false)), (None, None, None));
        assert_eq!(
            built(&json!({"reason": "build-finished", "success": true})),
            (None, None, None)
        );
    }

    #[test]
    fn the_features_of_a_package_are_listed_without_the_default_one() {
        let metadata = json!({"packages": [
            {"name": "other", "features": {"x": []}},
            {"name": "lucida", "features": {"default": ["storage-disk"], "storage-disk": [], "index-embedded": []}},
        ]});
        let features = features_of(&metadata, "lucida").unwrap();
        assert_eq!(features.len(), 2);
        assert!(features.iter().any(|feature| feature == "storage-disk"));
        assert_eq!(features_of(&metadata, "absent"), None);
    }

    #[test]
    fn a_command_that_fails_is_named_in_the_error() {
        let workspace = Workspace::locate().unwrap();
        let error = run(workspace.cargo(["no-such-command"]).stderr(Stdio::null()))
            .unwrap_err()
            .to_string();
        assert!(error.starts_with("`cargo no-such-command` failed"), "{error}");
    }
}
