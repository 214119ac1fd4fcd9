//! Measures the queue: `queue_rate [URI] [JOBS] [CLIENTS]` publishes, counts, and then receives and acks all.

use std::env;
use std::time::{Duration, Instant};

use futures::{StreamExt, TryStreamExt, stream};
use lucida_core::{Error, Job, JobQueue, PhotoId, Result, Secret};
use lucida_rabbitmq::{RabbitmqConfig, RabbitmqQueue};

const NOW: Duration = Duration::ZERO;

#[tokio::main]
async fn main() -> Result<()> {
    let number = |at: usize, default: usize| {
        let text = env::args().nth(at);
        text.and_then(|text| text.parse().ok()).unwrap_or(default)
    };
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
            tokio::time::sleep(Duration::from_millis(20)).await;
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

    let mut photo_id = PhotoId::generate();
    for _ in 0..jobs.min(1_000) {
        publish(&queue).await?;
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
        publish_after(&queue, delay).await?;
        if let Some(delivery) = queue.receive(Duration::from_secs(10)).await? {
            late.push(start.elapsed().saturating_sub(delay));
            queue.ack(&delivery).await?;
        }
    }
    late.sort();
    report("a job delayed by 1.7 s comes late by, median", 1, late[10]);
    Ok(())
}

async fn publish(queue: &RabbitmqQueue) -> Result<()> {
    publish_after(queue, NOW).await
}

async fn publish_after(queue: &RabbitmqQueue, delay: Duration) -> Result<()> {
    let job = Job {
        photo_id: PhotoId::generate(),
    };
    queue.publish(&job, delay).await
}

#[expect(clippy::print_stdout, reason = "a command that prints figures")]
fn report(operation: &str, count: usize, took: Duration) {
    let rate = count as f64 / took.as_secs_f64();
    println!("{operation}: {count} in {took:.2?}, {rate:.0}/s");
}
