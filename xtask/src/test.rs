//! `cargo xtask test`: everything that the tests need put in place, the tests, and their sum.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::io::{self, Write as _};
use std::path::PathBuf;

use anyhow::{Result, bail};

use crate::cargo::{MESSAGES, Workspace, read_lines};
use crate::clients::{self, Clients};
use crate::interrupt::Interrupt;
use crate::photos;
use crate::servers::{self, Installation, Installed, Running};
use lucida_setup::cache::{self, Cache};

/// The variable whose presence makes a test that can't run fail instead of being skipped.
const NO_SKIPS: &str = "CI";

/// What tests may use.
pub(crate) struct Resources {
    variables: Vec<(&'static str, OsString)>,
    servers: Option<Running>,
}

impl Resources {
    /// Puts everything in place, servers aside.
    pub(crate) fn prepare(cache: &Cache) -> Result<Self> {
        lucida_setup::ensure(cache, false)?;
        lucida_setup::ensure_openvino_where_published(cache)?;
        let photos = photos::ensure(cache)?;
        // Tests run in their package's folder, where a relative cache folder would be another one.
        let root = cache.root().to_path_buf();
        Ok(Self {
            variables: vec![(cache::VARIABLE, root.into()), (photos::VARIABLE, photos.into())],
            servers: None,
        })
    }

    /// Starts the servers, which end with this.
    pub(crate) fn start_servers(&mut self, installed: Installed, stand_in: PathBuf) -> Result<&Running> {
        Ok(self.servers.insert(Running::start(
            servers::start_containers(),
            installed,
            Some(stand_in),
        )?))
    }

    /// Lets tests use the real clients of other products.
    pub(crate) fn add_clients(&mut self, clients: &Clients) {
        self.variables.extend(clients.variables());
    }

    /// Lets no test be skipped: those that lack something fail.
    pub(crate) fn forbid_skips(&mut self) {
        self.variables.push((NO_SKIPS, "true".into()));
    }

    /// The variables by which tests find what there is.
    fn variables(&self) -> Vec<(&'static str, OsString)> {
        let servers = self.servers.iter().flat_map(Running::variables);
        self.variables.iter().cloned().chain(servers).collect()
    }
}

/// Runs the command.
pub(crate) fn run(cache: &Cache, workspace: &Workspace, arguments: &[OsString]) -> Result<()> {
    let interrupt = Interrupt::by_keyboard()?;
    let needs_servers = servers::needed(arguments);
    let installation = needs_servers.then(|| Installation::begin(cache));
    let clients = needs_servers.then(|| clients::Installation::begin(cache, workspace));
    let mut resources = Resources::prepare(cache)?;
    let mut cargo_arguments = scope(arguments);
    cargo_arguments.extend(arguments.iter().map(OsString::as_os_str));
    if let Some(installation) = installation {
        // Before the servers start: most runs of the tests end here.
        let build = ["test", "--no-run", MESSAGES].map(OsStr::new);
        let built = workspace.build(build.iter().chain(&cargo_arguments))?;
        let stand_in = servers::stand_in(&built);
        let stand_in = stand_in.map_or_else(|| servers::build_stand_in(workspace), Ok)?;
        let installed = installation.finish()?;
        interrupt.check()?;
        resources.start_servers(installed, stand_in)?.print_missing();
        interrupt.check()?;
    }
    if let Some(clients) = clients {
        match clients.finish() {
            Ok(clients) => resources.add_clients(&clients),
            Err(error) => eprintln!("warning: no clients, and tests that need them are skipped: {error:#}"),
        }
        interrupt.check()?;
    }
    let mut sum = Sum::default();
    let outcome = execute(workspace, &resources, &cargo_arguments, &mut sum);
    println!("\n{sum}");
    outcome
}

/// Runs `cargo test` with `arguments`, shows what it prints, and adds its results to `sum`.
pub(crate) fn execute(
    workspace: &Workspace,
    resources: &Resources,
    arguments: &[&OsStr],
    sum: &mut Sum,
) -> Result<()> {
    let mut command = workspace.cargo(["test"]);
    command.args(arguments).envs(resources.variables());
    let mut shown = Ok(());
    read_lines(&mut command, |line| {
        sum.add(&String::from_utf8_lossy(line));
        if shown.is_ok() {
            shown = io::stdout().write_all(line);
        }
    })?;
    shown?;
    if sum.failed > 0 {
        bail!("{} tests failed", sum.failed);
    }
    Ok(())
}

/// The whole workspace, unless the user's own arguments choose packages.
fn scope(arguments: &[OsString]) -> Vec<&'static OsStr> {
    let chosen = arguments
        .iter()
        .take_while(|argument| *argument != "--")
        .any(|argument| {
            let argument = argument.to_string_lossy();
            argument.starts_with("-p")
                || ["--package", "--workspace", "--all", "--manifest-path"].contains(&argument.as_ref())
                || argument.starts_with("--package=")
        });
    if chosen {
        Vec::new()
    } else {
        vec![OsStr::new("--workspace")]
    }
}

