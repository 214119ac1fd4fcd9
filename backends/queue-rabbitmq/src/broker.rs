//! Where the broker is and how to connect: what the settings and the files that they name say.

use std::time::Duration;

use lapin::tcp::OwnedTLSConfig;
use lapin::uri::AMQPUri;
use lucida_core::{Error, Result, ResultExt};

use crate::config::RabbitmqConfig;

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

/// Reads an AMQP URI. What is wrong with it is not repeated, since it holds a password.
pub(crate) fn parse(field: &str, text: &str) -> Result<AMQPUri> {
    let mut uri: AMQPUri = text.parse().map_err(|_| {
        let message = format!(
            "queue.rabbitmq.{field} holds no AMQP URI: write amqp://user:password@host:5672/vhost, or amqps://, with \
             special characters percent-encoded"
        );
        Error::config(field, message)
    })?;
    // The library takes an IPv6 address for no host at all, and would connect to localhost.
    if let Some(address) = ipv6_host(text) {
        uri.authority.host = address.to_owned();
    }
    Ok(uri)
}

fn ipv6_host(text: &str) -> Option<&str> {
    let (_, rest) = text.split_once("://")?;
    let authority = rest.split(['/', '?']).next()?;
    let host = authority.rsplit('@').next()?;
    let (address, _) = host.strip_prefix('[')?.split_once(']')?;
    Some(address)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_of_every_kind_are_found() {
        for (uri, host, port, vhost) in [
            ("amqp://127.0.0.1", "127.0.0.1", 5672, "/"),
            (
                "amqps://u:p@broker.example/photos",
                "broker.example",
                5671,
                "photos",
            ),
            ("amqp://u:p%40%5B@[::1]:5673/%2f", "::1", 5673, "/"),
            ("amqp://[fe80::1]?heartbeat=5", "fe80::1", 5672, "/"),
        ] {
            let parsed = parse("uri", uri).unwrap();
            let authority = &parsed.authority;
            assert_eq!(
                (authority.host.as_str(), authority.port, parsed.vhost.as_str()),
                (host, port, vhost),
                "{uri}"
            );
        }
    }

    #[test]
    fn what_is_no_uri_is_refused_without_being_repeated() {
        for text in [
            "hunter2",
            "http://u:hunter2@host",
            "amqp:hunter2",
            "amqp://u:hunter2@host:port",
            "amqp://u:hunter2@host?heartbeat=hunter2",
        ] {
            let error = parse("uri", text).unwrap_err();
            assert_eq!(error.field(), Some("uri"));
            assert!(!format!("{error} {error:?}").contains("hunter2"), "{error}");
        }
    }
}
