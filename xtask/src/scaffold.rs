//! `cargo xtask new-backend` and `new-plugin`: crates to start from.
//!
//! Both compile against core as it is, which `cargo xtask ci` checks. Each operation of a backend returns an error until it
//! is written, and the contract suite shows which are left. A plugin works from the start, on a small example.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};
use clap::ValueEnum;

use crate::cargo::{Workspace, run as execute};
use lucida_setup::cache::remove_dir;

/// What a backend can be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Role {
    Storage,
    Metadata,
    Index,
    Queue,
    Embedder,
}

impl Role {
    const fn name(self) -> &'static str {
        match self {
            Self::Storage => "storage",
            Self::Metadata => "metadata",
            Self::Index => "index",
            Self::Queue => "queue",
            Self::Embedder => "embedder",
        }
    }

    const fn part(self) -> &'static str {
        match self {
            Self::Storage => "blob store",
            Self::Metadata => "metadata store",
            Self::Index => "vector index",
            Self::Queue => "job queue",
            Self::Embedder => "embedder",
        }
    }

    const fn trait_name(self) -> &'static str {
        match self {
            Self::Storage => "Storage",
            Self::Metadata => "MetadataStore",
            Self::Index => "VectorIndex",
            Self::Queue => "JobQueue",
            Self::Embedder => "Embedder",
        }
    }

    /// The implementation's file, named by the trait's noun.
    const fn file(self) -> &'static str {
        match self {
            Self::Storage | Self::Metadata => "store",
            Self::Index => "index",
            Self::Queue => "queue",
            Self::Embedder => "model",
        }
    }

    /// What the implementation's name ends with.
    const fn suffix(self) -> &'static str {
        match self {
            Self::Storage => "Storage",
            Self::Metadata => "Metadata",
            Self::Index => "Index",
            Self::Queue => "Queue",
            Self::Embedder => "Model",
        }
    }

    const fn dependencies(self) -> &'static [&'static str] {
        match self {
            Self::Storage => &["async-trait", "futures", "schemars", "serde"],
            Self::Metadata => &["async-trait", "jiff", "schemars", "serde", "serde_json"],
            Self::Index | Self::Queue => &["async-trait", "schemars", "serde"],
            Self::Embedder => &["lucida-models", "schemars", "serde"],
        }
    }

    const fn implementation(self) -> &'static str {
        match self {
            Self::Storage => include_str!("scaffold/templates/storage.rs.txt"),
            Self::Metadata => include_str!("scaffold/templates/metadata.rs.txt"),
            Self::Index => include_str!("scaffold/templates/index.rs.txt"),
            Self::Queue => include_str!("scaffold/templates/queue.rs.txt"),
            Self::Embedder => include_str!("scaffold/templates/embedder.rs.txt"),
        }
    }

    const fn factory(self) -> &'static str {
        match self {
            Self::Storage | Self::Metadata | Self::Index | Self::Queue => {
                include_str!("scaffold/templates/factory.rs.txt")
            }
            Self::Embedder => include_str!("scaffold/templates/factory-embedder.rs.txt"),
        }
    }
}

/// Runs the command.
pub(crate) fn run(workspace: &Workspace, role: Role, name: &str) -> Result<()> {
    let backend = Backend::new(role, name)?;
    let folder = PathBuf::from("backends").join(backend.folder());
    backend.write(&workspace.path(&folder), workspace)?;
    println!("{}", backend.next_steps(&folder));
    Ok(())
}

/// Writes the crate of a new plugin.
pub(crate) fn run_plugin(workspace: &Workspace, name: &str) -> Result<()> {
    let plugin = Plugin::new(name)?;
    let folder = PathBuf::from("plugins").join(&plugin.type_name);
    plugin.write(&workspace.path(&folder), workspace)?;
    println!("{}", plugin.next_steps(&folder));
    Ok(())
}

/// Writes a backend of each role and a plugin into a workspace below `folder`, and checks that they compile without a
/// warning.
pub(crate) fn check(workspace: &Workspace, folder: &Path) -> Result<()> {
    remove_dir(folder)?;
    for role in Role::value_variants() {
        let backend = Backend::new(*role, &format!("some-{}", role.name()))?;
        backend.write(&folder.join("backends").join(backend.folder()), workspace)?;
    }
    Plugin::new("some-plugin")?.write(&folder.join("plugins/some-plugin"), workspace)?;
    let manifest = fs::read_to_string(workspace.path("Cargo.toml")).context("cannot read Cargo.toml")?;
    let manifest = workspace_alone(&manifest, &workspace.path(""))?;
    fs::write(folder.join("Cargo.toml"), manifest).context("cannot write Cargo.toml")?;
    for file in ["Cargo.lock", "clippy.toml"] {
        fs::copy(workspace.path(file), folder.join(file)).with_context(|| format!("cannot copy {file}"))?;
    }
    let clippy = [
        "clippy",
        "--workspace",
        "--all-targets",
        "--offline",
        "--",
        "--deny",
        "warnings",
    ];
    execute(workspace.cargo(clippy).current_dir(folder))
}

