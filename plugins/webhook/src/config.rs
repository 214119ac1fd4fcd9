//! The settings of the plugin.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;
use std::path::PathBuf;

use lucida_core::config::{check_range, local};
use lucida_core::{BlobKey, BuildContext, Error, EventKind, Result, Secret, Settings};
use lucida_egress::Rules;
use reqwest::Url;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::signature::Key;

/// The word in the configuration.
pub(crate) const TYPE: &str = "webhook";

/// How long a call may take, in seconds.
const TIMEOUT_SECS: RangeInclusive<u64> = 1..=60;

/// How often an event may be tried.
const ATTEMPTS: RangeInclusive<u32> = 1..=1000;

/// How long the waits between attempts may be, in seconds.
const RETRY_SECS: RangeInclusive<u64> = 1..=86_400;

/// Which server gets which events.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WebhookConfig {
    /// The plugin's name; several webhooks need several names. Events that wait belong to the name.
    #[serde(default = "default_name")]
    #[schemars(example = &"webhook")]
    pub name: String,
    /// Where the events go: `https://` or `http://`.
    #[schemars(example = &"https://example.org/lucida")]
    pub url: String,
    /// The key of the signature, in base64 and with or without `whsec_` before it: 24 to 64 random bytes.
    #[serde(default)]
    pub secret: Option<Secret>,
    /// A file that has the key instead.
    #[serde(default)]
    #[schemars(example = &"/run/secrets/webhook")]
    pub secret_file: Option<PathBuf>,
    /// Which events are sent: `ready`, `failed`, `deleted`.
    #[serde(default = "default_events")]
    #[schemars(example = ["ready", "deleted"])]
    pub events: Vec<EventKind>,
    /// The only hosts that `url` may name, also where their addresses are private; `*.example.org` stands for every name
    /// below `example.org`. Without any, every host with a public address. Example: `["receiver.lan", "192.168.1.20"]`
    #[serde(default)]
    pub hosts: Vec<String>,
    /// How long a call may take, in seconds.
    #[serde(default = "default_timeout_secs")]
    pub timeout_secs: u64,
    /// How often an event is sent at most; then it is dead until `lucida events retry`.
    #[serde(default = "default_attempts")]
    pub attempts: u32,
    /// The wait after the first failed attempt, in seconds; it doubles with each further one.
    #[serde(default = "default_retry_min_secs")]
    pub retry_min_secs: u64,
    /// The longest wait between two attempts, in seconds.
    #[serde(default = "default_retry_max_secs")]
    pub retry_max_secs: u64,
}

fn default_name() -> String {
    TYPE.to_owned()
}

fn default_events() -> Vec<EventKind> {
    EventKind::ALL.to_vec()
}

fn default_timeout_secs() -> u64 {
    15
}

fn default_attempts() -> u32 {
    24
}

fn default_retry_min_secs() -> u64 {
    5
}

fn default_retry_max_secs() -> u64 {
    3600
}

/// Where the key of the signature is.
pub(crate) enum SecretIn<'a> {
    /// In the setting `secret`.
    Setting(&'a Secret),
    /// In a file.
    File(&'a PathBuf),
}

impl WebhookConfig {
    /// Reads `hosts`.
    pub(crate) fn rules(&self) -> Result<Rules> {
        Rules::new(TYPE, &self.hosts)
    }

    /// Reads `url`, and checks it by the rules.
    pub(crate) fn target(&self) -> Result<Url> {
        let url = Url::parse(&self.url).map_err(|error| {
            let message = format!("is not a URL ({error}); expected one like `https://example.org/lucida`");
            Error::config("url", message)
        })?;
        match self.rules()?.refusal(&url) {
            Some(refusal) => Err(Error::config("url", format!("can't be called: {refusal}"))),
            None => Ok(url),
        }
    }

    /// Returns where the key is.
    pub(crate) fn secret(&self) -> Result<SecretIn<'_>> {
        match (&self.secret, &self.secret_file) {
            (Some(secret), None) => Ok(SecretIn::Setting(secret)),
            (None, Some(file)) => Ok(SecretIn::File(file)),
            (None, None) => {
                let message = "is missing: set it, or secret_file, to 32 random bytes in base64 (`openssl rand -base64 32`)";
                Err(Error::config("secret", message))
            }
            (Some(_), Some(_)) => Err(Error::config(
                "secret_file",
                "is set beside secret: leave one of them out",
            )),
        }
    }
}

impl Settings for WebhookConfig {
    fn validate(&self) -> Result<()> {
        if self.name.contains('/') || BlobKey::new(&self.name).is_err() {
            let message = format!(
                "`{}` can't be a plugin's name; use lower-case letters, digits, `-` and `_`",
                self.name
            );
            return Err(Error::config("name", message));
        }
        self.rules()?;
        self.target()?;
        if let SecretIn::Setting(secret) = self.secret()? {
            Key::parse("secret", secret)?;
        }
        if self.events.is_empty() {
            return Err(Error::config(
                "events",
                "no event is named; use some of ready, failed and deleted",
            ));
        }
        let mut seen = BTreeSet::new();
        for (at, kind) in self.events.iter().enumerate() {
            if !seen.insert(kind) {
                let message = format!("`{kind}` is named twice; remove one");
                return Err(Error::config(format!("events[{at}]"), message));
            }
        }
        check_range("timeout_secs", self.timeout_secs, &TIMEOUT_SECS)?;
        check_range("attempts", self.attempts, &ATTEMPTS)?;
        check_range("retry_min_secs", self.retry_min_secs, &RETRY_SECS)?;
        check_range("retry_max_secs", self.retry_max_secs, &RETRY_SECS)?;
        if self.retry_max_secs < self.retry_min_secs {
            let message = format!(
                "{} s is less than retry_min_secs, which is {} s",
                self.retry_max_secs, self.retry_min_secs
            );
            return Err(Error::config("retry_max_secs", message));
        }
        Ok(())
    }

    fn check_local(&self, _: &BuildContext) -> Vec<Error> {
        let file = self.secret_file.as_ref();
        file.and_then(|file| local::readable_file("secret_file", file).err())
            .into_iter()
            .collect()
    }
}
