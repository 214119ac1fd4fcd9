//! Dead letters beyond the contract: many of them, several readers, and those that the broker makes.

use futures::future::join_all;
use lapin::options::{BasicGetOptions, BasicNackOptions, ConfirmSelectOptions};
use lucida_core::{ErrorKind, JobQueue};
use lucida_testkit::eventually;

use super::{A_MOMENT, job, publish, receive};
use crate::support::{Scratch, channel, publish_foreign, server};

#[tokio::test(flavor = "multi_thread")]
async fn many_dead_letters_keep_their_order_however_often_they_are_read() {
    const LETTERS: usize = 100;
    let Some(uri) = server() else { return };
    let scratch = Scratch::new(uri);
    let queue = scratch.open().await;
    let mut given_up = Vec::new();
    for number in 0..LETTERS {
        publish(&queue).await;
        let delivery = receive(&queue).await;
        queue
            .dead_letter(&delivery, &format!("reason {number}"))
            .await
            .unwrap();
        given_up.push(delivery.job);
    }
    for limit in [LETTERS, 70, 1, LETTERS + 1, 40, LETTERS] {
        let letters = queue.dead_letters(limit).await.unwrap();
        let jobs: Vec<_> = letters.into_iter().map(|letter| letter.job).collect();
        assert_eq!(jobs, given_up[..limit.min(LETTERS)]);
    }
    assert_eq!(queue.dead_letters(0).await.unwrap(), []);
    // One from the middle, and the rest stays as it was.
    let removed = given_up.remove(50);
    assert_eq!(queue.remove_dead_letters(&removed.photo_id).await.unwrap(), 1);
    let letters = queue.dead_letters(usize::MAX).await.unwrap();
    let jobs: Vec<_> = letters.into_iter().map(|letter| letter.job).collect();
    assert_eq!(jobs, given_up);
}

#[tokio::test(flavor = "multi_thread")]
async fn processes_that_remove_dead_letters_at_once_miss_none() {
    let Some(uri) = server() else { return };
    let scratch = Scratch::new(uri);
    let (one, other) = (scratch.open().await, scratch.open().await);
    let mut given_up = Vec::new();
    for _ in 0..12 {
        publish(&one).await;
        let delivery = receive(&one).await;
        one.dead_letter(&delivery, "no use").await.unwrap();
        given_up.push(delivery.job.photo_id);
    }
    let removals = given_up.iter().enumerate().map(|(at, photo_id)| {
        let queue = if at % 2 == 0 { &one } else { &other };
        async move {
            loop {
                match queue.remove_dead_letters(photo_id).await {
                    Ok(removed) => return removed,
                    // The other has them; whoever guards the queue comes again too.
                    Err(error) => {
                        assert_eq!(error.kind(), ErrorKind::Overloaded, "{error}");
                        tokio::time::sleep(error.retry_after().unwrap()).await;
                    }
                }
            }
        }
    });
    assert_eq!(join_all(removals).await, [1; 12]);
    assert_eq!(one.dead_letters(10).await.unwrap(), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_is_never_settled_becomes_a_dead_letter_and_does_not_vanish() {
    let Some(uri) = server() else { return };
    let scratch = Scratch::new(uri);
    let queue = scratch.open().await;
    let job = publish(&queue).await;
    let (_connection, channel) = channel(&scratch.uri).await;
    for _ in 0..=1_000 {
        let name = scratch.queue.as_str().into();
        let got = channel.basic_get(name, BasicGetOptions::default()).await.unwrap();
        let back = BasicNackOptions {
            requeue: true,
            ..BasicNackOptions::default()
        };
        assert!(got.expect("the job is there").acker.nack(back).await.unwrap());
    }
    eventually("the job is a dead letter", async || {
        !queue.dead_letters(10).await.unwrap().is_empty()
    })
    .await;
    let letters = queue.dead_letters(10).await.unwrap();
    assert_eq!((letters.len(), &letters[0].job), (1, &job));
    assert!(letters[0].reason.contains("1000 times"), "{}", letters[0].reason);
    assert_eq!(queue.receive(A_MOMENT).await.unwrap(), None);
    assert_eq!(queue.remove_dead_letters(&job.photo_id).await.unwrap(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_of_somebody_else_holds_nothing_up_and_is_kept() {
    let Some(uri) = server() else { return };
    let scratch = Scratch::new(uri);
    let queue = scratch.open().await;
    let (_connection, channel) = channel(&scratch.uri).await;
    channel
        .confirm_select(ConfirmSelectOptions::default())
        .await
        .unwrap();
    for body in [&b"hello"[..], b"", b"{\"photo_id\": 7}"] {
        publish_foreign(&channel, &scratch.queue, body).await;
    }
    let job = publish(&queue).await;
    let delivery = receive(&queue).await;
    assert_eq!(delivery.job, job);
    queue.ack(&delivery).await.unwrap();
    eventually("three messages are among the dead letters", async || {
        queue.counts().await.unwrap().dead == 3
    })
    .await;
    // They are no letters.
    assert_eq!(queue.dead_letters(10).await.unwrap(), []);
    assert_eq!(queue.remove_dead_letters(&job.photo_id).await.unwrap(), 0);
    eventually("they are kept", async || queue.counts().await.unwrap().dead == 3).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reason_may_be_longer_than_a_frame() {
    let Some(uri) = server() else { return };
    let scratch = Scratch::new(uri);
    let queue = scratch.open().await;
    publish(&queue).await;
    let reason = "würg ".repeat(60_000);
    queue.dead_letter(&receive(&queue).await, &reason).await.unwrap();
    assert!(queue.dead_letters(1).await.unwrap()[0].reason == reason);
}

#[tokio::test(flavor = "multi_thread")]
async fn beyond_a_thousand_dead_letters_the_oldest_goes() {
    const BEYOND: usize = 3;
    let Some(uri) = server() else { return };
    let scratch = Scratch::new(uri);
    let queue = scratch.open().await;
    let (_connection, channel) = channel(&scratch.uri).await;
    channel
        .confirm_select(ConfirmSelectOptions::default())
        .await
        .unwrap();
    let given_up: Vec<_> = (0..1_000 + BEYOND).map(|_| job()).collect();
    let dead = format!("{}.dead", scratch.queue);
    for job in &given_up {
        let body = format!(r#"{{"photo_id":"{}","reason":"no use"}}"#, job.photo_id);
        publish_foreign(&channel, &dead, body.as_bytes()).await;
    }
    let letters = queue.dead_letters(usize::MAX).await.unwrap();
    let jobs: Vec<_> = letters.into_iter().map(|letter| letter.job).collect();
    assert!(jobs == given_up[BEYOND..], "{} letters", jobs.len());
    let last = given_up[BEYOND + 999].photo_id;
    assert_eq!(queue.remove_dead_letters(&last).await.unwrap(), 1);
}
