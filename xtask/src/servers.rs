//! Real servers for tests: MinIO, SeaweedFS, MongoDB or FerretDB, RabbitMQ, and Qdrant or the stand-in for it.
//!
//! Where a Docker engine answers, MinIO, MongoDB, RabbitMQ and Qdrant come from images; `LUCIDA_TEST_DOCKER=0` leaves it alone.
//! Everything else, and all of them elsewhere, are programs that are installed into the cache.
//!
//! `cargo xtask servers` starts one of each and stays until it is interrupted. `cargo xtask test` starts them where the
//! packages to be tested use any, and `cargo xtask ci` always; both end them with the tests.

mod debian;
pub(crate) mod go;
mod install;
mod program;

use std::ffi::OsString;
use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;

use anyhow::{Context as _, Result, anyhow, bail};
use lucida_test_servers::{
    ACCESS_KEY_ID, BUCKET, Container, Docker, Kind, Programs, SECRET_ACCESS_KEY, Server, variable,
};

pub(crate) use install::{Installation, Installed};

use crate::cargo::{Built, MESSAGES, Workspace};
use crate::interrupt::Interrupt;
use lucida_setup::cache::Cache;

/// The package that builds the stand-in for Qdrant, and its name there.
const STAND_IN: (&str, &str) = ("lucida-qdrant", "qdrant-stand-in");

/// What comes from Docker images.
const IMAGES: [Kind; 4] = [Kind::Minio, Kind::Mongodb, Kind::Rabbitmq, Kind::Qdrant];

/// The packages whose tests use servers.
const USERS: [&str; 6] = [
    "lucida",
    "lucida-opendal",
    "lucida-mongodb",
    "lucida-rabbitmq",
    "lucida-qdrant",
    "lucida-test-servers",
];

/// Runs the command.
pub(crate) fn run(cache: &Cache, workspace: &Workspace) -> Result<()> {
    let interrupt = Interrupt::by_any_signal()?;
    let containers = start_containers();
    // Images are enough by themselves.
    let (installed, stand_in) = if containers.len() == IMAGES.len() {
        (Installed::nothing(cache), None)
    } else {
        (install::ensure(cache)?, Some(build_stand_in(workspace)?))
    };
    interrupt.check()?;
    let running = Running::start(containers, installed, stand_in)?;
    running.print_missing();

    let folder = tempfile::Builder::new().prefix("lucida-servers-").tempdir();
    let folder = folder.context("cannot make a temporary folder")?;
    let settings = folder.path().join("lucida.toml");
    fs::write(&settings, running.settings())
        .with_context(|| format!("cannot write {}", settings.display()))?;
    for (name, value) in running.variables() {
        println!("export {name}={}", quoted(&value.to_string_lossy()));
    }
    println!("# on these servers: lucida serve --config {}", settings.display());
    println!("# Ctrl-C ends them");
    interrupt.wait();
    Ok(())
}

/// Whether tests of what the arguments of `cargo test` choose use servers; where that isn't plain, they do.
pub(crate) fn needed(arguments: &[OsString]) -> bool {
    let mut chosen = Vec::new();
    let mut words = arguments.iter().map(|word| word.to_string_lossy());
    while let Some(word) = words.next().filter(|word| word != "--") {
        if word == "-p" || word == "--package" {
            chosen.extend(words.next());
        } else if let Some(package) = word.strip_prefix("--package=").or(word.strip_prefix("-p")) {
            chosen.push(package.to_owned().into());
        } else if ["--workspace", "--all", "--manifest-path"].contains(&word.as_ref()) {
            return true;
        } else if ["--no-run", "--doc"].contains(&word.as_ref()) {
            return false;
        }
    }
    let is_plain = |package: &str| {
        package
            .chars()
            .all(|sign| sign.is_ascii_alphanumeric() || "-_".contains(sign))
    };
    chosen.is_empty()
        || chosen
            .iter()
            .any(|package| !is_plain(package) || USERS.contains(&package.as_ref()))
}

