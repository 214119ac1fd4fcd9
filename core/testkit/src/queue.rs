//! The contract of [`JobQueue`], sentence by sentence.
//!
//! No test says how long anything takes: what should come is waited for with much patience, and what should not
//! come yet is an hour away.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use lucida_core::{DeadLetter, Delivery, Job, JobQueue, PhotoId, QueueCounts};

use super::Fixture;
use super::patience::{PATIENCE, eventually};

/// Makes the tests of [`JobQueue`]'s contract from an async function that gives a new, empty queue.
#[macro_export]
macro_rules! queue_contract {
    ($fixture:ident) => {
        mod queue_contract {
            $crate::contract_tests! { queue, $fixture,
                a_job_comes_back_once
                an_empty_queue_gives_nothing
                jobs_come_roughly_in_the_order_of_publishing
                a_waiting_receiver_gets_a_job_that_is_published_later
                a_delayed_job_waits_for_its_time
                a_delayed_job_comes_when_its_time_has_come
                eight_receivers_never_get_one_delivery_twice
                retry_puts_a_job_back_and_counts
                retry_with_a_delay_waits_for_its_time
                a_dead_letter_is_listed_with_its_reason_and_not_handed_out
                dead_letters_come_the_oldest_first_up_to_a_limit
                the_dead_letters_of_one_photo_are_removed
                settling_twice_is_fine
                settling_an_older_delivery_does_not_settle_the_newer_one
                counts_follow_each_step
                a_dropped_receive_loses_no_job
                a_delayed_job_comes_to_whoever_still_waits
                the_same_job_may_be_published_again
                ping_answers
            }
        }
    };
}

const NOW: Duration = Duration::ZERO;
const AN_HOUR: Duration = Duration::from_secs(3_600);

/// How long to listen for a job that should not come.
const A_MOMENT: Duration = Duration::from_millis(100);

pub(super) fn job() -> Job {
    Job {
        photo_id: PhotoId::generate(),
    }
}

pub(super) async fn publish(queue: &dyn JobQueue, job: &Job) {
    queue.publish(job, NOW).await.unwrap();
}

/// Receives a job that must come while the call waits: one that only its end would find comes too late.
pub(super) async fn receive(queue: &dyn JobQueue) -> Delivery {
    let received = tokio::time::timeout(PATIENCE, queue.receive(AN_HOUR)).await;
    let received = received.expect("a job that was published comes in time");
    received.unwrap().expect("a job comes before the wait is over")
}

pub(super) async fn assert_nothing_comes(queue: &dyn JobQueue) {
    assert_eq!(queue.receive(A_MOMENT).await.unwrap(), None);
}

pub(super) async fn assert_counts(queue: &dyn JobQueue, [ready, delayed, in_flight, dead]: [u64; 4]) {
    let expected = QueueCounts {
        ready,
        delayed,
        in_flight,
        dead,
    };
    // A remote queue may lag behind.
    eventually(&format!("{expected:?}"), async || {
        queue.counts().await.unwrap() == expected
    })
    .await;
}

/// A published job is handed out, and once it is acked never again.
pub async fn a_job_comes_back_once(fixture: Fixture<dyn JobQueue>) {
    let queue = &*fixture.part;
    let published = job();
    publish(queue, &published).await;
    let delivery = receive(queue).await;
    assert_eq!((delivery.job.clone(), delivery.redeliveries), (published, 0));
    assert_nothing_comes(queue).await;
    queue.ack(&delivery).await.unwrap();
    assert_nothing_comes(queue).await;
    assert_counts(queue, [0, 0, 0, 0]).await;
}

/// Waiting in vain is not an error.
pub async fn an_empty_queue_gives_nothing(fixture: Fixture<dyn JobQueue>) {
    let queue = &*fixture.part;
    assert_eq!(queue.receive(NOW).await.unwrap(), None);
    assert_nothing_comes(queue).await;
    assert_counts(queue, [0, 0, 0, 0]).await;
    assert_eq!(queue.dead_letters(10).await.unwrap(), []);
}

/// First in, first out, if not to the letter.
pub async fn jobs_come_roughly_in_the_order_of_publishing(fixture: Fixture<dyn JobQueue>) {
    let queue = &*fixture.part;
    let published: Vec<_> = (0..60).map(|_| job()).collect();
    for job in &published {
        publish(queue, job).await;
    }
    for at in 0..published.len() {
        let delivery = receive(queue).await;
        queue.ack(&delivery).await.unwrap();
        let from = published.iter().position(|job| *job == delivery.job).unwrap();
        assert!(from.abs_diff(at) <= 10, "job {from} came as number {at}");
    }
    assert_nothing_comes(queue).await;
}

