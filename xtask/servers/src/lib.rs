//! The servers that the tests need, each on free loopback ports with its data in a temporary folder: MinIO, SeaweedFS,
//! FerretDB, RabbitMQ and the stand-in for Qdrant.
//!
//! Where a Docker engine answers, [`Docker`] starts MinIO, MongoDB, RabbitMQ and Qdrant from images instead.
//!
//! `cargo xtask test` and `cargo xtask servers` start one of each and name them in the environment of tests. A test that kills
//! servers starts its own: it finds the programs with [`Programs::or_skip`], kills with [`Server::kill`], which
//! is SIGKILL to everything that belongs to the server, and goes on with [`Server::start_again`], on the same port and
//! with the same data.
//!
//! Only what was started here is ever ended, and it is: when a [`Server`] is dropped, and when the process that started
//! it dies in any way. [`Process`] does that, and runs Lucida's own processes in tests and in the benchmark, too.

mod docker;
mod http;
mod image;
mod kind;
mod kinds;
mod ports;
mod process;
mod programs;
mod server;
mod service;
mod signature;
pub mod variable;

pub use docker::{Container, Docker};
pub use kind::Kind;
pub use kinds::s3::{ACCESS_KEY_ID, BUCKET, SECRET_ACCESS_KEY};
pub use ports::free_address;
pub use process::Process;
pub use programs::Programs;
pub use server::Server;
