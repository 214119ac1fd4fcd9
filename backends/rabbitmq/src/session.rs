//! What is there while the broker can be reached: two connections, their channels, and the jobs in hand.
//!
//! Publishing has a connection of its own, since a broker that is low on memory stops reading from whoever publishes:
//! on one connection, workers could no longer ack, and the queues would never empty.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use lapin::Acker;
use lapin::message::Delivery as Received;
use lapin::options::{BasicAckOptions, BasicPublishOptions};
use lapin::types::ShortString;
use lapin::{BasicProperties, Channel, Confirmation};
use lucida_core::{Delivery, Error, Result};
use tokio::sync::{Notify, Semaphore};
use uuid::Uuid;

use crate::broker::Broker;
use crate::channels::{Channels, Use};
use crate::error::{failed, is_missing_queue};
use crate::link::Link;
use crate::message::{Message, properties};
use crate::topology::Topology;

/// How many messages may be on their way to the broker at once; what is beyond waits.
const PUBLISHING: usize = 64;

/// Both connections to the broker, from login until either is lost.
pub(crate) struct Session {
    /// Makes tags that no other session gives.
    id: String,
    pub(crate) topology: Arc<Topology>,
    publishing: Channels,
    publishers: Semaphore,
    pub(crate) receiving: Channels,
    in_hand: Mutex<HashMap<String, InHand>>,
    handed_out: AtomicU64,
    broken: Notify,
    /// One look at the dead letters at a time: the broker's lock is the connection's.
    pub(crate) dead: tokio::sync::Mutex<()>,
}

/// A job that was handed out and is not settled.
struct InHand {
    acker: Acker,
    /// The channel that it came by and has to be acked on.
    channel: Channel,
    /// Whether somebody is settling it.
    settling: bool,
}

impl Session {
    /// Connects, and makes the queues that aren't there.
    pub(crate) async fn open(broker: &Broker, topology: &Arc<Topology>) -> Result<Self> {
        let publishing = Link::open(broker, "publishing").await?;
        let receiving = Link::open(broker, "receiving").await?;
        let session = Self {
            id: Uuid::now_v7().simple().to_string(),
            topology: Arc::clone(topology),
            publishing: Channels::new(publishing, Use::Publishing),
            publishers: Semaphore::new(PUBLISHING),
            receiving: Channels::new(receiving, Use::Receiving),
            in_hand: Mutex::default(),
            handed_out: AtomicU64::new(0),
            broken: Notify::new(),
            dead: tokio::sync::Mutex::default(),
        };
        let opening = |error| failed("opening a channel", &error);
        let channel = session.receiving.take().await.map_err(opening)?;
        topology.declare(&channel).await?;
        session.receiving.give_back(channel);
        Ok(session)
    }

    /// Waits until either connection is lost, or somebody found the session unusable.
    pub(crate) async fn lost(&self) {
        tokio::select! {
            () = self.publishing.link.lost() => {}
            () = self.receiving.link.lost() => {}
            () = self.broken.notified() => {}
        }
    }

    /// Says goodbye; what is in hand goes back to the queue.
    pub(crate) async fn close(&self) {
        tokio::join!(self.publishing.link.close(), self.receiving.link.close());
    }

    /// Makes an error of a failed call, and ends the session if it is of no use any more.
    pub(crate) fn failed(&self, doing: &str, error: &lapin::Error) -> Error {
        let connected = self.publishing.link.is_connected() && self.receiving.link.is_connected();
        if !connected || is_missing_queue(error) {
            self.give_up();
        }
        failed(doing, error)
    }

    /// Ends the session: the next one makes the queues anew.
    pub(crate) fn give_up(&self) {
        self.broken.notify_one();
    }

    /// Publishes a job, to be handed out when its time has come.
    pub(crate) async fn publish_job(&self, message: &Message) -> Result<()> {
        let queue = self.topology.after(message.delay());
        self.publish(queue, message.body(), message.properties()).await
    }

    /// Publishes a dead letter.
    pub(crate) async fn publish_dead(&self, body: serde_json::Result<Vec<u8>>) -> Result<()> {
        self.publish(self.topology.dead(), body, properties()).await
    }

