//! The settings of the plugin.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;
use std::path::PathBuf;

use lucida_core::config::check_range;
use lucida_core::{BlobKey, Error, Hook, OnFailure, Result, Secret, Settings};
use reqwest::Url;
use schemars::JsonSchema;
use serde::Deserialize;

/// What a picture's long side may measure.
const PICTURE_PIXELS: RangeInclusive<u32> = 16..=4096;

/// How long a call may take, in seconds.
const TIMEOUT_SECS: RangeInclusive<u64> = 1..=600;

/// Which program takes part in what.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RemoteConfig {
    /// The plugin's name: the key of its attributes and the prefix of its blobs.
    #[schemars(example = &"labels")]
    pub name: String,
    /// Where the program listens: `http://`, `https://`, or `unix:` and the path of a socket.
    #[schemars(example = &"http://127.0.0.1:9000")]
    pub url: String,
    /// What the program takes part in: `inspect`, `enrich`, `query`, `rerank`, `event`.
    #[schemars(example = ["enrich"])]
    pub hooks: Vec<Hook>,
    /// The long side of the JPEG that `inspect` and `enrich` send, 16 to 4096; 0 sends none.
    #[serde(default = "default_picture_pixels")]
    pub picture_pixels: u32,
    /// How long a call may take, in seconds.
    #[serde(default = "default_timeout_secs")]
    pub timeout_secs: u64,
    /// What a failure of the program does: `record` notes it and goes on without its answer, `fail` refuses the upload, tries
    /// the photo again, or fails the search.
    #[serde(default = "default_on_failure")]
    pub on_failure: OnFailure,
    /// Sent to the program as `Authorization: Bearer`, so that it can check the caller.
    #[serde(default)]
    pub key: Option<Secret>,
}

fn default_picture_pixels() -> u32 {
    512
}

fn default_timeout_secs() -> u64 {
    10
}

fn default_on_failure() -> OnFailure {
    OnFailure::Record
}

/// Where the program listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Address {
    /// Over TCP; the hooks are below this URL.
    Http(Url),
    /// On a socket of this machine.
    Unix(PathBuf),
}

impl RemoteConfig {
    /// Reads `url`.
    pub(crate) fn address(&self) -> Result<Address> {
        if let Some(path) = self.url.strip_prefix("unix:") {
            let path = PathBuf::from(path.strip_prefix("//").unwrap_or(path));
            if path.as_os_str().is_empty() {
                return Err(Error::config(
                    "url",
                    "names no socket; write `unix:/run/program.sock`",
                ));
            }
            return Ok(Address::Unix(path));
        }
        let expected = "expected `http://host:port`, `https://host` or `unix:/run/program.sock`";
        let url = Url::parse(&self.url).map_err(|error| {
            Error::config(
                "url",
                format!("`{}` is not a URL ({error}); {expected}", self.url),
            )
        })?;
        if !matches!(url.scheme(), "http" | "https") || url.host().is_none() {
            let message = format!("`{}` can't be called; {expected}", self.url);
            return Err(Error::config("url", message));
        }
        Ok(Address::Http(url))
    }
}

impl Settings for RemoteConfig {
    fn validate(&self) -> Result<()> {
        if self.name.contains('/') || BlobKey::new(&self.name).is_err() {
            let message = format!(
                "`{}` can't be a plugin's name; use lower-case letters, digits, `-` and `_`",
                self.name
            );
            return Err(Error::config("name", message));
        }
        self.address()?;
        if self.hooks.is_empty() {
            let message = "no hook is named; use some of inspect, enrich, query, rerank and event";
            return Err(Error::config("hooks", message));
        }
        let mut seen = BTreeSet::new();
        for (at, hook) in self.hooks.iter().enumerate() {
            if !seen.insert(hook) {
                let message = format!("`{}` is named twice; remove one", hook.as_str());
                return Err(Error::config(format!("hooks[{at}]"), message));
            }
        }
        // 0 means no picture.
        if self.picture_pixels != 0 {
            check_range("picture_pixels", self.picture_pixels, &PICTURE_PIXELS)?;
        }
        check_range("timeout_secs", self.timeout_secs, &TIMEOUT_SECS)
    }
}
