//! The plugin: which events it takes, and how each is sent.

use std::time::Duration;

use async_trait::async_trait;
use lucida_core::{
    Backoff, ErrorKind, Hook, OutboxEvent, Plugin, Result, ResultExt as _, Secret, Settings as _,
    Subscription,
};
use lucida_egress::{Lookup, system_lookup};

use crate::config::{self, SecretIn, WebhookConfig};
use crate::message::body_of;
use crate::receiver::Receiver;
use crate::signature::Key;

/// How much longer than the call's own limit a delivery may take: for what goes on around it.
const SLACK: Duration = Duration::from_secs(5);

/// Sends events to another server.
pub struct WebhookPlugin {
    config: WebhookConfig,
    receiver: Receiver,
}

impl WebhookPlugin {
    /// The word in the configuration.
    pub const TYPE: &'static str = config::TYPE;

    /// Reads the key and prepares the calls; the receiver need not run yet.
    ///
    /// # Errors
    /// `ConfigInvalid` for settings that can't be used, and for a file of the key that can't be read.
    pub async fn open(config: WebhookConfig) -> Result<Self> {
        Self::with_lookup(config, system_lookup()).await
    }

    /// The same with another way to look names up.
    ///
    /// # Errors
    /// Those of [`WebhookPlugin::open`].
    pub async fn with_lookup(config: WebhookConfig, lookup: Lookup) -> Result<Self> {
        config.validate()?;
        let key = match config.secret()? {
            SecretIn::Setting(secret) => Key::parse("secret", secret)?,
            SecretIn::File(file) => {
                let text = tokio::fs::read_to_string(file)
                    .await
                    .context(format!("reading the key in {}", file.display()))
                    .map_err(|error| {
                        error
                            .with_kind(ErrorKind::ConfigInvalid)
                            .with_field("secret_file")
                    })?;
                Key::parse("secret_file", &Secret::new(text))?
            }
        };
        Ok(Self {
            receiver: Receiver::new(&config, key, lookup)?,
            config,
        })
    }
}

#[async_trait]
impl Plugin for WebhookPlugin {
    fn name(&self) -> &str {
        &self.config.name
    }

    fn hooks(&self) -> &[Hook] {
        &[]
    }

    fn timeout(&self) -> Duration {
        Duration::from_secs(self.config.timeout_secs) + SLACK
    }

    fn subscription(&self) -> Option<Subscription> {
        Some(Subscription {
            kinds: self.config.events.clone(),
            max_attempts: self.config.attempts,
            backoff: Backoff {
                min: Duration::from_secs(self.config.retry_min_secs),
                max: Duration::from_secs(self.config.retry_max_secs),
            },
        })
    }

    async fn deliver(&self, event: &OutboxEvent) -> Result<()> {
        self.receiver.send(&event.id.to_string(), body_of(event)?).await
    }
}
