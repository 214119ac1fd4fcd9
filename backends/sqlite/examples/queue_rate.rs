//! Measures the queue: `queue_rate [FILE] [JOBS] [CLIENTS]` publishes, counts, and then receives and acks all.

use std::env;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use futures::{StreamExt, TryStreamExt, stream};
use lucida_core::{Error, Job, JobQueue, PhotoId, Result};
use lucida_sqlite::{SqliteQueue, SqliteQueueConfig};

const NOW: Duration = Duration::ZERO;

#[tokio::main]
async fn main() -> Result<()> {
    let number = |at: usize, default: usize| {
        let text = env::args().nth(at);
        text.and_then(|text| text.parse().ok()).unwrap_or(default)
    };
    let path: PathBuf = env::args()
        .nth(1)
        .unwrap_or_else(|| "data/queue-rate.db".to_owned())
        .into();
    let (jobs, clients) = (number(2, 20_000), number(3, 8));
    let queue = SqliteQueue::open(SqliteQueueConfig {
        path,
        visibility_timeout_secs: 900,
    })
    .await?;

    let start = Instant::now();
    stream::iter(0..jobs)
        .map(|_| publish(&queue))
        .buffer_unordered(clients)
        .try_collect::<Vec<()>>()
        .await?;
    report(&format!("publish, {clients} at once"), jobs, start.elapsed());

    let start = Instant::now();
    queue.counts().await?;
    report("count", 1, start.elapsed());

    let start = Instant::now();
    stream::iter(0..jobs)
        .map(|_| async {
            if let Some(delivery) = queue.receive(NOW).await? {
                queue.ack(&delivery).await?;
            }
            Ok::<_, Error>(())
        })
        .buffer_unordered(clients)
        .try_collect::<Vec<()>>()
        .await?;
    report(
        &format!("receive and ack, {clients} at once"),
        jobs,
        start.elapsed(),
    );

    let mut times = Vec::new();
    for _ in 0..201 {
        let waiting = queue.receive(Duration::from_secs(10));
        let published = async {
            tokio::time::sleep(Duration::from_millis(2)).await;
            let start = Instant::now();
            publish(&queue).await?;
            Ok::<_, Error>(start)
        };
        let (delivery, start) = tokio::try_join!(waiting, published)?;
        times.push(start.elapsed());
        if let Some(delivery) = delivery {
            queue.ack(&delivery).await?;
        }
    }
    times.sort();
    report("publish to a waiting receiver, median", 1, times[100]);
    Ok(())
}

async fn publish(queue: &SqliteQueue) -> Result<()> {
    let job = Job {
        photo_id: PhotoId::generate(),
    };
    queue.publish(&job, NOW).await
}

#[expect(clippy::print_stdout, reason = "a command that prints figures")]
fn report(operation: &str, count: usize, took: Duration) {
    let rate = count as f64 / took.as_secs_f64();
    println!("{operation}: {count} in {took:.2?}, {rate:.0}/s");
}
