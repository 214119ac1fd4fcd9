//! The broker's address and how to connect: what the settings and the files that they name say.

use std::time::Duration;

use lapin::tcp::OwnedTLSConfig;
use lapin::uri::AMQPUri;
use lucida_core::{Error, Result, ResultExt};

use crate::config::RabbitmqConfig;
use crate::uri::parse;

/// All that a connection needs. It holds the password, so it has no `Debug`.
pub(crate) struct Broker {
    pub(crate) uri: AMQPUri,
    pub(crate) tls: OwnedTLSConfig,
    pub(crate) connect_timeout: Duration,
}

impl Broker {
    /// Reads the files that the settings name.
    pub(crate) async fn read(config: &RabbitmqConfig) -> Result<Self> {
        let mut uri = match (&config.uri, &config.uri_file) {
            (Some(uri), _) => parse("uri", uri.expose())?,
            (None, Some(path)) => {
                let text = tokio::fs::read_to_string(path).await.map_err(|error| {
                    Error::from(error).with_field("uri_file").context(format!(
                        "reading `{}`, the file of queue.rabbitmq.uri_file",
                        path.display()
                    ))
                })?;
                parse("uri_file", text.trim())?
            }
            (None, None) => return Err(Error::config("uri", "queue.rabbitmq.uri is missing: set it")),
        };
        uri.query.heartbeat.get_or_insert(config.heartbeat_secs);
        let timeout_ms = uri.query.connection_timeout.unwrap_or(config.connect_timeout_ms);
        let cert_chain = match &config.ca_file {
            None => None,
            Some(path) => {
                let reading = || format!("reading `{}`, the file of queue.rabbitmq.ca_file", path.display());
                Some(tokio::fs::read_to_string(path).await.context(reading())?)
            }
        };
        Ok(Self {
            uri,
            tls: OwnedTLSConfig {
                identity: None,
                cert_chain,
            },
            connect_timeout: Duration::from_millis(timeout_ms),
        })
    }

    /// Returns host and port, to name the broker in errors.
    pub(crate) fn address(&self) -> String {
        let authority = &self.uri.authority;
        if authority.host.contains(':') {
            return format!("[{}]:{}", authority.host, authority.port);
        }
        format!("{}:{}", authority.host, authority.port)
    }
}
