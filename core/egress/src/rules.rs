//! Which URLs may be requested, before anything is connected to.

use std::fmt;
use std::net::IpAddr;

use lucida_core::{Error, Result};
use reqwest::Url;

use crate::address::is_public;

/// A host that the configuration names.
#[derive(Debug, Clone, PartialEq, Eq)]
enum HostPattern {
    /// This name or address.
    Exactly(String),
    /// Every name below this one.
    Below(String),
}

impl HostPattern {
    /// Reads `photos.example.org`, `*.example.org`, `192.168.1.20` or `fd00::1`.
    fn parse(written: &str) -> Option<Self> {
        let (name, below) = match written.strip_prefix("*.") {
            Some(name) => (name, true),
            None => (written, false),
        };
        let host = match name.parse::<IpAddr>() {
            Ok(IpAddr::V6(address)) => format!("[{address}]"),
            Ok(IpAddr::V4(_)) | Err(_) if name.contains([':', '*']) => return None,
            Ok(IpAddr::V4(_)) | Err(_) => name.to_owned(),
        };
        // A URL brings a host into the form that URLs to fetch have, too.
        let url = Url::parse(&format!("http://{host}/")).ok()?;
        let is_host_alone = url.as_str().len() == "http:///".len() + url.host_str()?.len();
        let host = plain(url.host_str()?);
        if !is_host_alone || (below && host.parse::<IpAddr>().is_ok()) {
            return None;
        }
        Some(if below {
            Self::Below(host)
        } else {
            Self::Exactly(host)
        })
    }

    fn matches(&self, host: &str) -> bool {
        match self {
            Self::Exactly(name) => host == name,
            Self::Below(name) => host
                .strip_suffix(name.as_str())
                .is_some_and(|rest| rest.ends_with('.') && rest.len() > 1),
        }
    }
}

/// A host as it is compared: without the brackets of IPv6 and the dot of a complete name.
fn plain(host: &str) -> String {
    let host = host.strip_prefix('[').unwrap_or(host);
    let host = host.strip_suffix(']').unwrap_or(host);
    host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase()
}

/// Why a URL is not requested.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused(String);