/// The workspace's own tables of its manifest, for members in `backends` and `plugins`, with `root` in its paths.
fn workspace_alone(manifest: &str, root: &Path) -> Result<String> {
    let start = manifest
        .find("[workspace.package]")
        .context("Cargo.toml has no [workspace.package]")?;
    let end = manifest
        .find("\n[package]")
        .context("Cargo.toml has no [package]")?;
    let tables = manifest
        .get(start..end)
        .context("Cargo.toml has [package] before [workspace.package]")?;
    let root = root.display().to_string().replace('\\', "/");
    let tables = tables.replace("path = \"", &format!("path = \"{}/", root.trim_end_matches('/')));
    Ok(format!(
        "[workspace]\nresolver = \"3\"\nmembers = [\"backends/*\", \"plugins/*\"]\n\n{tables}\n"
    ))
}

struct Backend {
    role: Role,
    /// The word in a config file.
    type_name: String,
}

impl Backend {
    fn new(role: Role, name: &str) -> Result<Self> {
        Ok(Self {
            role,
            type_name: checked_name(name)?,
        })
    }

    /// A crate is named after its technology, and so is its folder.
    fn folder(&self) -> &str {
        &self.type_name
    }

    fn crate_name(&self) -> String {
        format!("lucida-{}", self.type_name)
    }

    fn feature(&self) -> String {
        format!("{}-{}", self.role.name(), self.type_name)
    }

    fn write(&self, folder: &Path, workspace: &Workspace) -> Result<()> {
        let implementation = format!("src/{}.rs", self.role.file());
        let files = [
            ("Cargo.toml", include_str!("scaffold/templates/Cargo.toml.txt")),
            ("README.md", include_str!("scaffold/templates/README.md.txt")),
            ("src/lib.rs", include_str!("scaffold/templates/lib.rs.txt")),
            ("src/config.rs", include_str!("scaffold/templates/config.rs.txt")),
            ("src/error.rs", include_str!("scaffold/templates/error.rs.txt")),
            ("src/factory.rs", self.role.factory()),
            (&implementation, self.role.implementation()),
            (
                "tests/contract.rs",
                include_str!("scaffold/templates/contract.rs.txt"),
            ),
        ];
        write_crate(workspace, folder, &files, |template| self.fill(template))
    }

    fn fill(&self, template: &str) -> String {
        let role = self.role;
        let name = camel(&self.type_name);
        let backend = format!("{name}{}", role.suffix());
        let exports = match role {
            Role::Embedder => format!("{{{backend}, ImageTower, TextTower}}"),
            Role::Storage | Role::Metadata | Role::Index | Role::Queue => backend.clone(),
        };
        let dependencies: String = role
            .dependencies()
            .iter()
            .map(|name| format!("{name}.workspace = true\n"))
            .collect();
        [
            ("{{crate}}", self.crate_name().as_str()),
            ("{{crate_ident}}", &self.crate_name().replace('-', "_")),
            ("{{role}}", role.name()),
            ("{{part}}", role.part()),
            ("{{type}}", &self.type_name),
            ("{{file}}", role.file()),
            ("{{Trait}}", role.trait_name()),
            ("{{Name}}", &name),
            ("{{Backend}}", &backend),
            ("{{exports}}", &exports),
            ("{{dependencies}}", &dependencies),
        ]
        .iter()
        .fold(template.to_owned(), |text, (word, value)| {
            text.replace(word, value)
        })
    }

    /// What is left to do by hand, as the lines to add.
    fn next_steps(&self, folder: &Path) -> String {
        let (role, krate) = (self.role.name(), self.crate_name());
        let (feature, ident) = (self.feature(), krate.replace('-', "_"));
        let path = folder.display();
        format!(
            r#"created {path}; once it is a member, `cargo test -p {krate}` shows what is left to write:

Cargo.toml
    [workspace] members           "{path}",
    [workspace.dependencies]      {krate} = {{ path = "{path}" }}
    [features]                    {feature} = ["dep:{krate}"]
    [dependencies]                {krate} = {{ workspace = true, optional = true }}

src/registry.rs                   "{feature}" => with_{role}({ident}::factory()),

config/                           `cargo xtask generate`
backends/README.md, CHANGELOG.md  a line each"#
        )
    }
}

struct Plugin {
    /// The word in a config file.
    type_name: String,
}

impl Plugin {
    fn new(name: &str) -> Result<Self> {
        Ok(Self {
            type_name: checked_name(name)?,
        })
    }

    fn crate_name(&self) -> String {
        format!("lucida-plugin-{}", self.type_name)
    }

