//! The settings of the plugin.

use std::ops::RangeInclusive;

use lucida_core::config::check_range;
use lucida_core::{Error, Result, Settings};
use lucida_egress::Rules;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How long a fetch may take, in seconds.
const TIMEOUT_SECS: RangeInclusive<u64> = 1..=600;

/// How many redirects may be followed.
const MAX_REDIRECTS: RangeInclusive<usize> = 0..=10;

/// The plugin's name.
pub(crate) const NAME: &str = "url-ingest";

/// From where photos may be fetched.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct UrlIngestConfig {
    /// The only hosts to fetch from, also where their addresses are private; `*.example.org` stands for every name below
    /// `example.org`. Without any, every host with a public address. Example: `["photos.example.org", "192.168.1.20"]`
    pub hosts: Vec<String>,
    /// How large a file may be, in bytes.
    pub max_bytes: u64,
    /// How long a fetch may take, in seconds, redirects included.
    pub timeout_secs: u64,
    /// How many redirects are followed, 0 to 10.
    pub max_redirects: usize,
}

impl Default for UrlIngestConfig {
    fn default() -> Self {
        Self {
            hosts: Vec::new(),
            max_bytes: 128 << 20,
            timeout_secs: 30,
            max_redirects: 3,
        }
    }
}

impl UrlIngestConfig {
    /// Reads `hosts`.
    pub(crate) fn rules(&self) -> Result<Rules> {
        Rules::new(NAME, &self.hosts)
    }
}

impl Settings for UrlIngestConfig {
    fn validate(&self) -> Result<()> {
        self.rules()?;
        if self.max_bytes == 0 {
            return Err(Error::config(
                "max_bytes",
                "0 lets no file through; give a size, or leave out the plugin",
            ));
        }
        check_range("timeout_secs", self.timeout_secs, &TIMEOUT_SECS)?;
        check_range("max_redirects", self.max_redirects, &MAX_REDIRECTS)
    }
}