/// Publishing wakes who waits.
pub async fn a_waiting_receiver_gets_a_job_that_is_published_later(fixture: Fixture<dyn JobQueue>) {
    for _ in 0..5 {
        let waiting = tokio::spawn({
            let queue = Arc::clone(&fixture.part);
            async move { receive(&*queue).await }
        });
        tokio::time::sleep(Duration::from_millis(20)).await;
        let published = job();
        publish(&*fixture.part, &published).await;
        let delivery = waiting.await.unwrap();
        assert_eq!(delivery.job, published);
        fixture.part.ack(&delivery).await.unwrap();
    }
}

/// A delayed job lets others go first, and is not handed out before its time.
pub async fn a_delayed_job_waits_for_its_time(fixture: Fixture<dyn JobQueue>) {
    let queue = &*fixture.part;
    queue.publish(&job(), AN_HOUR).await.unwrap();
    assert_nothing_comes(queue).await;
    let prompt = job();
    publish(queue, &prompt).await;
    let delivery = receive(queue).await;
    assert_eq!(delivery.job, prompt);
    queue.ack(&delivery).await.unwrap();
    assert_nothing_comes(queue).await;
    assert_counts(queue, [0, 1, 0, 0]).await;
}

/// A delayed job comes by itself, also to a receiver that was waiting before, and behind a longer delay.
pub async fn a_delayed_job_comes_when_its_time_has_come(fixture: Fixture<dyn JobQueue>) {
    let waiting = tokio::spawn({
        let queue = Arc::clone(&fixture.part);
        async move { receive(&*queue).await }
    });
    let queue = &*fixture.part;
    queue.publish(&job(), AN_HOUR).await.unwrap();
    let delayed = job();
    queue.publish(&delayed, Duration::from_millis(300)).await.unwrap();
    let delivery = waiting.await.unwrap();
    assert_eq!((delivery.job.clone(), delivery.redeliveries), (delayed, 0));
    queue.ack(&delivery).await.unwrap();
    let delayed = job();
    queue.publish(&delayed, Duration::from_millis(50)).await.unwrap();
    assert_eq!(receive(queue).await.job, delayed);
}

/// Two receivers never get one delivery, and between them they get every job.
pub async fn eight_receivers_never_get_one_delivery_twice(fixture: Fixture<dyn JobQueue>) {
    const JOBS: usize = 200;
    let published: BTreeSet<_> = (0..JOBS).map(|_| job().photo_id).collect();
    let received = Arc::new(AtomicUsize::new(0));
    let receivers: Vec<_> = (0..8)
        .map(|_| {
            let (queue, received) = (Arc::clone(&fixture.part), Arc::clone(&received));
            tokio::spawn(async move {
                let mut mine = Vec::new();
                while received.load(Ordering::SeqCst) < JOBS {
                    if let Some(delivery) = queue.receive(A_MOMENT).await.unwrap() {
                        received.fetch_add(1, Ordering::SeqCst);
                        queue.ack(&delivery).await.unwrap();
                        mine.push(delivery);
                    }
                }
                mine
            })
        })
        .collect();
    for photo_id in &published {
        let job = Job { photo_id: *photo_id };
        publish(&*fixture.part, &job).await;
    }
    let mut deliveries = Vec::new();
    for receiver in receivers {
        let theirs = tokio::time::timeout(PATIENCE, receiver).await;
        deliveries.extend(theirs.expect("all jobs are received").unwrap());
    }
    assert_eq!(deliveries.len(), JOBS);
    let tags: BTreeSet<_> = deliveries.iter().map(|delivery| &delivery.tag).collect();
    assert_eq!(tags.len(), JOBS, "two deliveries have one tag");
    let jobs: BTreeSet<_> = deliveries.iter().map(|delivery| delivery.job.photo_id).collect();
    assert_eq!(jobs, published);
    assert_nothing_comes(&*fixture.part).await;
    assert_counts(&*fixture.part, [0, 0, 0, 0]).await;
}

/// A job that is put back comes again, and tells how often it came before.
pub async fn retry_puts_a_job_back_and_counts(fixture: Fixture<dyn JobQueue>) {
    let queue = &*fixture.part;
    let published = job();
    publish(queue, &published).await;
    let mut tags = BTreeSet::new();
    for redeliveries in 0..4 {
        let delivery = receive(queue).await;
        assert_eq!((&delivery.job, delivery.redeliveries), (&published, redeliveries));
        assert!(tags.insert(delivery.tag.clone()), "each delivery has its own tag");
        queue.retry(&delivery, NOW).await.unwrap();
    }
    let delivery = receive(queue).await;
    queue.ack(&delivery).await.unwrap();
    assert_nothing_comes(queue).await;
}