/// Builds the stand-in for Qdrant by itself, and returns its path.
pub(crate) fn build_stand_in(workspace: &Workspace) -> Result<PathBuf> {
    let (package, name) = STAND_IN;
    let built = workspace.build(["build", MESSAGES, "--package", package, "--example", name])?;
    stand_in(&built).with_context(|| format!("the package {package} has no example `{name}`"))
}

/// The stand-in for Qdrant, where a build has made it.
pub(crate) fn stand_in(built: &Built) -> Option<PathBuf> {
    built.example(STAND_IN.1)
}

/// The programs of every server, installed and built, for those who start their own.
pub(crate) fn programs(cache: &Cache, workspace: &Workspace) -> Result<Programs> {
    let installed = install::ensure(cache)?;
    if let Some((kind, error)) = installed.missing.first() {
        bail!("no {kind}: {error:#}");
    }
    Ok(Programs::new(installed.folder, Some(build_stand_in(workspace)?)))
}

/// The variables by which tests find the programs.
pub(crate) fn locations(programs: &Programs) -> Vec<(&'static str, OsString)> {
    let mut locations: Vec<(&str, OsString)> = vec![(variable::SERVERS, programs.folder().into())];
    if let Some(program) = programs.stand_in() {
        locations.push((variable::QDRANT_STAND_IN_PROGRAM, program.into()));
    }
    locations
}

/// Starts what comes from Docker images, side by side; nothing where no engine answers. A kind that fails is reported, and
/// its program is used.
pub(crate) fn start_containers() -> Vec<Container> {
    let Some(docker) = Docker::find() else {
        return Vec::new();
    };
    eprintln!(
        "starting servers from Docker images; {}=0 uses programs",
        variable::DOCKER
    );
    let started = side_by_side(IMAGES, |kind| docker.start(kind));
    let report =
        |outcome: Result<Container>| outcome.inspect_err(|error| eprintln!("warning: {error:#}")).ok();
    started.into_iter().filter_map(report).collect()
}

/// Starts a server of each kind in a thread of its own.
fn side_by_side<T: Send>(
    kinds: impl IntoIterator<Item = Kind>,
    start: impl Fn(Kind) -> Result<T> + Sync,
) -> Vec<Result<T>> {
    let start = &start;
    std::thread::scope(|scope| {
        let starts: Vec<_> = kinds
            .into_iter()
            .map(|kind| scope.spawn(move || start(kind)))
            .collect();
        let join = |start: std::thread::ScopedJoinHandle<'_, Result<T>>| {
            start
                .join()
                .unwrap_or_else(|_| Err(anyhow!("the start of a server panicked")))
        };
        starts.into_iter().map(join).collect()
    })
}

/// One server of each kind; they end when this is dropped.
pub(crate) struct Running {
    programs: Programs,
    containers: Vec<Container>,
    servers: Vec<Server>,
    missing: Vec<(Kind, anyhow::Error)>,
}

impl Running {
    /// Starts the program of every kind that could be installed and is not among `containers`, side by side.
    pub(crate) fn start(
        containers: Vec<Container>,
        installed: Installed,
        stand_in: Option<PathBuf>,
    ) -> Result<Self> {
        let Installed {
            folder,
            kinds,
            missing,
        } = installed;
        let is_in_container = |kind: Kind| {
            let image = if kind == Kind::Ferretdb {
                Kind::Mongodb
            } else {
                kind
            };
            containers.iter().any(|container| container.kind() == image)
        };
        let stand_in_kind = stand_in.is_some().then_some(Kind::QdrantStandIn);
        let programs = Programs::new(folder, stand_in);
        let kinds = kinds.into_iter().filter(|&kind| !is_in_container(kind));
        let servers = side_by_side(kinds.chain(stand_in_kind), |kind| Server::start(kind, &programs));
        Ok(Self {
            programs,
            servers: servers.into_iter().collect::<Result<_>>()?,
            containers,
            missing,
        })
    }

