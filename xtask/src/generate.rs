//! `cargo xtask generate`: the files that are made from the code, written or compared.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};

use crate::cargo::Workspace;

/// A file in the checkout and the server's command that prints it.
const FILES: [(&str, &[&str]); 2] = [
    ("config/README.md", &["config", "reference"]),
    ("config/default.toml", &["config", "defaults"]),
];

/// Runs the command.
pub(crate) fn run(workspace: &Workspace, check: bool) -> Result<()> {
    let server = workspace.build_package("lucida", &[])?;
    if check {
        compare(workspace, &server)
    } else {
        write(workspace, &server)
    }
}

/// Fails where a file isn't what `server` prints.
pub(crate) fn compare(workspace: &Workspace, server: &Path) -> Result<()> {
    for (file, arguments) in FILES {
        let wanted = printed(server, arguments)?;
        let found =
            fs::read_to_string(workspace.path(file)).with_context(|| format!("cannot read {file}"))?;
        if let Some(line) = first_difference(&found, &wanted) {
            bail!(
                "{file} differs from the code at line {line}: run `cargo xtask generate` and commit the result"
            );
        }
    }
    Ok(())
}

fn write(workspace: &Workspace, server: &Path) -> Result<()> {
    for (file, arguments) in FILES {
        let wanted = printed(server, arguments)?;
        let path = workspace.path(file);
        let unchanged = fs::read_to_string(&path).is_ok_and(|found| found == wanted);
        if !unchanged {
            fs::write(&path, wanted).with_context(|| format!("cannot write {file}"))?;
        }
        println!("{file}: {}", if unchanged { "unchanged" } else { "written" });
    }
    Ok(())
}

fn printed(server: &Path, arguments: &[&str]) -> Result<String> {
    let told = format!("`lucida {}`", arguments.join(" "));
    let output = Command::new(server)
        .args(arguments)
        .stderr(Stdio::inherit())
        .output();
    let output = output.with_context(|| format!("cannot run {told}"))?;
    if !output.status.success() {
        bail!("{told} failed ({})", output.status);
    }
    String::from_utf8(output.stdout).with_context(|| format!("{told} printed something that is not UTF-8"))
}

/// The first line, counted from one, at which the texts differ.
fn first_difference(found: &str, wanted: &str) -> Option<usize> {
    if found == wanted {
        return None;
    }
    let same = found
        .split('\n')
        .zip(wanted.split('\n'))
        .take_while(|(found, wanted)| found == wanted);
    Some(same.count() + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_line_that_differs_is_named() {
        assert_eq!(first_difference("a\nb\n", "a\nb\n"), None);
        assert_eq!(first_difference("a\nb\n", "a\nc\n"), Some(2));
        assert_eq!(first_difference("a\n", "a\nb\n"), Some(2));
        assert_eq!(first_difference("a", "a\n"), Some(2));
        assert_eq!(first_difference("", "a\n"), Some(1));
    }
}