    fn write(&self, folder: &Path, workspace: &Workspace) -> Result<()> {
        let files = [
            (
                "Cargo.toml",
                include_str!("scaffold/templates/plugin/Cargo.toml.txt"),
            ),
            (
                "README.md",
                include_str!("scaffold/templates/plugin/README.md.txt"),
            ),
            ("src/lib.rs", include_str!("scaffold/templates/plugin/lib.rs.txt")),
            (
                "src/config.rs",
                include_str!("scaffold/templates/plugin/config.rs.txt"),
            ),
            (
                "src/factory.rs",
                include_str!("scaffold/templates/plugin/factory.rs.txt"),
            ),
            (
                "src/plugin.rs",
                include_str!("scaffold/templates/plugin/plugin.rs.txt"),
            ),
            (
                "tests/contract.rs",
                include_str!("scaffold/templates/plugin/contract.rs.txt"),
            ),
        ];
        write_crate(workspace, folder, &files, |template| self.fill(template))
    }

    fn fill(&self, template: &str) -> String {
        template
            .replace("{{crate}}", &self.crate_name())
            .replace("{{crate_ident}}", &self.crate_name().replace('-', "_"))
            .replace("{{type}}", &self.type_name)
            .replace("{{Name}}", &camel(&self.type_name))
    }

    /// What is left to do by hand, as the lines to add.
    fn next_steps(&self, folder: &Path) -> String {
        let (name, krate) = (&self.type_name, self.crate_name());
        let (path, ident) = (folder.display(), krate.replace('-', "_"));
        format!(
            r#"created {path}; once it is a member, `cargo test -p {krate}` passes. Then write its hooks:

Cargo.toml
    [workspace] members           "{path}",
    [workspace.dependencies]      {krate} = {{ path = "{path}" }}
    [features]                    plugin-{name} = ["dep:{krate}"]
    [dependencies]                {krate} = {{ workspace = true, optional = true }}

src/registry.rs                   "plugin-{name}" => with_plugin({ident}::factory()),

config/                           `cargo xtask generate`
plugins/README.md, CHANGELOG.md   a line each"#
        )
    }
}

/// Checks the word in a config file, which also names a folder, a crate and a feature.
fn checked_name(name: &str) -> Result<String> {
    let valid = name.starts_with(|first: char| first.is_ascii_lowercase())
        && !name.ends_with('-')
        && !name.contains("--")
        && name
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
    if !valid {
        bail!("`{name}` is not a name for a crate: use a-z, 0-9 and single dashes, like `azure-blob`");
    }
    Ok(name.to_owned())
}

/// The name as types begin with it: `azure-blob` → `AzureBlob`.
fn camel(name: &str) -> String {
    let words = name.split('-');
    words
        .map(|word| word.get(..1).unwrap_or("").to_uppercase() + word.get(1..).unwrap_or(""))
        .collect()
}

/// Writes the files of a new crate, with their placeholders filled in, and formats them.
fn write_crate(
    workspace: &Workspace,
    folder: &Path,
    files: &[(&str, &str)],
    fill: impl Fn(&str) -> String,
) -> Result<()> {
    if folder.exists() {
        bail!(
            "{} exists already: choose another name, or add to that crate",
            folder.display()
        );
    }
    let mut sources = Vec::new();
    for (name, template) in files {
        let path = folder.join(name);
        let parent = path.parent().unwrap_or(folder);
        fs::create_dir_all(parent).with_context(|| format!("cannot create {}", parent.display()))?;
        fs::write(&path, fill(template)).with_context(|| format!("cannot write {}", path.display()))?;
        if name.ends_with(".rs") {
            sources.push(path);
        }
    }
    let mut rustfmt = Command::new("rustfmt");
    rustfmt
        .args(["--edition", "2024", "--config-path"])
        .arg(workspace.path("rustfmt.toml"));
    execute(rustfmt.args(sources))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_cargo_refuses_are_refused() {
        for name in ["", "S3", "-s3", "s3-", "a--b", "a_b", "3s", "ä"] {
            assert!(Backend::new(Role::Storage, name).is_err(), "{name:?} was taken");
        }
        assert_eq!(camel("azure-blob2"), "AzureBlob2");
    }

    #[test]
    fn no_placeholder_is_left_in_any_file() {
        for role in Role::value_variants() {
            let backend = Backend::new(*role, "s3").unwrap();
            for template in [
                role.implementation(),
                role.factory(),
                include_str!("scaffold/templates/contract.rs.txt"),
            ] {
                let filled = backend.fill(template);
                assert!(!filled.contains("{{"), "{filled}");
            }
        }
    }

    #[test]
    fn an_existing_crate_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let workspace = Workspace::locate().unwrap();
        let error = Backend::new(Role::Index, "x")
            .unwrap()
            .write(folder.path(), &workspace)
            .unwrap_err();
        assert!(error.to_string().contains("exists already"), "{error}");
    }

    #[test]
    fn paths_in_the_workspace_tables_become_absolute() {
        let manifest = "[workspace]\nmembers = []\n[workspace.package]\nversion = \"1\"\n\
                        [workspace.dependencies]\nlucida-core = { path = \"core\" }\n\n[package]\nname = \"x\"\n";
        let alone = workspace_alone(manifest, Path::new("/checkout/")).unwrap();
        assert!(
            alone.contains("lucida-core = { path = \"/checkout/core\" }"),
            "{alone}"
        );
        assert!(!alone.contains("[package]"), "{alone}");
    }
}
