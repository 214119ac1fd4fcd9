//! Measures the queue: `queue_rate [FILE] [JOBS] [CLIENTS]` publishes, counts, and then receives and acks all.

use std::env;

use lucida_core::Result;
use lucida_sqlite::{SqliteQueue, SqliteQueueConfig};
use lucida_testkit::rates::{measure_queue, number};

#[tokio::main]
async fn main() -> Result<()> {
    let path = env::args()
        .nth(1)
        .unwrap_or_else(|| "data/queue-rate.db".to_owned());
    let queue = SqliteQueue::open(SqliteQueueConfig {
        path: path.into(),
        visibility_timeout_secs: 900,
    })
    .await?;
    measure_queue(&queue, number(2, 20_000), number(3, 8)).await
}
