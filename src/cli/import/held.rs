//! What to do when the library is in the hands of a running server: the command line that imports through it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use lucida_core::{Error, ErrorKind, Scope};

use super::args::ImportArgs;
use super::server::Server;
use crate::config::Config;

/// How long a server may take to say that it is there.
const ANSWER_WITHIN: Duration = Duration::from_secs(2);

/// A call of `lucida import`, to be offered again with a server.
pub(super) struct Offer {
    words: Vec<String>,
}

impl Offer {
    /// Remembers what of a call holds for an import into a server, too.
    pub(super) fn of(args: &ImportArgs) -> Self {
        let mut words = vec!["lucida".to_owned(), "import".to_owned()];
        words.extend(args.paths.iter().map(|path| quoted(&path.to_string_lossy())));
        let mut option = |name: &str, value: &str| {
            words.push(name.to_owned());
            words.push(quoted(value));
        };
        for tag in &args.tag {
            option("--tag", tag);
        }
        for pattern in &args.exclude {
            option("--exclude", pattern);
        }
        if let Some(path) = &args.report {
            option("--report", &path.to_string_lossy());
        }
        if args.folder_tags {
            words.push("--folder-tags".to_owned());
        }
        if args.watch {
            words.push("--watch".to_owned());
        }
        Self { words }
    }

    /// Adds the command line that imports through the server to the error of a library that a server holds; returns
    /// any other error as it is.
    pub(super) async fn explain(self, error: Error, config: &Config) -> Error {
        if !matches!(error.kind(), ErrorKind::Conflict | ErrorKind::Unavailable) {
            return error;
        }
        let scheme = config.server.scheme();
        let url = format!("{scheme}://{}", reachable(config.server.listen.address()));
        let answer = tokio::time::timeout(ANSWER_WITHIN, Server::connect(&url, None)).await;
        if matches!(answer, Ok(Ok(_))) {
            let line = self.line(&url, config);
            return Error::new(
                error.kind(),
                format!("{error}\na server answers at {url}; import through it:\n  {line}"),
            );
        }
        if !error.to_string().contains("another lucida process") {
            return error;
        }
        let line = self.line(&format!("{scheme}://HOST:PORT"), config);
        Error::new(
            error.kind(),
            format!("{error}\nif that process is a server, import through it:\n  {line}"),
        )
    }

    fn line(mut self, url: &str, config: &Config) -> String {
        self.words.push(format!("--server {}", quoted(url)));
        let keys = &config.auth.keys;
        if !keys.is_empty() {
            let writing = keys.iter().find(|key| key.scopes.contains(&Scope::Write));
            let file = writing.and_then(|key| key.key_file.as_ref());
            let file = file.map_or_else(|| "FILE".to_owned(), |file| quoted(&file.to_string_lossy()));
            self.words.push(format!("--key-file {file}"));
        }
        self.words.join(" ")
    }
}

/// Returns the address at which a server that listens on another is reached from this machine.
fn reachable(listen: SocketAddr) -> SocketAddr {
    if !listen.ip().is_unspecified() {
        return listen;
    }
    let loopback = match listen.ip() {
        IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::LOCALHOST),
    };
    SocketAddr::new(loopback, listen.port())
}

/// Returns a word as a shell takes it.
fn quoted(word: &str) -> String {
    let plain = |character: char| character.is_ascii_alphanumeric() || "_./:=@%+,-".contains(character);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', "'\\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_quoted_as_a_shell_needs_it() {
        assert_eq!(quoted("/home/me/Pictures"), "/home/me/Pictures");
        assert_eq!(quoted("Summer 2024"), "'Summer 2024'");
        assert_eq!(quoted("it's"), "'it'\\''s'");
        assert_eq!(quoted("*.mov"), "'*.mov'");
        assert_eq!(quoted(""), "''");
    }

    #[test]
    fn a_server_on_every_address_is_reached_by_loopback() {
        let reached = |listen: &str| reachable(listen.parse().unwrap()).to_string();
        assert_eq!(reached("0.0.0.0:8080"), "127.0.0.1:8080");
        assert_eq!(reached("[::]:8080"), "[::1]:8080");
        assert_eq!(reached("192.168.1.4:80"), "192.168.1.4:80");
    }
}
