//! `[server]`: where the server listens, and its limits.

use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use axum::http::Uri;
use lucida_core::{Error, Result, Settings};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::at_least_one;
use crate::http::TlsFiles;

/// Where the server listens, and its limits.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ServerSettings {
    /// Address and port to listen on. An address other than loopback needs a key in `auth.keys`. A port alone listens on
    /// 127.0.0.1; port 0 takes a free one.
    #[schemars(example = &"0.0.0.0:8080")]
    pub listen: Listen,
    /// The path below which a reverse proxy shows the server, such as `/photos`; empty for none. Calls are found with it and
    /// without it, so the proxy may take it off or leave it on. `Location` headers and the OpenAPI document have it.
    #[schemars(example = &"/photos")]
    pub base_path: String,
    /// A PEM file of the server's certificate and the intermediate ones after it, for HTTPS; it needs `tls_key_file`. Both files
    /// are read again when they change. Without them the server speaks HTTP, for a proxy with a certificate in front of it.
    #[schemars(example = &"/etc/lucida/tls/fullchain.pem")]
    pub tls_certificate_file: Option<PathBuf>,
    /// A PEM file of the certificate's private key, not encrypted.
    #[schemars(example = &"/etc/lucida/tls/privkey.pem")]
    pub tls_key_file: Option<PathBuf>,
    /// The largest request body, in bytes: a photo with the form around it.
    #[schemars(example = 134_217_728)]
    pub max_upload_bytes: u64,
    /// The largest JSON body, in bytes; the longest texts in the largest batch must fit.
    #[schemars(example = 8_388_608)]
    pub max_json_bytes: u64,
    /// How long the server may work on a request before it answers 503, in seconds; waiting for the client's bytes
    /// doesn't count.
    #[schemars(example = 60)]
    pub request_timeout_secs: u64,
    /// How long `?wait=true` waits for a photo, in seconds, before it returns the photo as it is.
    #[schemars(example = 30)]
    pub wait_timeout_secs: u64,
    /// How many requests are served at a time; one more gets 429 with `Retry-After`.
    #[schemars(example = 256)]
    pub max_concurrent_requests: usize,
    /// The most texts or pictures in one `/embed` call.
    #[schemars(example = 64)]
    pub max_embed_items: usize,
    /// The origins of web pages on other hosts that may call the API, such as `https://photos.example.com`; `"*"` is every one.
    /// Browsers send no cookies or passwords with such calls, so a page needs a key. A server without keys accepts only origins
    /// that are listed by name.
    #[schemars(example = ["https://photos.example.com"])]
    pub cors_origins: Vec<String>,
    /// The most bytes that the weights of all models of `[[models]]` may take in memory at a time; 0 means no limit. The least
    /// recently used is unloaded first.
    #[schemars(example = 4_294_967_296_u64)]
    pub models_memory_bytes: u64,
    /// How long a stopping server lets running requests and photos finish, in seconds.
    #[schemars(example = 30)]
    pub shutdown_timeout_secs: u64,
}

impl Default for ServerSettings {
    fn default() -> Self {
        Self {
            listen: Listen(SocketAddr::from((Ipv4Addr::LOCALHOST, 8080))),
            base_path: String::new(),
            tls_certificate_file: None,
            tls_key_file: None,
            max_upload_bytes: 128 << 20,
            max_json_bytes: 8 << 20,
            request_timeout_secs: 60,
            wait_timeout_secs: 30,
            max_concurrent_requests: 256,
            max_embed_items: 64,
            cors_origins: Vec::new(),
            models_memory_bytes: 0,
            shutdown_timeout_secs: 30,
        }
    }
}

impl ServerSettings {
    /// Returns where the certificate is, if the server speaks HTTPS.
    #[must_use]
    pub fn tls_files(&self) -> Option<TlsFiles> {
        let (certificate, key) = self.tls_certificate_file.clone().zip(self.tls_key_file.clone())?;
        Some(TlsFiles { certificate, key })
    }

    /// Returns `https` or `http`.
    #[must_use]
    pub const fn scheme(&self) -> &'static str {
        match self.tls_certificate_file {
            Some(_) => "https",
            None => "http",
        }
    }

    /// Returns how much memory the weights of all further models may take; without a limit, if `None`.
    #[must_use]
    pub fn models_memory(&self) -> Option<u64> {
        (self.models_memory_bytes > 0).then_some(self.models_memory_bytes)
    }

    /// Returns how long a stopping server waits for what it accepted.
    #[must_use]
    pub const fn shutdown_timeout(&self) -> Duration {
        Duration::from_secs(self.shutdown_timeout_secs)
    }
}

