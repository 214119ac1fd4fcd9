//! Measures the metadata store: `metadata_rate [FILE] [PHOTOS] [CLIENTS]` fills it, then reads, lists and counts.

use std::env;

use lucida_core::Result;
use lucida_sqlite::{SqliteConfig, SqliteMetadata};
use lucida_testkit::rates::{measure_metadata, number};

#[tokio::main]
async fn main() -> Result<()> {
    let path = env::args()
        .nth(1)
        .unwrap_or_else(|| "data/metadata-rate.db".to_owned());
    let store = SqliteMetadata::open(SqliteConfig { path: path.into() }).await?;
    measure_metadata(&store, number(2, 100_000), number(3, 8)).await
}
