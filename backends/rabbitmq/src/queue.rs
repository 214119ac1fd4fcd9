//! The [`JobQueue`] on RabbitMQ.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use lapin::Channel;
use lucida_core::{DeadLetter, Delivery, Job, JobQueue, PhotoId, QueueCounts, Result};
use tokio::sync::watch;

use crate::broker::Broker;
use crate::config::RabbitmqConfig;
use crate::dead;
use crate::message::{Letter, Message};
use crate::receive::receive;
use crate::session::{Session, Settling};
use crate::topology::{Topology, count};
use crate::upkeep::{self, State};

/// Keeps jobs in RabbitMQ; dropping it gives back what it has in flight.
pub struct RabbitmqQueue {
    state: watch::Receiver<State>,
}

impl RabbitmqQueue {
    /// Connects, and makes the queues that aren't there.
    ///
    /// # Errors
    /// `Unavailable` for a broker that can't be reached, `PermissionDenied` for one that refuses the user,
    /// `ConfigInvalid` for a file that can't be used, a certificate that isn't trusted, or a queue that was made
    /// otherwise.
    pub async fn open(config: RabbitmqConfig) -> Result<Self> {
        let broker = Broker::read(&config).await?;
        let topology = Arc::new(Topology::new(config.queue));
        let session = Arc::new(Session::open(&broker, &topology).await?);
        Ok(Self {
            state: upkeep::keep(broker, topology, session),
        })
    }

    fn session(&self) -> Result<Arc<Session>> {
        upkeep::current(&self.state)
    }

    /// Takes up a delivery to settle it; `None` for one that is settled, or that an earlier session or another process
    /// handed out, which the broker takes back by itself.
    fn settle(&self, delivery: &Delivery) -> Option<Settling> {
        self.session().ok()?.settle(&delivery.tag)
    }

    /// Runs `ask` with a channel that takes no part in receiving.
    async fn ask<T>(
        &self,
        doing: &str,
        ask: impl AsyncFnOnce(&Session, &Channel) -> lapin::Result<T>,
    ) -> Result<T> {
        let session = self.session()?;
        let asking = async {
            let channel = session.receiving.take().await?;
            let answer = ask(&session, &channel).await?;
            session.receiving.give_back(channel);
            Ok(answer)
        };
        asking.await.map_err(|error| session.failed(doing, &error))
    }
}

#[async_trait]
impl JobQueue for RabbitmqQueue {
    async fn publish(&self, job: &Job, delay: Duration) -> Result<()> {
        self.session()?.publish_job(&Message::new(job, 0, delay)).await
    }

    async fn receive(&self, wait: Duration) -> Result<Option<Delivery>> {
        receive(&*self.session()?, wait).await
    }

    async fn ack(&self, delivery: &Delivery) -> Result<()> {
        match self.settle(delivery) {
            Some(settling) => settling.ack().await,
            None => Ok(()),
        }
    }

    async fn retry(&self, delivery: &Delivery, delay: Duration) -> Result<()> {
        let Some(settling) = self.settle(delivery) else {
            return Ok(());
        };
        let message = Message::new(&delivery.job, delivery.redeliveries.saturating_add(1), delay);
        // In this order: a process that dies in between leaves the job twice, and not never.
        settling.session.publish_job(&message).await?;
        settling.ack().await
    }

    async fn dead_letter(&self, delivery: &Delivery, reason: &str) -> Result<()> {
        let Some(settling) = self.settle(delivery) else {
            return Ok(());
        };
        let letter = Letter::new(&delivery.job, reason);
        settling.session.publish_dead(letter.body()).await?;
        settling.ack().await
    }

    async fn dead_letters(&self, limit: usize) -> Result<Vec<DeadLetter>> {
        dead::list(&self.session()?, limit).await
    }

    async fn remove_dead_letters(&self, photo_id: &PhotoId) -> Result<u64> {
        let removed = dead::remove(&self.session()?, *photo_id).await?;
        Ok(removed.len() as u64)
    }

    async fn counts(&self) -> Result<QueueCounts> {
        let counting = self.ask("counting the jobs", async |session, channel| {
            let ready = count(channel, session.topology.jobs()).await?;
            let mut delayed = 0;
            for queue in session.topology.delays() {
                delayed += count(channel, queue).await?;
            }
            Ok(QueueCounts {
                ready,
                delayed,
                in_flight: session.count_in_hand(),
                dead: count(channel, session.topology.dead()).await?,
            })
        });
        counting.await
    }

    async fn ping(&self) -> Result<()> {
        let pinging = self.ask("asking for the queue", async |session, channel| {
            count(channel, session.topology.jobs()).await.map(drop)
        });
        pinging.await
    }
}
