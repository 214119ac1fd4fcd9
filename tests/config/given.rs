//! A configuration that a test gives, with a store and a plugin of the tests among the types.

use std::collections::BTreeMap;
use std::path::PathBuf;

use async_trait::async_trait;
use lucida::Registry;
use lucida::config::{Config, Findings, Flag, Sources};
use lucida_core::{Error, Hook, Plugin, Result, Secret, Settings, config::factory_fn};
use lucida_memory::MemoryStorage;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A store that needs secrets.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "only read from the configuration")]
pub(crate) struct VaultConfig {
    /// Where it is.
    #[schemars(example = &"http://127.0.0.1:9000")]
    endpoint: String,
    /// What opens it.
    token: Secret,
    /// More of them.
    #[serde(default)]
    spare_tokens: Vec<Secret>,
    /// By name.
    #[serde(default)]
    named_tokens: BTreeMap<String, Secret>,
}

impl Settings for VaultConfig {
    fn validate(&self) -> Result<()> {
        if self.endpoint.starts_with("http") {
            return Ok(());
        }
        Err(Error::config(
            "endpoint",
            format!("`{}` is not a URL", self.endpoint),
        ))
    }
}

/// A plugin with a list.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct FramesConfig {
    /// How large.
    sizes_pixels: Vec<u32>,
    /// How it looks.
    style: Style,
}

#[derive(Debug, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Style {
    Plain,
    Golden,
}

impl Default for FramesConfig {
    fn default() -> Self {
        Self {
            sizes_pixels: vec![320],
            style: Style::Plain,
        }
    }
}

impl Settings for FramesConfig {
    fn validate(&self) -> Result<()> {
        match self.sizes_pixels.iter().position(|size| *size == 0) {
            Some(index) => Err(Error::config(
                format!("sizes_pixels[{index}]"),
                "must be at least 1",
            )),
            None => Ok(()),
        }
    }
}

pub(crate) struct Frames;

#[async_trait]
impl Plugin for Frames {
    fn name(&self) -> &'static str {
        "frames"
    }

    fn hooks(&self) -> &[Hook] {
        &[]
    }
}

pub(crate) fn registry() -> Registry {
    Registry::default()
        .with_storage(factory_fn("vault", |_: VaultConfig, _| async {
            Ok(MemoryStorage::new())
        }))
        .with_plugin(factory_fn("frames", |_: FramesConfig, _| async { Ok(Frames) }))
}

/// A configuration that is made of a file, variables and flags.
#[derive(Default)]
pub(crate) struct Given {
    pub(crate) file: Option<&'static str>,
    pub(crate) variables: Vec<(&'static str, &'static str)>,
    pub(crate) flags: Vec<&'static str>,
}

impl Given {
    pub(crate) fn load(&self) -> (std::result::Result<Config, Findings>, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lucida.toml");
        if let Some(text) = self.file {
            std::fs::write(&path, text).unwrap();
        }
        let sources = Sources {
            file: self.file.map(|_| path.clone()),
            variables: self
                .variables
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect(),
            flags: self.flags.iter().map(|flag| Flag::parse(flag).unwrap()).collect(),
        };
        (Config::load(&registry(), &sources), path)
    }

    pub(crate) fn config(&self) -> Config {
        self.load().0.unwrap()
    }

    /// Returns the findings, with the file's folder left out.
    pub(crate) fn findings(&self) -> Vec<String> {
        let (loaded, path) = self.load();
        let folder = format!("{}/", path.parent().unwrap().display());
        let findings = loaded.unwrap_err();
        assert_eq!(findings.all().len(), findings.to_string().lines().count());
        findings
            .to_string()
            .lines()
            .map(|line| line.replace(&folder, ""))
            .collect()
    }
}

pub(crate) fn file(text: &'static str) -> Given {
    Given {
        file: Some(text),
        ..Given::default()
    }
}

pub(crate) fn variable(name: &'static str, value: &'static str) -> Given {
    Given {
        variables: vec![(name, value)],
        ..Given::default()
    }
}

/// Returns the line of the generated defaults that begins with a key.
pub(crate) fn line_of_default(key: &str) -> usize {
    let text = include_str!("../../config/default.toml");
    1 + text.lines().position(|line| line.starts_with(key)).unwrap()
}