/// How many tests passed, failed and were skipped, and which failed.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Sum {
    pub(crate) passed: u64,
    pub(crate) failed: u64,
    pub(crate) skipped: u64,
    pub(crate) failures: Vec<String>,
}

impl Sum {
    /// Adds a line of a test program's output, if it is the result of a failed test or of the whole program.
    fn add(&mut self, line: &str) {
        if let Some(name) = line
            .strip_prefix("test ")
            .and_then(|rest| rest.trim_end().strip_suffix(" ... FAILED"))
        {
            self.failures.push(name.to_owned());
        }
        let Some((_, counts)) = line
            .strip_prefix("test result: ")
            .and_then(|rest| rest.split_once(". "))
        else {
            return;
        };
        for count in counts.split(';') {
            let mut words = count.split_whitespace();
            let number: u64 = words.next().and_then(|word| word.parse().ok()).unwrap_or(0);
            match words.next() {
                Some("passed") => self.passed += number,
                Some("failed") => self.failed += number,
                Some("ignored") => self.skipped += number,
                _ => {}
            }
        }
    }
}

impl fmt::Display for Sum {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            out,
            "{} passed, {} failed, {} skipped",
            self.passed, self.failed, self.skipped
        )?;
        for name in &self.failures {
            write!(out, "\nfailed: {name}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_results_of_several_test_programs_add_up() {
        let mut sum = Sum::default();
        for line in [
            "running 4 tests\n",
            "test a_result: ok. 9 passed ... ok\n",
            "test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 2 filtered out; finished in 0.00s\n",
            "test outages::a_store_is_silent ... FAILED\n",
            "test result: FAILED. 4 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out; finished in 1.20s\n",
        ] {
            sum.add(line);
        }
        assert_eq!(
            sum,
            Sum {
                passed: 7,
                failed: 2,
                skipped: 1,
                failures: vec!["outages::a_store_is_silent".to_owned()],
            }
        );
        assert_eq!(
            sum.to_string(),
            "7 passed, 2 failed, 1 skipped\nfailed: outages::a_store_is_silent"
        );
    }

    #[test]
    fn skips_are_forbidden_by_the_variable_that_tests_look_at() {
        let mut resources = Resources {
            variables: Vec::new(),
            servers: None,
        };
        assert_eq!(resources.variables(), []);
        resources.forbid_skips();
        assert_eq!(resources.variables(), [("CI", "true".into())]);
    }

    #[test]
    fn the_workspace_is_tested_unless_a_package_is_named_before_the_double_dash() {
        let scope_of = |words: &[&str]| scope(&words.iter().map(OsString::from).collect::<Vec<_>>()).len();
        assert_eq!(scope_of(&[]), 1);
        assert_eq!(scope_of(&["--release", "name_of_a_test"]), 1);
        assert_eq!(scope_of(&["-p", "lucida-core"]), 0);
        assert_eq!(scope_of(&["--package=lucida-core"]), 0);
        assert_eq!(scope_of(&["--", "-p"]), 1);
    }
}
