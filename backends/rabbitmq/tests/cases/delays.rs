//! Delays that are no rung of the ladder.

use std::time::{Duration, Instant};

use lucida_core::JobQueue;
use lucida_testkit::eventually;

use super::{AN_HOUR, NOW, job, publish, receive};
use crate::support::{Scratch, server};

/// How late a job may come: the shortest rung, and what a busy machine takes.
const LATE: Duration = Duration::from_secs(2);

#[tokio::test(flavor = "multi_thread")]
async fn a_delay_between_two_rungs_is_kept_and_no_longer_one_holds_it_up() {
    let Some(uri) = server() else { return };
    let scratch = Scratch::new(uri);
    let queue = scratch.open().await;
    for delay in [AN_HOUR, Duration::from_secs(9), Duration::from_secs(5)] {
        queue.publish(&job(), delay).await.unwrap();
    }
    let start = Instant::now();
    let delays = [2_500, 250, 1_200].map(Duration::from_millis);
    let mut published = Vec::new();
    for delay in delays {
        let delayed = job();
        queue.publish(&delayed, delay).await.unwrap();
        published.push((delay, delayed));
    }
    published.sort_by_key(|(delay, _)| *delay);
    for (delay, delayed) in published {
        let delivery = receive(&queue).await;
        let took = start.elapsed();
        assert_eq!((delivery.job.clone(), delivery.redeliveries), (delayed, 0));
        assert!(
            (delay..delay + LATE).contains(&took),
            "{took:?} instead of {delay:?}"
        );
        queue.ack(&delivery).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_is_moved_from_rung_to_rung_keeps_its_count() {
    let Some(uri) = server() else { return };
    let scratch = Scratch::new(uri);
    let queue = scratch.open().await;
    publish(&queue).await;
    for redeliveries in 0..3 {
        let delivery = receive(&queue).await;
        assert_eq!(delivery.redeliveries, redeliveries);
        queue.retry(&delivery, Duration::from_millis(350)).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delayed_job_is_counted_once_wherever_it_is_on_the_ladder() {
    let Some(uri) = server() else { return };
    let scratch = Scratch::new(uri);
    let queue = scratch.open().await;
    for delay in [
        NOW,
        Duration::from_secs(200),
        Duration::from_secs(700),
        AN_HOUR * 50,
    ] {
        queue.publish(&job(), delay).await.unwrap();
    }
    eventually("one job is ready and three are delayed", async || {
        let counts = queue.counts().await.unwrap();
        (counts.ready, counts.delayed) == (1, 3)
    })
    .await;
}
