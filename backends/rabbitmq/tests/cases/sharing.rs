//! Several processes on one queue: each job goes to one of them, and to another when that one dies.

use std::collections::BTreeSet;
use std::env;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use futures::future::try_join_all;
use lapin::options::QueueDeclareOptions;
use lapin::types::FieldTable;
use lucida_core::{JobQueue, QueueCounts};
use lucida_testkit::eventually;

use super::{A_MOMENT, publish, receive};
use crate::support::{Scratch, channel, open, server};

/// Names the queue that [`holds_three_jobs_until_it_is_killed`] opens, in a process of its own.
const HELD_QUEUE: &str = "LUCIDA_TEST_HELD_QUEUE";

/// Not a test by itself: another process that takes three jobs and never ends by itself.
#[tokio::test]
async fn holds_three_jobs_until_it_is_killed() {
    let (Ok(queue), Some(uri)) = (env::var(HELD_QUEUE), server()) else {
        return;
    };
    let queue = open(&uri, &queue).await;
    for _ in 0..3 {
        receive(&queue).await;
    }
    println!("\nholding");
    std::future::pending().await
}

struct Holder(Child);

impl Holder {
    fn start(queue: &str) -> Self {
        const NAME: &str = "cases::sharing::holds_three_jobs_until_it_is_killed";
        let mut holder = Self(
            Command::new(env::current_exe().unwrap())
                .args(["--exact", NAME, "--nocapture"])
                .env(HELD_QUEUE, queue)
                .stdout(Stdio::piped())
                .spawn()
                .unwrap(),
        );
        let lines = BufReader::new(holder.0.stdout.take().unwrap()).lines();
        assert!(
            lines.map_while(Result::ok).any(|line| line == "holding"),
            "the other process took no jobs"
        );
        holder
    }
}

impl Drop for Holder {
    /// Kills it with SIGKILL.
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_jobs_of_a_killed_process_come_to_another_as_redeliveries() {
    let Some(uri) = server() else { return };
    let scratch = Scratch::new(uri);
    let queue = scratch.open().await;
    for _ in 0..3 {
        publish(&queue).await;
    }
    let holder = Holder::start(&scratch.queue);
    assert_eq!(queue.receive(A_MOMENT).await.unwrap(), None);
    let untouched = publish(&queue).await;
    drop(holder);
    let mut redelivered = 0;
    for _ in 0..4 {
        let delivery = receive(&queue).await;
        let expected = u32::from(delivery.job != untouched);
        assert_eq!(delivery.redeliveries, expected);
        redelivered += delivery.redeliveries;
        queue.ack(&delivery).await.unwrap();
    }
    assert_eq!(redelivered, 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn several_processes_share_the_jobs() {
    const JOBS: usize = 300;
    let Some(uri) = server() else { return };
    let scratch = Scratch::new(uri);
    let (one, other) = (scratch.open().await, scratch.open().await);
    let mut published = BTreeSet::new();
    for at in 0..JOBS {
        let job = publish(if at % 2 == 0 { &one } else { &other }).await;
        published.insert(job.photo_id);
    }
    let receivers = (0..6).map(|number| {
        let queue = if number % 2 == 0 { &one } else { &other };
        async move {
            let mut mine = Vec::new();
            while let Some(delivery) = queue.receive(A_MOMENT).await? {
                assert_eq!(delivery.redeliveries, 0);
                mine.push(delivery.job.photo_id);
                queue.ack(&delivery).await?;
            }
            Ok::<_, lucida_core::Error>(mine)
        }
    });
    let received = try_join_all(receivers).await.unwrap();
    assert!(
        received.iter().all(|mine| !mine.is_empty()),
        "a receiver got nothing"
    );
    assert_eq!(received.concat().len(), JOBS);
    let received: BTreeSet<_> = received.concat().into_iter().collect();
    assert_eq!(received, published);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_holds_no_job_that_nobody_there_asked_for() {
    let Some(uri) = server() else { return };
    let scratch = Scratch::new(uri);
    let (idle, busy) = (scratch.open().await, scratch.open().await);
    // It has received, waited in vain, and given up waiting; none of which leaves anything behind.
    let first = publish(&idle).await;
    let delivery = receive(&idle).await;
    assert_eq!(delivery.job, first);
    idle.ack(&delivery).await.unwrap();
    assert_eq!(idle.receive(A_MOMENT).await.unwrap(), None);
    assert!(tokio::time::timeout(A_MOMENT, receive(&idle)).await.is_err());
    let (_connection, channel) = channel(&scratch.uri).await;
    eventually("the consumer of the call that was dropped is gone", async || {
        let options = QueueDeclareOptions {
            passive: true,
            ..QueueDeclareOptions::default()
        };
        let declared = channel.queue_declare(scratch.queue.as_str().into(), options, FieldTable::default());
        declared.await.unwrap().consumer_count() == 0
    })
    .await;
    let mut published = Vec::new();
    for _ in 0..20 {
        published.push(publish(&idle).await);
    }
    for job in published {
        let delivery = receive(&busy).await;
        // A job that had lain elsewhere first would count that.
        assert_eq!((delivery.job.clone(), delivery.redeliveries), (job, 0));
        busy.ack(&delivery).await.unwrap();
    }
    eventually("nothing is left", async || {
        busy.counts().await.unwrap() == QueueCounts::default()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tag_of_another_process_settles_nothing() {
    let Some(uri) = server() else { return };
    let scratch = Scratch::new(uri);
    let (one, other) = (scratch.open().await, scratch.open().await);
    publish(&one).await;
    let mut delivery = receive(&one).await;
    other.dead_letter(&delivery, "not mine").await.unwrap();
    other.ack(&delivery).await.unwrap();
    for tag in ["", "1", "x.0"] {
        tag.clone_into(&mut delivery.tag);
        one.ack(&delivery).await.unwrap();
    }
    let counts = one.counts().await.unwrap();
    assert_eq!((counts.in_flight, counts.dead), (1, 0));
    // Each process counts what it has in hand itself.
    assert_eq!(other.counts().await.unwrap().in_flight, 0);
}
