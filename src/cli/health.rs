//! `lucida health`: asks a running process how it is, for the health checks of containers and scripts.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use clap::Args;
use lucida_core::Error;
use reqwest::{Client, Response, redirect};
use serde::Deserialize;

use super::config_args::ConfigArgs;
use super::outcome::{Outcome, print};
use crate::config::{Config, Flag, Listen};
use crate::registry::Registry;

#[derive(Args)]
pub(super) struct HealthArgs {
    #[command(flatten)]
    config: ConfigArgs,
    /// Asks a worker, at worker.listen
    #[arg(long)]
    worker: bool,
    /// Asks whether it is ready (/readyz), and not only whether it is alive (/healthz)
    #[arg(long)]
    ready: bool,
    /// The address and port that it listens on, in place of server.listen or worker.listen
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<String>,
    /// How long it may take to answer
    #[arg(long, value_name = "SECONDS", default_value_t = 8, value_parser = clap::value_parser!(u64).range(1..))]
    timeout_secs: u64,
}

/// Succeeds where the process of this configuration is alive, or ready.
pub(super) async fn run(registry: &Registry, args: HealthArgs) -> Outcome {
    let key = if args.worker {
        "worker.listen"
    } else {
        "server.listen"
    };
    let listen = args.listen.map(|address| Flag::new(key, address, "--listen"));
    let config = args.config.load(registry, listen)?;
    let (listen, scheme) = place(&config, args.worker)?;
    let (path, state) = if args.ready {
        ("/readyz", "ready\n")
    } else {
        ("/healthz", "alive\n")
    };
    if listen.address().port() == 0 {
        let message = "is port 0, and only the process knows which one it took: pass it as --listen";
        return Err(Error::config(key, message).into());
    }
    let client = client(Duration::from_secs(args.timeout_secs))?;
    let mut failure = None;
    for address in reachable(listen.address()) {
        let url = format!("{scheme}://{address}{path}");
        match client.get(&url).send().await {
            Ok(answer) if answer.status().is_success() => return print(state),
            Ok(answer) => return Err(refusal(&url, answer).await.into()),
            Err(error) => {
                let error =
                    Error::unavailable(format!("no answer from {url}")).with_source(error.without_url());
                failure.get_or_insert(error);
            }
        }
    }
    Err(failure
        .unwrap_or_else(|| Error::internal("there is no address to ask"))
        .into())
}

/// Returns where the process listens, and what it speaks there.
fn place(config: &Config, is_worker: bool) -> Result<(Listen, &'static str), Error> {
    if !is_worker {
        return Ok((config.server.listen, config.server.scheme()));
    }
    let message = "is not set, and such a worker doesn't listen: set it to an address like 127.0.0.1:8081";
    let listen = config.worker.listen;
    Ok((
        listen.ok_or_else(|| Error::config("worker.listen", message))?,
        "http",
    ))
}

/// Returns where this machine reaches what listens on an address, the best first.
fn reachable(address: SocketAddr) -> Vec<SocketAddr> {
    let loopback: Vec<IpAddr> = match address.ip() {
        ip if !ip.is_unspecified() => vec![ip],
        IpAddr::V4(_) => vec![Ipv4Addr::LOCALHOST.into()],
        // It takes both, and a container may have no IPv6 of its own.
        IpAddr::V6(_) => vec![Ipv6Addr::LOCALHOST.into(), Ipv4Addr::LOCALHOST.into()],
    };
    loopback
        .into_iter()
        .map(|ip| SocketAddr::new(ip, address.port()))
        .collect()
}

fn client(timeout: Duration) -> Result<Client, Error> {
    Client::builder()
        .user_agent(concat!("lucida/", env!("CARGO_PKG_VERSION")))
        .timeout(timeout)
        .no_proxy()
        .redirect(redirect::Policy::none())
        // It is asked by its address, which no certificate names, and told nothing.
        .danger_accept_invalid_certs(true)
        .build()
        .map_err(|error| Error::internal("HTTP can't be set up").with_source(error))
}

/// What is read of a problem.
#[derive(Deserialize)]
struct ProblemAnswer {
    detail: String,
}

async fn refusal(url: &str, answer: Response) -> Error {
    let status = answer.status();
    let text = answer.text().await.unwrap_or_default();
    let problem = serde_json::from_str::<ProblemAnswer>(&text);
    let detail = problem.map_or_else(|_| String::new(), |problem| format!(": {}", problem.detail));
    Error::unavailable(format!("{url} answers {status}{detail}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_listens_everywhere_is_asked_on_loopback() {
        for (listen, asked) in [
            ("0.0.0.0:80", &["127.0.0.1:80"][..]),
            ("[::]:80", &["[::1]:80", "127.0.0.1:80"]),
            ("127.0.0.1:80", &["127.0.0.1:80"]),
            ("192.168.1.5:80", &["192.168.1.5:80"]),
            ("[2001:db8::5]:80", &["[2001:db8::5]:80"]),
        ] {
            let found: Vec<_> = reachable(listen.parse().unwrap())
                .iter()
                .map(SocketAddr::to_string)
                .collect();
            assert_eq!(found, asked);
        }
    }
}