    /// Puts a message into a queue, and returns when a majority of the broker's nodes has it on disk.
    async fn publish(
        &self,
        queue: ShortString,
        body: serde_json::Result<Vec<u8>>,
        properties: BasicProperties,
    ) -> Result<()> {
        let body = body.map_err(|error| Error::internal("writing a job as JSON").with_source(error))?;
        if self.publishing.link.is_blocked() {
            return Err(Error::unavailable(
                "the broker takes no messages for now: it is low on memory or disk",
            ));
        }
        let doing = format!("publishing to the queue `{queue}`");
        let failed = |error| self.failed(&doing, &error);
        // Each message has a channel to itself: lapin gives a returned message to whichever confirmation comes next.
        let permit = self.publishers.acquire().await;
        let channel = self.publishing.take().await.map_err(failed)?;
        let options = BasicPublishOptions {
            mandatory: true,
            ..BasicPublishOptions::default()
        };
        let publishing = channel.basic_publish("".into(), queue, options, &body, properties);
        let confirmation = publishing.await.map_err(failed)?.await.map_err(failed)?;
        self.publishing.give_back(channel);
        drop(permit);
        match confirmation {
            Confirmation::Ack(None) => Ok(()),
            Confirmation::Ack(Some(_)) | Confirmation::Nack(Some(_)) => {
                self.give_up();
                Err(Error::unavailable("the queue is missing: it is being made again").context(doing))
            }
            Confirmation::Nack(None) => {
                Err(Error::unavailable("the broker couldn't store the message").context(doing))
            }
            Confirmation::NotRequested => {
                Err(Error::internal("the channel has no publisher confirms").context(doing))
            }
        }
    }

    /// Hands a job out, to be settled by its tag.
    pub(crate) fn hand_out(&self, channel: Channel, received: Received, message: Message) -> Delivery {
        let number = self.handed_out.fetch_add(1, Ordering::Relaxed);
        let tag = format!("{}.{number}", self.id);
        let in_hand = InHand {
            acker: received.acker,
            channel,
            settling: false,
        };
        self.in_hand().insert(tag.clone(), in_hand);
        Delivery {
            job: message.job,
            redeliveries: message.redeliveries,
            tag,
        }
    }

    /// Takes up a job in hand, to settle it; `None` when it isn't in hand any more, or somebody is settling it.
    pub(crate) fn settle(self: &Arc<Self>, tag: &str) -> Option<Settling> {
        let mut in_hand = self.in_hand();
        let found = in_hand.get_mut(tag).filter(|found| !found.settling)?;
        if found.acker.poisoned() {
            // The broker closed the channel, and hands the job out again.
            in_hand.remove(tag);
            return None;
        }
        found.settling = true;
        Some(Settling {
            session: Arc::clone(self),
            tag: tag.to_owned(),
        })
    }

    /// Counts the jobs in hand.
    pub(crate) fn count_in_hand(&self) -> u64 {
        let mut in_hand = self.in_hand();
        in_hand.retain(|_, job| !job.acker.poisoned());
        in_hand.len() as u64
    }

    fn in_hand(&self) -> MutexGuard<'_, HashMap<String, InHand>> {
        self.in_hand.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A job that is being settled; dropping it leaves the job in hand.
#[must_use]
pub(crate) struct Settling {
    pub(crate) session: Arc<Session>,
    tag: String,
}

impl Settling {
    /// Reports to the broker that the job is done.
    pub(crate) async fn ack(self) -> Result<()> {
        let Some(acker) = self.session.in_hand().get(&self.tag).map(|job| job.acker.clone()) else {
            return Ok(());
        };
        let acked = acker.ack(BasicAckOptions::default()).await;
        let settled = self.session.in_hand().remove(&self.tag);
        match acked {
            Ok(_) => {
                if let Some(settled) = settled {
                    self.session.receiving.give_back(settled.channel);
                }
                Ok(())
            }
            // It can't be acked any more: the broker hands it out again.
            Err(error) => Err(self.session.failed("acking a job", &error)),
        }
    }
}

impl Drop for Settling {
    fn drop(&mut self) {
        if let Some(job) = self.session.in_hand().get_mut(&self.tag) {
            job.settling = false;
        }
    }
}