/// A job put back with a delay is not handed out before its time.
pub async fn retry_with_a_delay_waits_for_its_time(fixture: Fixture<dyn JobQueue>) {
    let queue = &*fixture.part;
    let (late, soon) = (job(), job());
    publish(queue, &late).await;
    queue.retry(&receive(queue).await, AN_HOUR).await.unwrap();
    assert_nothing_comes(queue).await;
    publish(queue, &soon).await;
    let delivery = receive(queue).await;
    queue.retry(&delivery, Duration::from_millis(50)).await.unwrap();
    let delivery = receive(queue).await;
    assert_eq!((delivery.job, delivery.redeliveries), (soon, 1));
    assert_counts(queue, [0, 1, 1, 0]).await;
}

/// A job that is given up stays among the dead letters, and reading them leaves them there.
pub async fn a_dead_letter_is_listed_with_its_reason_and_not_handed_out(fixture: Fixture<dyn JobQueue>) {
    let queue = &*fixture.part;
    let published = job();
    publish(queue, &published).await;
    let delivery = receive(queue).await;
    let reason = "gave up after 5 tries: \"größe\" 💥\n'; --";
    queue.dead_letter(&delivery, reason).await.unwrap();
    assert_nothing_comes(queue).await;
    let expected = [DeadLetter {
        job: published,
        reason: reason.to_owned(),
    }];
    for _ in 0..2 {
        assert_eq!(queue.dead_letters(10).await.unwrap(), expected);
    }
    assert_counts(queue, [0, 0, 0, 1]).await;
}

/// Dead letters come in the order in which they were given up.
pub async fn dead_letters_come_the_oldest_first_up_to_a_limit(fixture: Fixture<dyn JobQueue>) {
    let queue = &*fixture.part;
    let mut given_up = Vec::new();
    for number in 0..6 {
        publish(queue, &job()).await;
        let delivery = receive(queue).await;
        let reason = format!("reason {number}");
        queue.dead_letter(&delivery, &reason).await.unwrap();
        given_up.push(DeadLetter {
            job: delivery.job,
            reason,
        });
    }
    for limit in [1, 4, 6, 100] {
        let letters = queue.dead_letters(limit).await.unwrap();
        assert_eq!(letters, given_up[..limit.min(6)]);
    }
}

/// Removing names one photo and tells how many there were; the others stay.
pub async fn the_dead_letters_of_one_photo_are_removed(fixture: Fixture<dyn JobQueue>) {
    let queue = &*fixture.part;
    let (twice, once) = (job(), job());
    for job in [&twice, &once, &twice] {
        publish(queue, job).await;
        queue.dead_letter(&receive(queue).await, "no use").await.unwrap();
    }
    let removed = queue.remove_dead_letters(&twice.photo_id).await.unwrap();
    assert_eq!(removed, 2);
    let letters = queue.dead_letters(10).await.unwrap();
    assert_eq!(letters.len(), 1);
    assert_eq!(letters[0].job, once);
    for absent in [twice.photo_id, PhotoId::generate()] {
        assert_eq!(queue.remove_dead_letters(&absent).await.unwrap(), 0);
    }
    assert_counts(queue, [0, 0, 0, 1]).await;
    // A photo given up before can be tried anew.
    publish(queue, &twice).await;
    assert_eq!(receive(queue).await.job, twice);
}

/// The first settling counts; a second one of the same delivery does nothing.
pub async fn settling_twice_is_fine(fixture: Fixture<dyn JobQueue>) {
    let queue = &*fixture.part;
    let settle = async |delivery: &Delivery, way: usize| match way {
        0 => queue.ack(delivery).await.unwrap(),
        1 => queue.retry(delivery, AN_HOUR).await.unwrap(),
        _ => queue.dead_letter(delivery, "reason").await.unwrap(),
    };
    let mut expected = [0; 4];
    for first in 0..3 {
        for second in 0..3 {
            publish(queue, &job()).await;
            let delivery = receive(queue).await;
            settle(&delivery, first).await;
            settle(&delivery, second).await;
            expected[1] += u64::from(first == 1);
            expected[3] += u64::from(first == 2);
            assert_counts(queue, expected).await;
        }
    }
    assert_nothing_comes(queue).await;
}

/// A receiver that comes too late does not take the job from the next one.
pub async fn settling_an_older_delivery_does_not_settle_the_newer_one(fixture: Fixture<dyn JobQueue>) {
    let queue = &*fixture.part;
    publish(queue, &job()).await;
    let older = receive(queue).await;
    queue.retry(&older, NOW).await.unwrap();
    let newer = receive(queue).await;
    assert_eq!(newer.job, older.job);
    queue.ack(&older).await.unwrap();
    queue.dead_letter(&older, "too late").await.unwrap();
    assert_counts(queue, [0, 0, 1, 0]).await;
    queue.retry(&newer, NOW).await.unwrap();
    assert_eq!(receive(queue).await.redeliveries, 2);
}