    /// Fails where a kind couldn't be installed.
    pub(crate) fn complete(&self) -> Result<()> {
        match self.missing.first() {
            None => Ok(()),
            Some((kind, error)) => bail!("no {kind}: {error:#}"),
        }
    }

    /// Says which kinds couldn't be installed.
    pub(crate) fn print_missing(&self) {
        for (kind, error) in &self.missing {
            eprintln!("warning: no {kind}, and tests that need it are skipped: {error:#}");
        }
    }

    /// The variables by which tests find the servers and their programs.
    pub(crate) fn variables(&self) -> Vec<(&'static str, OsString)> {
        let servers = self.servers.iter().flat_map(Server::variables);
        let containers = self.containers.iter().flat_map(Container::variables);
        let mut variables: Vec<(&str, OsString)> = servers
            .chain(containers)
            .map(|(name, value)| (name, value.into()))
            .collect();
        variables.extend(locations(&self.programs));
        variables
    }

    /// Settings that put Lucida on these servers.
    fn settings(&self) -> String {
        let containers = self
            .containers
            .iter()
            .map(|container| (container.kind(), container.url()));
        let servers = self.servers.iter().map(|server| (server.kind(), server.url()));
        let has_qdrant = self
            .containers
            .iter()
            .any(|container| container.kind() == Kind::Qdrant);
        let mut settings = String::new();
        for (kind, url) in containers.chain(servers) {
            let _ = match kind {
                Kind::Minio => write!(
                    settings,
                    "[storage]\ntype = \"s3\"\n[storage.s3]\nendpoint = \"{url}\"\nbucket = \"{BUCKET}\"\n\
                     access_key_id = \"{ACCESS_KEY_ID}\"\nsecret_access_key = \"{SECRET_ACCESS_KEY}\"\n\n"
                ),
                Kind::Mongodb | Kind::Ferretdb => write!(
                    settings,
                    "[metadata]\ntype = \"mongodb\"\n[metadata.mongodb]\nuri = \"{url}\"\n\n"
                ),
                Kind::Rabbitmq => write!(
                    settings,
                    "[queue]\ntype = \"rabbitmq\"\n[queue.rabbitmq]\nuri = \"{url}\"\n\n"
                ),
                // One object store and one index are enough.
                Kind::Seaweedfs => Ok(()),
                Kind::QdrantStandIn if has_qdrant => Ok(()),
                Kind::Qdrant | Kind::QdrantStandIn => write!(
                    settings,
                    "[index]\ntype = \"qdrant\"\n[index.qdrant]\nurl = \"{url}\"\n\n"
                ),
            };
        }
        settings
    }
}

/// `value` as a shell reads it.
fn quoted(value: &str) -> String {
    format!("'{}'", value.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_start_for_the_workspace_and_for_packages_that_use_them() {
        let needed_by = |words: &[&str]| needed(&words.iter().map(OsString::from).collect::<Vec<_>>());
        assert!(needed_by(&[]));
        assert!(needed_by(&["name_of_a_test"]));
        assert!(needed_by(&["--workspace"]));
        assert!(needed_by(&["-p", "lucida"]));
        assert!(needed_by(&["-plucida-rabbitmq", "--", "--nocapture"]));
        assert!(needed_by(&["-p", "lucida-core", "--package=lucida-mongodb"]));
        assert!(needed_by(&["-p", "lucida-*"]));
        assert!(!needed_by(&["-p", "lucida-core"]));
        assert!(!needed_by(&["-p", "lucida", "--no-run"]));
        assert!(!needed_by(&[
            "--package",
            "lucida-sqlite",
            "-p",
            "xtask",
            "--",
            "-p",
            "lucida"
        ]));
    }

    #[test]
    fn a_value_is_quoted_as_the_shell_reads_it() {
        assert_eq!(quoted("amqp://a:b@127.0.0.1/%2f"), "'amqp://a:b@127.0.0.1/%2f'");
        assert_eq!(quoted("it's"), r"'it'\''s'");
    }
}
