//! The AMQP URI of the broker.

use lapin::uri::AMQPUri;
use lucida_core::{Error, Result};

/// Reads an AMQP URI. What is wrong with it is not repeated, since it holds a password.
pub(crate) fn parse(field: &str, text: &str) -> Result<AMQPUri> {
    let mut uri: AMQPUri = text.parse().map_err(|_| {
        let message = format!(
            "queue.rabbitmq.{field} is not an AMQP URI; expected one like `amqp://user:password@host:5672/vhost`, or amqps://, \
             with special characters percent-encoded"
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
    fn what_is_not_a_uri_is_refused_without_being_repeated() {
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
