//! `cargo xtask ci`: every check that a change must pass, in an order that shares what is compiled.
//!
//! Clippy, the documentation and the features compile dependencies to metadata only and share it;
//! tests compile them whole, once. Everything is a debug build.

use std::ffi::OsStr;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

use crate::cargo::{MESSAGES, Workspace, run as execute};
use crate::interrupt::Interrupt;
use crate::servers::{self, Installation};
use crate::test::{self, Resources, Sum};
use crate::{clients, generate, scaffold};
use lucida_setup::cache::Cache;

/// Features that are not checked alone: building them takes `nvcc`, or macOS.
const OF_GRAPHICS_CARDS: [&str; 2] = ["cuda", "metal"];

/// Runs the command.
pub(crate) fn run(cache: &Cache, mut workspace: Workspace) -> Result<()> {
    let shared = std::env::var_os("CARGO_TARGET_DIR").is_none();
    workspace.default_variable("CARGO_TARGET_DIR", cache.path("target"));
    let mut steps = Steps::default();
    let mut sum = Sum::default();
    if std::env::var_os("CI").is_some() {
        // What is built once and thrown away gains nothing from incremental compilation.
        workspace.default_variable("CARGO_INCREMENTAL", "0");
        if shared {
            // Each clone has its own files of the workspace's crates, 2 GiB that no later clone reads.
            steps.run("files of earlier clones", || {
                execute(&mut workspace.cargo(["clean", "--workspace"]))
            })?;
        }
    }
    let outcome = check(&mut steps, &mut sum, cache, &workspace);
    steps.print();
    if sum != Sum::default() {
        println!("{sum}");
    }
    outcome
}

fn check(steps: &mut Steps, sum: &mut Sum, cache: &Cache, workspace: &Workspace) -> Result<()> {
    let cargo = |arguments: &[&str]| execute(&mut workspace.cargo(arguments));
    let interrupt = Interrupt::by_keyboard()?;
    let installation = Installation::begin(cache);
    let clients = clients::Installation::begin(cache, workspace);

    steps.run("format", || cargo(&["fmt", "--all", "--check"]))?;
    steps.run("lints", || {
        cargo(&[
            "clippy",
            "--workspace",
            "--all-targets",
            "--locked",
            "--",
            "--deny",
            "warnings",
        ])
    })?;
    steps.run("docs", || {
        let mut doc = workspace.cargo(["doc", "--workspace", "--no-deps", "--locked"]);
        execute(doc.env("RUSTDOCFLAGS", "--deny warnings"))
    })?;
    let mut features = workspace.features("lucida")?;
    features.retain(|feature| !OF_GRAPHICS_CARDS.contains(&feature.as_str()));
    for feature in std::iter::once("").chain(features.iter().map(String::as_str)) {
        let name = if feature.is_empty() {
            "no feature".into()
        } else {
            format!("feature {feature} alone")
        };
        // Clippy rather than check: it shares the members' metadata with the step above.
        let alone = [
            "clippy",
            "--package=lucida",
            "--locked",
            "--no-default-features",
            "--features",
            feature,
        ];
        steps.run(&name, || {
            cargo(&[alone.as_slice(), &["--", "--deny", "warnings"]].concat())
        })?;
    }
    steps.run("new backends", || {
        scaffold::check(workspace, &cache.path("new-backends"))
    })?;
    let mut resources = steps.run("setup", || Resources::prepare(cache))?;
    let built = steps.run("build tests", || {
        workspace.build(["test", MESSAGES, "--workspace", "--locked", "--no-run"])
    })?;
    steps.run("servers", || {
        let stand_in = servers::stand_in(&built);
        let stand_in = stand_in.map_or_else(|| servers::build_stand_in(workspace), Ok)?;
        let installed = installation.finish()?;
        interrupt.check()?;
        resources.start_servers(installed, stand_in)?.complete()
    })?;
    steps.run("clients", || {
        resources.add_clients(&clients.finish()?);
        Ok(())
    })?;
    resources.forbid_skips();
    steps.run("tests", || {
        let arguments = ["--workspace", "--locked", "--no-fail-fast"].map(OsStr::new);
        test::execute(workspace, &resources, &arguments, sum)?;
        if sum.passed == 0 {
            bail!("no test ran");
        }
        Ok(())
    })?;
    // The rest needs no servers.
    drop(resources);
    steps.run("generated files", || {
        let server = built.program("lucida");
        let server =
            server.context("the tests built no server: the root package has no test that runs it")?;
        generate::compare(workspace, &server)
    })
}

/// The steps that ran, with their times.
#[derive(Default)]
struct Steps {
    done: Vec<(String, Duration, bool)>,
}

impl Steps {
    fn run<T>(&mut self, name: &str, step: impl FnOnce() -> Result<T>) -> Result<T> {
        println!("── {name}");
        let start = Instant::now();
        let outcome = step();
        let time = start.elapsed();
        println!(
            "── {name}: {} in {:.1} s\n",
            verdict(outcome.is_ok()),
            time.as_secs_f64()
        );
        self.done.push((name.into(), time, outcome.is_ok()));
        outcome.with_context(|| format!("ci step `{name}` failed"))
    }

    fn print(&self) {
        let width = self.done.iter().map(|(name, ..)| name.len()).max().unwrap_or(0);
        for (name, time, passed) in &self.done {
            println!(
                "{name:width$}  {:>7.1} s  {}",
                time.as_secs_f64(),
                verdict(*passed)
            );
        }
        let total: Duration = self.done.iter().map(|(_, time, _)| *time).sum();
        println!("{:width$}  {:>7.1} s", "", total.as_secs_f64());
    }
}

fn verdict(passed: bool) -> &'static str {
    if passed { "ok" } else { "FAILED" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_that_fails_is_named_in_the_error_and_in_the_list() {
        let mut steps = Steps::default();
        assert_eq!(steps.run("format", || Ok(7)).unwrap(), 7);
        let error = steps
            .run("lints", || -> Result<()> { bail!("2 warnings") })
            .unwrap_err();
        assert_eq!(format!("{error:#}"), "ci step `lints` failed: 2 warnings");
        let list: Vec<_> = steps
            .done
            .iter()
            .map(|(name, _, passed)| (name.as_str(), *passed))
            .collect();
        assert_eq!(list, [("format", true), ("lints", false)]);
    }
}
