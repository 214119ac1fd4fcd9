//! Programs built from published Go modules.

use std::io::ErrorKind;
use std::path::Path;
use std::process::{Command, Output};

use anyhow::{Context as _, Result, anyhow, bail};

/// The oldest Go that builds every server.
const OLDEST: (u32, u32) = (1, 25);

/// MinIO, whose makers publish its source only. Go checks that the module is the one its public log of checksums knows.
pub(super) const MINIO: &str = "github.com/minio/minio@v0.0.0-20260212201848-7aac2a2c5b7c";

/// Weaviate, which asks an inference container for its vectors; its makers publish images only.
pub(crate) const WEAVIATE: &str = "github.com/weaviate/weaviate/cmd/weaviate-server@v1.35.2";

/// FerretDB as a library and the program around it: name and content of each file.
///
/// The last version that needs no PostgreSQL. Its own program can't be built from the published module, which lacks a
/// file.
pub(super) const FERRETDB: [(&str, &str); 3] = [
    ("go.mod", include_str!("ferretdb/go.mod")),
    ("go.sum", include_str!("ferretdb/go.sum")),
    ("main.go", include_str!("ferretdb/main.go")),
];

/// Of FerretDB only what keeps its data in SQLite.
pub(super) const FERRETDB_TAGS: &str = "ferretdb_no_postgresql";

/// A Go that is new enough.
pub(crate) struct Go(());

impl Go {
    /// Looks for `go` on the PATH.
    pub(crate) fn find() -> Result<Self> {
        let fix = || {
            let (major, minor) = OLDEST;
            format!(
                "install Go {major}.{minor} or newer from https://go.dev/dl and put its `bin` on the PATH"
            )
        };
        let said = match Command::new("go").arg("version").output() {
            Err(error) if error.kind() == ErrorKind::NotFound => bail!("go not found: {}", fix()),
            said => said.context("cannot run `go version`")?,
        };
        let said = String::from_utf8_lossy(&said.stdout);
        let version = version(&said).with_context(|| format!("`go version` says `{}`", said.trim()))?;
        if version < OLDEST {
            bail!("go is version {}.{}: {}", version.0, version.1, fix());
        }
        Ok(Self(()))
    }

    /// Builds the program of the module `module`, with its version after an `@`, into `folder`.
    pub(crate) fn install(&self, module: &str, folder: &Path) -> Result<()> {
        let mut go = Command::new("go");
        go.args(["install", "-trimpath", "-ldflags=-s -w", module])
            .env("GOBIN", folder);
        run(&mut go)
    }

    /// Builds the program in the folder `source` into the file `program`.
    pub(super) fn build(&self, source: &Path, tags: &str, program: &Path) -> Result<()> {
        let mut go = Command::new("go");
        go.args(["build", "-trimpath", "-ldflags=-s -w", "-tags", tags])
            .arg("-o")
            .args([program, Path::new(".")])
            .current_dir(source);
        run(&mut go)
    }
}

fn run(go: &mut Command) -> Result<()> {
    // A workspace file above the cache would take the module for one of its own.
    let Output { status, stderr, .. } = go.env("GOWORK", "off").output().context("cannot run go")?;
    if status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&stderr);
    let lines: Vec<&str> = said
        .lines()
        .filter(|line| !line.starts_with("go: downloading "))
        .collect();
    let lines = lines[lines.len().saturating_sub(8)..].join("\n");
    Err(anyhow!(
        "go failed ({status}); where it can't reach its proxy, name another in GOPROXY\n{lines}"
    ))
}

/// The version in what `go version` prints.
fn version(said: &str) -> Option<(u32, u32)> {
    let number = said
        .split_whitespace()
        .find_map(|word| word.strip_prefix("go1."))?;
    let minor = number.split(|sign: char| !sign.is_ascii_digit()).next()?;
    Some((1, minor.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_is_read_from_releases_and_candidates() {
        assert_eq!(version("go version go1.26.8 linux/amd64\n"), Some((1, 26)));
        assert_eq!(version("go version go1.27rc1 darwin/arm64\n"), Some((1, 27)));
        assert_eq!(version("go version go1.19 linux/amd64\n"), Some((1, 19)));
        assert_eq!(version("gccgo (Debian 12.2.0)\n"), None);
    }
}
