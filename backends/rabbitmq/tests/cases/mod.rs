//! What is particular to RabbitMQ.

mod dead_letters;
mod delays;
mod outages;
mod own_broker;
mod refusals;
mod sharing;

use std::time::Duration;

use lucida_core::{Delivery, Job, JobQueue, PhotoId};
use lucida_rabbitmq::RabbitmqQueue;

const NOW: Duration = Duration::ZERO;
const AN_HOUR: Duration = Duration::from_secs(3_600);

/// After this long a job that should have come has failed to.
const PATIENCE: Duration = Duration::from_secs(180);

/// How long to listen for a job that should not come.
const A_MOMENT: Duration = Duration::from_millis(200);

/// Longer than a call takes that fails at once, and much shorter than anybody's timeout.
const AT_ONCE: Duration = Duration::from_secs(1);

fn job() -> Job {
    Job {
        photo_id: PhotoId::generate(),
    }
}

async fn publish(queue: &RabbitmqQueue) -> Job {
    let job = job();
    queue.publish(&job, NOW).await.unwrap();
    job
}

async fn receive(queue: &RabbitmqQueue) -> Delivery {
    let received = queue.receive(PATIENCE).await.unwrap();
    received.expect("a job comes")
}

/// Receives through an outage, as a worker does: an error is waited out.
async fn receive_at_last(queue: &RabbitmqQueue) -> Delivery {
    let receiving = async {
        loop {
            match queue.receive(PATIENCE).await {
                Ok(Some(delivery)) => return delivery,
                Ok(None) => {}
                Err(error) => {
                    assert!(error.is_transient(), "{error}");
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
            }
        }
    };
    let received = tokio::time::timeout(PATIENCE, receiving).await;
    received.expect("a job comes when the broker is back")
}

/// Publishes through an outage; the job may come twice.
async fn publish_at_last(queue: &RabbitmqQueue) -> Job {
    let job = job();
    lucida_testkit::eventually("publishing succeeds", async || {
        queue.publish(&job, NOW).await.is_ok()
    })
    .await;
    job
}
