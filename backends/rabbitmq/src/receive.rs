//! How a job is taken from the broker.
//!
//! A process holds the jobs that its receivers asked for and no others: it looks into the queue when somebody
//! receives, and leaves a consumer there, for one job, only while somebody waits. Nothing is fetched ahead, since the
//! broker counts a job as handed out that lay in the memory of a process that died, and what kills its workers is
//! told from the rest by that count.

use std::time::Duration;

use futures::StreamExt;
use lapin::message::Delivery as Received;
use lapin::options::{
    BasicAckOptions, BasicCancelOptions, BasicConsumeOptions, BasicGetOptions, BasicRejectOptions,
};
use lapin::types::FieldTable;
use lapin::{Channel, Consumer};
use lucida_core::{Delivery, Error, Result};
use tokio::runtime::Handle;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout_at};

use crate::message::Message;
use crate::session::Session;

/// The longest that anybody waits in one call, where a caller asks for more than a clock can count.
const FOREVER: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// The name of a channel's only consumer.
const CONSUMER: &str = "lucida";

/// Waits up to `wait` for a job and takes it. When it is dropped, the broker takes back what was on its way.
pub(crate) async fn receive(session: &Session, wait: Duration) -> Result<Option<Delivery>> {
    let failed = |error| session.failed("receiving a job", &error);
    let until = Instant::now() + wait.min(FOREVER);
    let mut hand = Hand::new(session.receiving.take().await.map_err(failed)?);
    loop {
        let received = match hand.look(session).await.map_err(failed)? {
            Some(received) => received,
            None if until <= Instant::now() => {
                session.receiving.give_back(hand.keep());
                return Ok(None);
            }
            None => match hand.wait(session, until).await? {
                Some(received) => received,
                // Should a message still be on its way, the broker takes it back when the channel is closed.
                None => return Ok(None),
            },
        };
        let Some(message) = Message::read(&received) else {
            // Somebody else's: it goes to the dead letters, where it can be looked at.
            let rejected = received.acker.reject(BasicRejectOptions { requeue: false });
            rejected.await.map_err(failed)?;
            continue;
        };
        if message.delay().is_zero() {
            return Ok(Some(session.hand_out(hand.keep(), received, message)));
        }
        session.publish_job(&message).await?;
        received
            .acker
            .ack(BasicAckOptions::default())
            .await
            .map_err(failed)?;
    }
}

/// A channel that takes one job. Dropping it closes the channel, unless it is to be kept.
struct Hand {
    channel: Channel,
    /// Asks for a consumer, on a task so that it is asked for to the end.
    asking: Option<JoinHandle<lapin::Result<Consumer>>>,
    consumer: Option<Consumer>,
    kept: bool,
}

impl Hand {
    fn new(channel: Channel) -> Self {
        Self {
            channel,
            asking: None,
            consumer: None,
            kept: false,
        }
    }

    /// Returns the channel, to be used on.
    fn keep(mut self) -> Channel {
        self.kept = true;
        self.channel.clone()
    }

    /// Takes a message that is there.
    async fn look(&self, session: &Session) -> lapin::Result<Option<Received>> {
        let queue = session.topology.jobs();
        let got = self.channel.basic_get(queue, BasicGetOptions::default());
        Ok(got.await?.map(|got| got.delivery))
    }

    /// Waits for a message that comes.
    async fn wait(&mut self, session: &Session, until: Instant) -> Result<Option<Received>> {
        let failed = |error| session.failed("waiting for a job", &error);
        let (channel, queue) = (self.channel.clone(), session.topology.jobs());
        let asking = self.asking.insert(tokio::spawn(async move {
            let options = BasicConsumeOptions::default();
            channel
                .basic_consume(queue, CONSUMER.into(), options, FieldTable::default())
                .await
        }));
        let asked = asking.await;
        self.asking = None;
        let consumer = asked
            .map_err(|error| Error::internal("asking for a consumer stopped").with_source(error))?
            .map_err(failed)?;
        let consumer = self.consumer.insert(consumer);
        let came = timeout_at(until, consumer.next()).await;
        // Before the ack, which entitles a consumer to its next message. Nothing more can be on its way to one that
        // has a message; to one that has none something can, until the broker confirms.
        let options = BasicCancelOptions { nowait: came.is_ok() };
        let cancelled = self.channel.basic_cancel(CONSUMER.into(), options).await;
        let came = match came {
            Ok(Some(came)) => Some(came),
            Ok(None) => {
                // The broker cancels a consumer whose queue was deleted.
                session.give_up();
                let gone = Error::unavailable("the queue is missing: it is being made again");
                return Err(gone.context("waiting for a job"));
            }
            Err(_) => consumer.next().await,
        };
        let received = came.transpose().map_err(failed)?;
        cancelled.map_err(failed)?;
        self.consumer = None;
        Ok(received)
    }
}

impl Drop for Hand {
    /// Cancels the consumer and then closes the channel. A consumer keeps lapin from closing its channel by itself, and
    /// makes it give the connection up when it comes to cancel it after all; a broker's channel (of RabbitMQ 3.10)
    /// fails when it is to cancel a consumer that it is still making.
    fn drop(&mut self) {
        let Ok(runtime) = Handle::try_current() else {
            return;
        };
        if self.kept {
            return;
        }
        let (channel, asking, consumer) = (self.channel.clone(), self.asking.take(), self.consumer.take());
        runtime.spawn(async move {
            let asked = match asking {
                Some(asking) => asking.await.ok().and_then(lapin::Result::ok),
                None => None,
            };
            // Where these fail, the channel is gone already.
            if let Some(consumer) = asked.or(consumer) {
                let _ = channel
                    .basic_cancel(consumer.tag(), BasicCancelOptions::default())
                    .await;
            }
            let _ = channel.close(200, "goodbye".into()).await;
        });
    }
}
