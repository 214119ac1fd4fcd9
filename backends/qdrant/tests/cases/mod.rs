//! What is particular to Qdrant.

mod alias;
mod collections;
mod connection;
mod foreign;
mod points;
