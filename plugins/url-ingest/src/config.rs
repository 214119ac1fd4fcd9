//! The settings of the plugin.

use std::ops::RangeInclusive;

use lucida_core::{Error, Result, Settings};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::rules::HostPattern;

/// How long a fetch may take, in seconds.
const TIMEOUT_SECS: RangeInclusive<u64> = 1..=600;

/// How many redirects may be followed.
const MAX_REDIRECTS: RangeInclusive<usize> = 0..=10;

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
    pub(crate) fn patterns(&self) -> Result<Vec<HostPattern>> {
        let patterns = self.hosts.iter().enumerate();
        patterns
            .map(|(at, written)| {
                HostPattern::parse(written).ok_or_else(|| {
                    let message = format!(
                        "`{written}` is not a host; expected a name such as `photos.example.org`, `*.example.org`, or an address"
                    );
                    Error::config(format!("hosts[{at}]"), message)
                })
            })
            .collect()
    }
}

impl Settings for UrlIngestConfig {
    fn validate(&self) -> Result<()> {
        self.patterns()?;
        if self.max_bytes == 0 {
            return Err(Error::config(
                "max_bytes",
                "0 lets no file through; give a size, or leave out the plugin",
            ));
        }
        if !TIMEOUT_SECS.contains(&self.timeout_secs) {
            let message = format!(
                "{} s is out of range; use {} to {}",
                self.timeout_secs,
                TIMEOUT_SECS.start(),
                TIMEOUT_SECS.end()
            );
            return Err(Error::config("timeout_secs", message));
        }
        if !MAX_REDIRECTS.contains(&self.max_redirects) {
            let message = format!(
                "{} is too many; use 0 to {}",
                self.max_redirects,
                MAX_REDIRECTS.end()
            );
            return Err(Error::config("max_redirects", message));
        }
        Ok(())
    }
}
