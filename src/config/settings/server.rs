//! `[server]`: where the server listens, and how much it takes on.

use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use lucida_core::{Error, Result, Settings};
use schemars::JsonSchema;
use serde::Deserialize;

use super::at_least_one;

/// Where the server listens, and how much it takes on.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ServerSettings {
    /// Address and port to listen on; beyond loopback only with a key in `auth.keys`. Port 0 takes a free one.
    #[schemars(example = &"0.0.0.0:8080")]
    pub listen: Listen,
    /// The largest request body, in bytes: a photo with its form around it.
    #[schemars(example = 134_217_728)]
    pub max_upload_bytes: u64,
    /// The largest JSON body, in bytes; the longest texts in the largest batch must fit.
    #[schemars(example = 8_388_608)]
    pub max_json_bytes: u64,
    /// How long the server may work on a request before it answers 503, in seconds; waiting for the client's bytes
    /// doesn't count.
    #[schemars(example = 60)]
    pub request_timeout_secs: u64,
    /// How long `?wait=true` waits for a photo at most, in seconds; then the photo comes back as it is.
    #[schemars(example = 30)]
    pub wait_timeout_secs: u64,
    /// How many requests are worked on at once; one more gets 429 with `Retry-After`.
    #[schemars(example = 256)]
    pub max_concurrent_requests: usize,
    /// How many texts or pictures one `/embed` call may hold.
    #[schemars(example = 64)]
    pub max_embed_items: usize,
    /// How long a stopping server lets requests and photos in work finish, in seconds.
    #[schemars(example = 30)]
    pub shutdown_timeout_secs: u64,
}

impl ServerSettings {
    /// Returns how long a stopping server waits for what it accepted.
    #[must_use]
    pub const fn shutdown_timeout(&self) -> Duration {
        Duration::from_secs(self.shutdown_timeout_secs)
    }
}

impl Settings for ServerSettings {
    fn validate(&self) -> Result<()> {
        at_least_one("max_upload_bytes", self.max_upload_bytes)?;
        at_least_one("max_json_bytes", self.max_json_bytes)?;
        at_least_one("request_timeout_secs", self.request_timeout_secs)?;
        at_least_one("max_concurrent_requests", self.max_concurrent_requests as u64)?;
        at_least_one("max_embed_items", self.max_embed_items as u64)?;
        if self.wait_timeout_secs >= self.request_timeout_secs {
            return Err(Error::config(
                "wait_timeout_secs",
                format!(
                    "must be below request_timeout_secs, which is {}",
                    self.request_timeout_secs
                ),
            ));
        }
        Ok(())
    }
}

/// An address and a port to listen on, such as `127.0.0.1:8080` or `[::]:8080`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(try_from = "String")]
#[schemars(with = "String", inline)]
pub struct Listen(SocketAddr);

impl Listen {
    /// Returns the address.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.0
    }

    /// Tells whether only this machine can reach it.
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        self.0.ip().to_canonical().is_loopback()
    }
}

impl TryFrom<String> for Listen {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse().map(Self).map_err(|_| {
            format!("`{text}` is no address with a port: write it like 127.0.0.1:8080 or [::]:8080")
        })
    }
}

impl fmt::Display for Listen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_loopback_addresses_are_loopback() {
        for (address, loopback) in [
            ("127.0.0.1:80", true),
            ("127.8.0.1:80", true),
            ("[::1]:80", true),
            ("[::ffff:127.0.0.1]:80", true),
            ("0.0.0.0:80", false),
            ("[::]:80", false),
            ("192.168.1.5:80", false),
        ] {
            let listen = Listen::try_from(address.to_owned()).unwrap();
            assert_eq!(listen.is_loopback(), loopback, "{address}");
        }
    }
}