impl Refused {
    pub(crate) fn new(why: impl Into<String>) -> Self {
        Self(why.into())
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Refused {}

/// The rules of a configuration.
#[derive(Debug, Clone)]
pub struct Rules {
    /// The plugin whose setting `hosts` they come from.
    plugin: &'static str,
    /// Where any are named, only these.
    hosts: Vec<HostPattern>,
}

impl Rules {
    /// Reads the setting `hosts` of a plugin: names, `*.example.org` for every name below one, and addresses.
    ///
    /// # Errors
    /// `ConfigInvalid` for one that is not a host.
    pub fn new(plugin: &'static str, hosts: &[String]) -> Result<Self> {
        let patterns = hosts.iter().enumerate().map(|(at, written)| {
            HostPattern::parse(written).ok_or_else(|| {
                let message = format!(
                    "`{written}` is not a host; expected a name such as `photos.example.org`, `*.example.org`, or an address"
                );
                Error::config(format!("hosts[{at}]"), message)
            })
        });
        Ok(Self {
            plugin,
            hosts: patterns.collect::<Result<_>>()?,
        })
    }

    /// Returns why a URL may not be requested.
    #[must_use]
    pub fn refusal(&self, url: &Url) -> Option<Refused> {
        if !matches!(url.scheme(), "http" | "https") {
            let scheme = url.scheme();
            return Some(Refused(format!(
                "`{scheme}` is not supported, only http and https are"
            )));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Some(Refused::new("it has a user name or a password"));
        }
        let Some(host) = url.host_str().map(plain) else {
            return Some(Refused::new("it names no host"));
        };
        if !self.hosts.is_empty() {
            let is_named = self.names(&host);
            return (!is_named).then(|| {
                Refused(format!(
                    "`{host}` is not among the `hosts` of the plugin {}",
                    self.plugin
                ))
            });
        }
        match host.parse() {
            Ok(address) if !is_public(address) => Some(self.not_public()),
            Ok(_) | Err(_) => None,
        }
    }

    /// Returns whether an address of a host may be connected to.
    pub(crate) fn allow(&self, host: &str, address: IpAddr) -> bool {
        self.names(&plain(host)) || (self.hosts.is_empty() && is_public(address))
    }

    /// Refuses an address without naming it: callers could map a network by that.
    pub(crate) fn not_public(&self) -> Refused {
        Refused(format!(
            "it leads to an address that is not public; `hosts` of the plugin {} can name its host",
            self.plugin
        ))
    }

    fn names(&self, host: &str) -> bool {
        self.hosts.iter().any(|pattern| pattern.matches(host))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(hosts: &[&str]) -> Rules {
        Rules::new(
            "url-ingest",
            &hosts.iter().map(ToString::to_string).collect::<Vec<_>>(),
        )
        .unwrap()
    }

    #[test]
    fn inner_addresses_are_refused_in_every_notation() {
        for url in [
            "http://127.0.0.1/",
            "http://127.1/",
            "http://2130706433/",
            "http://0x7f000001/",
            "http://0177.0.0.1/",
            "http://0x7f.0.0.1/",
            "http://127.0.0.1./",
            "http://0/",
            "http://0.0.0.0/",
            "http://[::1]/",
            "http://[::]/",
            "http://[0:0:0:0:0:0:0:1]/",
            "http://[::ffff:127.0.0.1]/",
            "http://[::ffff:7f00:1]/",
            "http://[::127.0.0.1]/",
            "http://[64:ff9b::127.0.0.1]/",
            "http://[fe80::1]/",
            "http://[fd00:ec2::254]/",
            "http://10.0.0.1:8080/",
            "http://192.168.1.1/",
            "http://172.16.0.1/",
            "http://169.254.169.254/latest/",
            "http://2852039166/",
            "http://0xa9fea9fe/",
            "http://0251.0376.0251.0376/",
            "http://１２７.０.０.１/",
            "http://①②⑦.0.0.1/",
            "http://127。0。0。1/",
            "HTTP://127.0.0.1",
            "http:127.0.0.1",
            "http:/127.0.0.1",
            "http:\\\\127.0.0.1\\",
            "https://100.100.100.200/",
            "http://224.0.0.1/",
            "http://255.255.255.255/",
        ] {
            let url = Url::parse(url).unwrap_or_else(|error| panic!("{url}: {error}"));
            let rules = rules(&[]);
            assert_eq!(rules.refusal(&url), Some(rules.not_public()), "{url}");
        }
        for url in [
            "file:///etc/passwd",
            "ftp://example.org/a.jpg",
            "gopher://127.0.0.1:6379/_x",
            "data:image/png;base64,AA",
            "javascript:alert(1)",
            "unix:/run/docker.sock",
            "http://user@example.org/",
            "http://a:b@example.org/",
            "http://127.0.0.1@example.org/",
            "jar:http://127.0.0.1!/",
        ] {
            assert!(rules(&[]).refusal(&Url::parse(url).unwrap()).is_some(), "{url}");
        }
        for url in [
            "http://example.org/a.jpg",
            "https://8.8.8.8/",
            "https://[2606:4700::1111]:8443/a?b#c",
        ] {
            assert_eq!(rules(&[]).refusal(&Url::parse(url).unwrap()), None, "{url}");
        }
    }

    #[test]
    fn only_named_hosts_are_fetched_from_where_any_are_named() {
        let rules = rules(&[
            "photos.example.org",
            "*.example.net",
            "192.168.1.20",
            "fd00::1",
            "bücher.example",
        ]);
        for url in [
            "http://photos.example.org/a",
            "http://PHOTOS.example.org./a",
            "https://a.example.net:8443/",
            "http://a.b.example.net/",
            "http://192.168.1.20/",
            "http://0xc0a80114/",
            "http://[fd00:0::1]/",
            "http://xn--bcher-kva.example/",
        ] {
            assert_eq!(rules.refusal(&Url::parse(url).unwrap()), None, "{url}");
        }
        for url in [
            "http://example.org/",
            "http://evil-photos.example.org/",
            "http://photos.example.org.evil.example/",
            "http://example.net/",
            "http://evilexample.net/",
            "http://192.168.1.21/",
            "http://8.8.8.8/",
        ] {
            assert!(rules.refusal(&Url::parse(url).unwrap()).is_some(), "{url}");
        }
        assert!(rules.allow("photos.example.org", [10, 0, 0, 1].into()));
        assert!(!rules.allow("other.example.org", [8, 8, 8, 8].into()));
    }

    #[test]
    fn what_is_not_a_host_can_not_be_named() {
        for written in [
            "",
            "*",
            "*.",
            "http://example.org",
            "example.org/path",
            "a b",
            "user@example.org",
            "example.org:80",
            "*.10.0.0.1",
        ] {
            assert_eq!(HostPattern::parse(written), None, "{written}");
        }
    }
}
