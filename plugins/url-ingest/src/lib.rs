//! Fetches photos that clients name by URL, without lending them the server's place in its network.
//!
//! Only `http` and `https`; only hosts that the configuration names, or else those with public addresses, in whichever
//! notation and after whichever redirect. The addresses that are checked are those that are connected to.

mod config;
mod factory;
mod fetcher;
mod plugin;

pub use config::UrlIngestConfig;
pub use factory::factory;
pub use fetcher::UrlFetcher;
pub use lucida_egress::Lookup;
pub use plugin::UrlIngestPlugin;