/// Each job is counted in exactly one place.
pub async fn counts_follow_each_step(fixture: Fixture<dyn JobQueue>) {
    let queue = &*fixture.part;
    for _ in 0..5 {
        publish(queue, &job()).await;
    }
    queue.publish(&job(), AN_HOUR).await.unwrap();
    assert_counts(queue, [5, 1, 0, 0]).await;
    let mut held = Vec::new();
    for _ in 0..4 {
        held.push(receive(queue).await);
    }
    assert_counts(queue, [1, 1, 4, 0]).await;
    queue.ack(&held[0]).await.unwrap();
    assert_counts(queue, [1, 1, 3, 0]).await;
    queue.retry(&held[1], NOW).await.unwrap();
    assert_counts(queue, [2, 1, 2, 0]).await;
    queue.retry(&held[2], AN_HOUR).await.unwrap();
    assert_counts(queue, [2, 2, 1, 0]).await;
    queue.dead_letter(&held[3], "reason").await.unwrap();
    assert_counts(queue, [2, 2, 0, 1]).await;
    queue.remove_dead_letters(&held[3].job.photo_id).await.unwrap();
    assert_counts(queue, [2, 2, 0, 0]).await;
}

/// A call that is given up while a job is on its way to it leaves that job to others, without a restart.
pub async fn a_dropped_receive_loses_no_job(fixture: Fixture<dyn JobQueue>) {
    const JOBS: usize = 60;
    let queue = &fixture.part;
    let mut received: BTreeMap<PhotoId, usize> = BTreeMap::new();
    for number in 0..JOBS {
        // Cut off at every stage: before the first poll, in the middle, and just before the answer.
        let call = tokio::spawn({
            let queue = Arc::clone(queue);
            async move { queue.receive(PATIENCE).await }
        });
        for _ in 0..number % 7 {
            tokio::task::yield_now().await;
        }
        publish(&**queue, &job()).await;
        if number % 3 == 0 {
            tokio::time::sleep(Duration::from_micros(300)).await;
        }
        call.abort();
        if let Ok(answer) = call.await {
            let delivery = answer.unwrap().expect("there was a job");
            *received.entry(delivery.job.photo_id).or_default() += 1;
            queue.ack(&delivery).await.unwrap();
        }
    }
    while received.len() < JOBS {
        let delivery = receive(&**queue).await;
        *received.entry(delivery.job.photo_id).or_default() += 1;
        queue.ack(&delivery).await.unwrap();
    }
    assert!(
        received.values().all(|times| *times == 1),
        "an acked job came again"
    );
    assert_nothing_comes(&**queue).await;
    assert_counts(&**queue, [0, 0, 0, 0]).await;
}

/// A receiver that went away takes no wake-up with it: the next one gets the job when its time has come.
pub async fn a_delayed_job_comes_to_whoever_still_waits(fixture: Fixture<dyn JobQueue>) {
    let queue = &fixture.part;
    let mut receivers: Vec<_> = (0..3)
        .map(|_| {
            let queue = Arc::clone(queue);
            tokio::spawn(async move { receive(&*queue).await })
        })
        .collect();
    tokio::time::sleep(Duration::from_millis(20)).await;
    let delayed = job();
    queue.publish(&delayed, Duration::from_millis(400)).await.unwrap();
    tokio::time::sleep(Duration::from_millis(20)).await;
    let last = receivers.pop().unwrap();
    for receiver in receivers {
        receiver.abort();
        // On a machine that slept in between, one may have the job already.
        if let Ok(delivery) = receiver.await {
            queue.retry(&delivery, NOW).await.unwrap();
        }
    }
    assert_eq!(last.await.unwrap().job, delayed);
}

/// A job is published as often as somebody finds it needful, and each time comes at least once.
pub async fn the_same_job_may_be_published_again(fixture: Fixture<dyn JobQueue>) {
    let queue = &*fixture.part;
    let again = job();
    publish(queue, &again).await;
    let first = receive(queue).await;
    // While the first delivery is in flight, so that a queue may not take the two for one.
    publish(queue, &again).await;
    queue.ack(&first).await.unwrap();
    let second = receive(queue).await;
    assert_eq!(second.job, again);
    queue.ack(&second).await.unwrap();
    assert_nothing_comes(queue).await;
}

/// A healthy queue says so.
pub async fn ping_answers(fixture: Fixture<dyn JobQueue>) {
    fixture.part.ping().await.unwrap();
    assert_counts(&*fixture.part, [0, 0, 0, 0]).await;
}
