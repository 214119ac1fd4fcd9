//! Measures the queue: `rabbitmq_rate [URI] [JOBS] [CLIENTS]` publishes, counts, and then receives and acks all.

use std::env;
use std::time::{Duration, Instant};

use lucida_core::{JobQueue, PhotoId, Result, Secret};
use lucida_rabbitmq::{RabbitmqConfig, RabbitmqQueue};
use lucida_testkit::rates::{measure_queue, number, publish, report};

const NOW: Duration = Duration::ZERO;

#[tokio::main]
async fn main() -> Result<()> {
    let uri = env::args()
        .nth(1)
        .unwrap_or_else(|| "amqp://127.0.0.1".to_owned());
    let (jobs, clients) = (number(2, 5_000), number(3, 8));
    let queue = RabbitmqQueue::open(RabbitmqConfig {
        uri: Some(Secret::new(uri)),
        uri_file: None,
        queue: "lucida.queue-rate".to_owned(),
        heartbeat_secs: 10,
        connect_timeout_ms: 5_000,
        ca_file: None,
    })
    .await?;

    // What an earlier run left.
    while let Some(delivery) = queue.receive(NOW).await? {
        queue.ack(&delivery).await?;
    }
    measure_queue(&queue, jobs, clients).await?;

    let mut photo_id = PhotoId::generate();
    for _ in 0..jobs.min(1_000) {
        publish(&queue, NOW).await?;
        if let Some(delivery) = queue.receive(NOW).await? {
            queue.dead_letter(&delivery, "photo can't be decoded").await?;
            photo_id = delivery.job.photo_id;
        }
    }
    let letters = queue.counts().await?.dead;
    let start = Instant::now();
    queue.remove_dead_letters(&photo_id).await?;
    report(
        &format!("remove a photo's among {letters} dead letters"),
        1,
        start.elapsed(),
    );

    let mut late = Vec::new();
    for _ in 0..21 {
        let delay = Duration::from_millis(1_700);
        let start = Instant::now();
        publish(&queue, delay).await?;
        if let Some(delivery) = queue.receive(Duration::from_secs(10)).await? {
            late.push(start.elapsed().saturating_sub(delay));
            queue.ack(&delivery).await?;
        }
    }
    late.sort();
    report("a job delayed by 1.7 s comes late by, median", 1, late[10]);
    Ok(())
}
