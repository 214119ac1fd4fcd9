//! The HTTP client that connects only to addresses that the rules allow.

use std::error::Error as StdError;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use lucida_core::{Error, Result};
use reqwest::Client;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::redirect::Policy;
use tracing::debug;

use crate::rules::{Refused, Rules};

/// How long a connection may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Looks up the addresses of a name; tests have their own.
pub type Lookup = Arc<dyn Fn(String) -> BoxFuture<'static, std::io::Result<Vec<IpAddr>>> + Send + Sync>;

/// Looks names up as this machine does.
#[must_use]
pub fn system_lookup() -> Lookup {
    Arc::new(|host: String| {
        async move {
            let found = tokio::net::lookup_host((host.as_str(), 0)).await?;
            Ok(found.map(|address| address.ip()).collect())
        }
        .boxed()
    })
}

/// Resolves names to the addresses that may be connected to: what is checked here is what the connection uses.
struct Guard {
    rules: Rules,
    lookup: Lookup,
}

impl Resolve for Guard {
    fn resolve(&self, name: Name) -> Resolving {
        let (rules, lookup) = (self.rules.clone(), Arc::clone(&self.lookup));
        async move {
            let host = name.as_str().to_owned();
            let found = lookup(host.clone()).await?;
            let is_empty = found.is_empty();
            let allowed: Vec<_> = found
                .into_iter()
                .filter(|address| rules.allow(&host, *address))
                .collect();
            if allowed.is_empty() && !is_empty {
                debug!(host, "refusing a URL that leads to addresses that are not public");
                return Err(rules.not_public().into());
            }
            let addresses = allowed.into_iter().map(|address| SocketAddr::new(address, 0));
            Ok(Box::new(addresses) as Addrs)
        }
        .boxed()
    }
}

/// Creates a client that sends no cookies and no `Referer`, and uses no proxy; nothing is connected to yet.
///
/// A URL must be checked by [`Rules::refusal`] before it is requested: an address in it is not looked up. Of `max_redirects`
/// each is checked; with `None` a redirect is an answer like any other.
///
/// # Errors
/// `Internal` where no client can be set up.
pub fn client(
    rules: &Rules,
    timeout: Duration,
    max_redirects: Option<usize>,
    lookup: Lookup,
) -> Result<Client> {
    let redirects = match max_redirects {
        None => Policy::none(),
        Some(max_redirects) => {
            let rules = rules.clone();
            Policy::custom(move |attempt| {
                if attempt.previous().len() > max_redirects {
                    return attempt.error(Refused::new("it is redirected too often"));
                }
                match rules.refusal(attempt.url()) {
                    Some(refusal) => attempt.error(refusal),
                    None => attempt.follow(),
                }
            })
        }
    };
    Client::builder()
        .connect_timeout(CONNECT_TIMEOUT)
        .timeout(timeout)
        .dns_resolver(Arc::new(Guard {
            rules: rules.clone(),
            lookup,
        }))
        .redirect(redirects)
        .referer(false)
        .no_proxy()
        .user_agent(concat!("lucida/", env!("CARGO_PKG_VERSION")))
        .build()
        .map_err(|error| Error::internal("the HTTP client can't be set up").with_source(error))
}

/// Why a request got no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure {
    /// The rules don't allow it.
    Refused(String),
    /// It took too long.
    Timeout,
    /// Nothing answered; the innermost cause.
    Unreachable(String),
}

impl From<&reqwest::Error> for Failure {
    fn from(error: &reqwest::Error) -> Self {
        let mut cause: Option<&(dyn StdError + 'static)> = Some(error);
        let mut innermost = error.to_string();
        while let Some(inner) = cause {
            if let Some(refused) = inner.downcast_ref::<Refused>() {
                return Self::Refused(refused.to_string());
            }
            innermost = inner.to_string();
            cause = inner.source();
        }
        if error.is_timeout() {
            Self::Timeout
        } else {
            Self::Unreachable(innermost)
        }
    }
}