impl Settings for ServerSettings {
    fn validate(&self) -> Result<()> {
        check_base_path(&self.base_path)?;
        at_least_one("max_upload_bytes", self.max_upload_bytes)?;
        at_least_one("max_json_bytes", self.max_json_bytes)?;
        at_least_one("request_timeout_secs", self.request_timeout_secs)?;
        at_least_one("max_concurrent_requests", self.max_concurrent_requests as u64)?;
        at_least_one("max_embed_items", self.max_embed_items as u64)?;
        match (&self.tls_certificate_file, &self.tls_key_file) {
            (Some(_), None) => {
                let message =
                    "is not set beside tls_certificate_file: set it to the file of the certificate's key";
                return Err(Error::config("tls_key_file", message));
            }
            (None, Some(_)) => {
                let message = "is not set beside tls_key_file: set it to the file of the key's certificate";
                return Err(Error::config("tls_certificate_file", message));
            }
            (Some(_), Some(_)) | (None, None) => {}
        }
        for (place, origin) in self.cors_origins.iter().enumerate() {
            check_origin(&format!("cors_origins[{place}]"), origin)?;
        }
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

/// The first segments of the server's own paths, below which a proxy's prefix can't be distinguished from a call.
const OWN_SEGMENTS: [&str; 9] = [
    "docs",
    "embed",
    "gallery",
    "healthz",
    "metrics",
    "openapi.json",
    "readyz",
    "tokenize",
    "v1",
];

/// Checks that a text is a path that calls can be below.
fn check_base_path(path: &str) -> Result<()> {
    if path.is_empty() {
        return Ok(());
    }
    let is_segment = |segment: &str| {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~');
        !matches!(segment, "" | "." | "..") && segment.bytes().all(plain)
    };
    let mut segments = path.split('/');
    if segments.next() != Some("") || !segments.clone().all(is_segment) {
        let message =
            format!("`{path}` is not a path; expected one like `/photos`, without a slash at its end");
        return Err(Error::config("base_path", message));
    }
    match segments.next() {
        Some(first) if OWN_SEGMENTS.contains(&first) => {
            let message = format!("`/{first}` is a path of the server's own: choose another one");
            Err(Error::config("base_path", message))
        }
        Some(_) | None => Ok(()),
    }
}

/// Checks that a text is an origin as browsers write it, or `*`.
fn check_origin(field: &str, origin: &str) -> Result<()> {
    let is_origin = || {
        let uri: Uri = origin.parse().ok()?;
        let (scheme, authority) = (uri.scheme_str()?, uri.authority()?.as_str());
        let is_usual_port = matches!(
            (scheme, uri.port_u16()),
            ("http", Some(80)) | ("https", Some(443))
        );
        let written = format!("{scheme}://{authority}");
        let is_exact =
            written == origin && written == written.to_ascii_lowercase() && !authority.contains(['@', '*']);
        (matches!(scheme, "http" | "https") && is_exact && !is_usual_port).then_some(())
    };
    if origin == "*" || is_origin().is_some() {
        return Ok(());
    }
    let message = format!(
        "`{origin}` is not an origin; expected one like `https://photos.example.com` or `http://localhost:3000`: lower case, \
         without a path and without the usual port"
    );
    Err(Error::config(field, message))
}

/// An address and a port to listen on, such as `127.0.0.1:8080`, `localhost:8080`, `[::]:8080` or `8080`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String", inline)]
pub struct Listen(SocketAddr);

impl Listen {
    /// Returns the address.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.0
    }

    /// Returns whether only this machine can reach it.
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        self.0.ip().to_canonical().is_loopback()
    }
}

impl TryFrom<String> for Listen {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let trimmed = text.trim();
        let on_loopback =
            |port: &str| Some(SocketAddr::from((Ipv4Addr::LOCALHOST, port.parse::<u16>().ok()?)));
        let port = trimmed.strip_prefix("localhost:").unwrap_or(trimmed);
        let address = trimmed.parse().ok().or_else(|| on_loopback(port));
        address.map(Self).ok_or_else(|| {
            format!(
                "`{text}` is not an address with a port; expected one like 127.0.0.1:8080, localhost:8080, [::]:8080 or \
                 8080"
            )
        })
    }
}

impl From<Listen> for String {
    fn from(listen: Listen) -> Self {
        listen.to_string()
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
    fn a_port_alone_and_localhost_listen_on_loopback() {
        for (text, address) in [
            ("8080", "127.0.0.1:8080"),
            ("localhost:0", "127.0.0.1:0"),
            (" [::]:80 ", "[::]:80"),
        ] {
            let listen = Listen::try_from(text.to_owned()).unwrap();
            assert_eq!(listen.to_string(), address);
        }
        for text in [
            "",
            "localhost",
            "127.0.0.1",
            "70000",
            ":8080",
            "example.com:80",
            "-1",
        ] {
            let error = Listen::try_from(text.to_owned()).unwrap_err();
            assert!(
                error.starts_with(&format!("`{text}` is not an address with a port")),
                "{error}"
            );
        }
    }

    #[test]
    fn a_base_path_is_a_path_that_is_not_the_servers_own() {
        let check = |path: &str| {
            let settings = ServerSettings {
                base_path: path.to_owned(),
                ..ServerSettings::default()
            };
            settings.validate()
        };
        for path in ["", "/photos", "/a/b-c_d.e~f", "/lucida/v1"] {
            check(path).unwrap();
        }
        for path in [
            "/",
            "photos",
            "/photos/",
            "//",
            "/a//b",
            "/a/../b",
            "/a b",
            "/ä",
            "/{id}",
            "/v1",
            "/v1/photos",
        ] {
            let error = check(path).unwrap_err();
            assert_eq!(error.field(), Some("base_path"), "{path}");
        }
    }

    #[test]
    fn an_origin_is_written_as_browsers_send_it() {
        let check = |origin: &str| {
            let settings = ServerSettings {
                cors_origins: vec!["*".to_owned(), origin.to_owned()],
                ..ServerSettings::default()
            };
            settings.validate()
        };
        for origin in [
            "*",
            "https://photos.example.com",
            "http://localhost:3000",
            "http://[::1]:3000",
        ] {
            check(origin).unwrap();
        }
        for origin in [
            "",
            "null",
            "photos.example.com",
            "https://photos.example.com/",
            "https://photos.example.com/app",
            "https://Photos.example.com",
            "https://photos.example.com:443",
            "https://*.example.com",
            "https://me@photos.example.com",
            "ftp://photos.example.com",
        ] {
            let error = check(origin).unwrap_err();
            assert_eq!(error.field(), Some("cors_origins[1]"), "{origin}");
            assert!(error.message().contains("is not an origin"), "{error}");
        }
    }

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
