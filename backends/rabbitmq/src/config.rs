//! The settings of `queue.rabbitmq`.

use std::path::PathBuf;

use lucida_core::config::local;
use lucida_core::{BuildContext, Error, Result, Secret, Settings};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::topology::QUEUE_BYTES;
use crate::uri;

/// The jobs in RabbitMQ 3.10 or later, for any number of processes on any number of machines.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RabbitmqConfig {
    /// The broker, user, password and virtual host; `amqps` uses TLS. Without a path, the virtual host is `/`.
    /// Special characters are percent-encoded.
    #[schemars(example = "amqps://lucida:secret@rabbitmq.internal:5671/photos")]
    pub uri: Option<Secret>,
    /// A file that holds the URI, instead of `uri`.
    #[schemars(example = "/run/secrets/rabbitmq-uri")]
    pub uri_file: Option<PathBuf>,
    /// The queue of jobs. The names of its queues for delays and dead letters begin with its own; all are declared if
    /// missing.
    #[schemars(example = "lucida.photos")]
    pub queue: String,
    /// The interval of heartbeats on an idle connection, in seconds, at least 1; after twice as long without any, the
    /// connection is replaced.
    #[schemars(example = 10, range(min = 1))]
    pub heartbeat_secs: u16,
    /// How long connecting may take, with TLS and login, in milliseconds, at least 1.
    #[schemars(example = 5000, range(min = 1))]
    pub connect_timeout_ms: u64,
    /// A PEM file of certificate authorities to trust in addition to the system's, for `amqps`.
    #[schemars(example = "/etc/lucida/rabbitmq-ca.pem")]
    pub ca_file: Option<PathBuf>,
}

impl Default for RabbitmqConfig {
    fn default() -> Self {
        Self {
            uri: None,
            uri_file: None,
            queue: "lucida.photos".to_owned(),
            heartbeat_secs: 10,
            connect_timeout_ms: 5000,
            ca_file: None,
        }
    }
}

impl Settings for RabbitmqConfig {
    fn validate(&self) -> Result<()> {
        match (&self.uri, &self.uri_file) {
            (Some(text), None) => uri::parse("uri", text.expose()).map(drop)?,
            (None, Some(_)) => {}
            (None, None) | (Some(_), Some(_)) => {
                let message = "queue.rabbitmq needs exactly one of `uri` and `uri_file`";
                return Err(Error::config("uri", message));
            }
        }
        let name = &self.queue;
        if name.is_empty() || name.len() > QUEUE_BYTES || name.starts_with("amq.") {
            let message = format!(
                "`{name}` is not the name of a queue: use 1 to {QUEUE_BYTES} bytes that don't begin with `amq.`"
            );
            return Err(Error::config("queue", message));
        }
        if self.heartbeat_secs == 0 {
            let message = "queue.rabbitmq.heartbeat_secs is 0: set it to at least 1, such as 10";
            return Err(Error::config("heartbeat_secs", message));
        }
        if self.connect_timeout_ms == 0 {
            let message = "queue.rabbitmq.connect_timeout_ms is 0: set it to at least 1, such as 5000";
            return Err(Error::config("connect_timeout_ms", message));
        }
        Ok(())
    }

    fn check_local(&self, _: &BuildContext) -> Vec<Error> {
        let files = [("uri_file", &self.uri_file), ("ca_file", &self.ca_file)];
        files
            .into_iter()
            .filter_map(|(field, file)| local::readable_file(field, file.as_ref()?).err())
            .collect()
    }
}
