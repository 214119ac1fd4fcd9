//! Connections to URLs that clients or settings name, without lending anybody the server's place in its network.
//!
//! Only `http` and `https`; only hosts that the configuration names, or else those with public addresses, in whichever
//! notation. The addresses that are checked are those that are connected to.

mod address;
mod client;
mod rules;

pub use client::{Failure, Lookup, client, system_lookup};
pub use rules::{Refused, Rules};
