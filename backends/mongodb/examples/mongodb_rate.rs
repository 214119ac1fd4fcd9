//! Measures the metadata store: `mongodb_rate URI DATABASE [PHOTOS] [CLIENTS]` fills it, then reads, lists and counts.

use std::env;

use lucida_core::Result;
use lucida_core::config::Secret;
use lucida_mongodb::{MongodbConfig, MongodbMetadata};
use lucida_testkit::rates::{measure_metadata, number};

#[tokio::main]
async fn main() -> Result<()> {
    let argument = |at: usize, default: &str| env::args().nth(at).unwrap_or_else(|| default.to_owned());
    let store = MongodbMetadata::open(MongodbConfig {
        uri: Some(Secret::new(argument(1, "mongodb://127.0.0.1:27017"))),
        uri_file: None,
        database: Some(argument(2, "lucida_rate")),
        collection_prefix: String::new(),
        max_connections: 100,
        min_connections: 0,
        max_idle_secs: 300,
        connect_timeout_ms: 3_000,
        server_selection_timeout_ms: 5_000,
        operation_timeout_ms: 60_000,
    })
    .await?;
    measure_metadata(&store, number(3, 10_000), number(4, 8)).await
}
