//! The broker goes away and comes back, and the same queue goes on.

use std::time::Instant;

use lapin::options::{QueueDeleteOptions, QueuePurgeOptions};
use lucida_core::{ErrorKind, JobQueue};
use lucida_rabbitmq::RabbitmqQueue;
use lucida_testkit::eventually;

use super::{AT_ONCE, NOW, PATIENCE, job, publish, publish_at_last, receive, receive_at_last};
use crate::support::{Scratch, channel, config, open, server};

#[tokio::test(flavor = "multi_thread")]
async fn the_jobs_of_a_cut_connection_go_to_another_and_it_recovers() {
    let Some(uri) = server() else { return };
    let scratch = Scratch::new(uri);
    let proxy = scratch.proxy().await;
    let cut = open(&proxy.uri, &scratch.queue).await;
    let other = scratch.open().await;
    let mut held = Vec::new();
    for _ in 0..3 {
        publish(&cut).await;
        held.push(receive(&cut).await);
    }
    let delayed = job();
    cut.retry(&held.pop().unwrap(), std::time::Duration::from_secs(3_600))
        .await
        .unwrap();
    cut.publish(&delayed, std::time::Duration::from_millis(300))
        .await
        .unwrap();
    proxy.cut();
    let mut again = Vec::new();
    for _ in 0..3 {
        let delivery = receive(&other).await;
        again.push((delivery.job.clone(), delivery.redeliveries));
        other.ack(&delivery).await.unwrap();
    }
    for held in &held {
        assert!(again.contains(&(held.job.clone(), 1)), "{again:?}");
    }
    assert!(again.contains(&(delayed, 0)), "{again:?}");
    // Settling what the broker took back does nothing, and is not an error.
    cut.ack(&held[0]).await.unwrap();
    cut.dead_letter(&held[1], "too late").await.unwrap();
    let published = publish_at_last(&cut).await;
    let delivery = receive_at_last(&cut).await;
    assert_eq!(delivery.job, published);
    cut.ack(&delivery).await.unwrap();
    cut.retry(&held[1], NOW).await.unwrap();
    eventually("only the delayed job is left", async || {
        let counts = cut.counts().await.unwrap();
        (counts.delayed, counts.ready, counts.in_flight, counts.dead) == (1, 0, 0, 0)
    })
    .await;
}

/// Asserts that every call fails at once, and as something that passes.
async fn assert_unavailable(queue: &RabbitmqQueue) {
    let start = Instant::now();
    let errors = [
        queue.publish(&job(), NOW).await.err(),
        queue.receive(PATIENCE).await.err(),
        queue.dead_letters(1).await.err(),
        queue.remove_dead_letters(&job().photo_id).await.err(),
        queue.counts().await.err(),
        queue.ping().await.err(),
    ];
    assert!(start.elapsed() < AT_ONCE, "{:?}", start.elapsed());
    for error in errors {
        let error = error.expect("the broker is unavailable");
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
        assert!(error.to_string().contains("RabbitMQ at 127.0.0.1:"), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_broker_is_away_calls_fail_at_once_and_then_succeed_again() {
    let Some(uri) = server() else { return };
    let scratch = Scratch::new(uri);
    let proxy = scratch.proxy().await;
    let queue = open(&proxy.uri, &scratch.queue).await;
    for _ in 0..2 {
        let waiting = queue.receive(PATIENCE);
        let closing = async {
            tokio::time::sleep(super::A_MOMENT).await;
            proxy.close();
        };
        let (waited, ()) = tokio::join!(waiting, closing);
        assert_eq!(waited.unwrap_err().kind(), ErrorKind::Unavailable);
        eventually("the outage is noticed", async || queue.ping().await.is_err()).await;
        eventually("another connection was tried", async || {
            let error = queue.ping().await.unwrap_err();
            error.to_string().contains("connecting to")
        })
        .await;
        assert_unavailable(&queue).await;
        proxy.open();
        let published = publish_at_last(&queue).await;
        let delivery = receive_at_last(&queue).await;
        assert_eq!(delivery.job, published);
        queue.ack(&delivery).await.unwrap();
        queue.ping().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_goes_silent_is_given_up_and_found_again() {
    let Some(uri) = server() else { return };
    let scratch = Scratch::new(uri);
    let proxy = scratch.proxy().await;
    let mut settings = config(&proxy.uri, &scratch.queue);
    (settings.heartbeat_secs, settings.connect_timeout_ms) = (1, 500);
    let queue = RabbitmqQueue::open(settings).await.unwrap();
    let held = publish(&queue).await;
    receive(&queue).await;
    proxy.silence();
    let error = queue.receive(PATIENCE).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    eventually("connecting is given up as well", async || {
        let error = queue.ping().await.unwrap_err();
        error.to_string().contains("did not answer within 500 ms")
    })
    .await;
    assert_unavailable(&queue).await;
    proxy.open();
    let delivery = receive_at_last(&queue).await;
    assert_eq!((delivery.job, delivery.redeliveries), (held, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn queues_that_somebody_deletes_are_made_anew() {
    let Some(uri) = server() else { return };
    let scratch = Scratch::new(uri);
    let queue = scratch.open().await;
    let (_connection, channel) = channel(&scratch.uri).await;
    let delete = async |name: String| {
        let options = QueueDeleteOptions::default();
        channel.queue_delete(name.into(), options).await.unwrap();
    };
    // Under a receiver that waits.
    let deleting = async {
        tokio::time::sleep(super::A_MOMENT).await;
        delete(scratch.queue.clone()).await;
    };
    let (waited, ()) = tokio::join!(queue.receive(PATIENCE), deleting);
    assert_eq!(waited.unwrap_err().kind(), ErrorKind::Unavailable);
    let published = publish_at_last(&queue).await;
    assert_eq!(receive_at_last(&queue).await.job, published);
    // Under a publisher: what is published is refused, and not lost.
    delete(format!("{}.delay.2s", scratch.queue)).await;
    let delay = std::time::Duration::from_secs(2);
    let error = queue.publish(&job(), delay).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    eventually("the queue is there again", async || {
        queue.publish(&job(), delay).await.is_ok()
    })
    .await;
    channel
        .queue_purge(
            format!("{}.delay.2s", scratch.queue).into(),
            QueuePurgeOptions::default(),
        )
        .await
        .unwrap();
}
