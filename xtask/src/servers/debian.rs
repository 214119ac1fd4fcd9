//! RabbitMQ and Erlang out of Debian's packages, unpacked into a folder of their own: nothing is installed into the
//! system, no service starts, and root is not needed.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use super::program::write_program;
use lucida_setup::cache::{CacheLock, Key};
use lucida_setup::wheel::take;

/// The broker and the parts of Erlang that it loads. Their libraries are those that every system with a C++ compiler and
/// Python has. The version is the one of the system's release, which its archive's signature vouches for.
const PACKAGES: [&str; 18] = [
    "rabbitmq-server",
    "erlang-asn1",
    "erlang-base",
    "erlang-crypto",
    "erlang-eldap",
    "erlang-ftp",
    "erlang-inets",
    "erlang-mnesia",
    "erlang-os-mon",
    "erlang-parsetools",
    "erlang-public-key",
    "erlang-runtime-tools",
    "erlang-snmp",
    "erlang-ssl",
    "erlang-syntax-tools",
    "erlang-tftp",
    "erlang-tools",
    "erlang-xmerl",
];

/// The script `erl` of the package has the path of the package in it.
const ERL: &str = r#"#!/bin/sh
ROOTDIR=$(dirname "$(dirname "$(readlink -f "$0")")")/lib/erlang
BINDIR=$(echo "$ROOTDIR"/erts-*/bin)
EMU=beam PROGNAME=erl
export ROOTDIR BINDIR EMU PROGNAME
exec "$BINDIR/erlexec" "$@"
"#;

/// Stands for what [`unpack`] makes: on another release of the system it is another.
pub(super) fn key() -> Key {
    let release = fs::read("/etc/os-release").unwrap_or_default();
    let parts = [ERL.as_bytes(), release.as_slice()];
    Key::of(PACKAGES.iter().map(|package| package.as_bytes()).chain(parts))
}

/// Downloads the packages and unpacks them into `made`: `lib/` with the two, `bin/` with what the broker looks for on the
/// PATH.
pub(super) fn unpack(lock: &CacheLock<'_>, made: &Path) -> Result<()> {
    for tool in ["apt-get", "dpkg-deb"] {
        let found = Command::new(tool).arg("--version").output();
        if !found.is_ok_and(|found| found.status.success()) {
            bail!(
                "RabbitMQ comes out of Debian's packages, and there is no `{tool}` here: use Debian or Ubuntu"
            );
        }
    }
    let (apt, packages, root) = (
        lock.scratch("apt")?,
        lock.scratch("packages")?,
        lock.scratch("root")?,
    );
    for folder in ["lists/partial", "cache/archives/partial"] {
        let folder = apt.join(folder);
        fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    }
    run(apt_get(&apt, &packages).arg("update"))?;
    run(apt_get(&apt, &packages).arg("download").args(PACKAGES))?;
    for package in lucida_setup::cache::files_below(&packages)? {
        run(Command::new("dpkg-deb").arg("--extract").arg(package).arg(&root))?;
    }

    let (bin, lib) = (made.join("bin"), made.join("lib"));
    for folder in [&bin, &lib] {
        fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    }
    take(&root.join("usr/lib/erlang"), &lib.join("erlang"))?;
    take(&root.join("usr/lib/rabbitmq"), &lib.join("rabbitmq"))?;
    write_program(&bin.join("erl"), ERL.as_bytes())?;
    link("../lib/erlang/bin/epmd", &bin.join("epmd"))?;
    Ok(())
}

/// Runs with lists and a cache of its own, so that the system's may be old, missing or locked.
fn apt_get(apt: &Path, folder: &Path) -> Command {
    let mut command = Command::new("apt-get");
    let own = [
        ("Dir::State::lists", apt.join("lists")),
        ("Dir::Cache", apt.join("cache")),
    ];
    for (name, path) in own {
        command.arg("-o").arg(format!("{name}={}", path.display()));
    }
    command
        .args(["-o", "Debug::NoLocking=1", "-o", "APT::Sandbox::User=root", "-q"])
        .current_dir(folder);
    command
}

fn run(command: &mut Command) -> Result<()> {
    let program = command.get_program().display().to_string();
    let done = command
        .output()
        .with_context(|| format!("cannot run {program}"))?;
    if !done.status.success() {
        let said = String::from_utf8_lossy(&done.stderr);
        bail!("{program} failed ({}): {}", done.status, said.trim());
    }
    Ok(())
}

#[cfg(unix)]
fn link(target: &str, path: &Path) -> Result<()> {
    std::os::unix::fs::symlink(target, path).with_context(|| format!("cannot link {}", path.display()))
}

#[cfg(not(unix))]
fn link(_target: &str, _path: &Path) -> Result<()> {
    bail!("servers for tests run on Unix only")
}
