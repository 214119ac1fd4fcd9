//! The queues on the broker, and which of them a job goes to.
//!
//! All are durable quorum queues, published to by the default exchange under their own names:
//!
//! ```text
//! lucida.photos                  jobs that can be handed out
//! lucida.photos.delay.100ms …    jobs that wait: whatever stays there for 100 ms goes to `lucida.photos` by itself
//! lucida.photos.dead             jobs given up
//! ```
//!
//! A queue lets go only of its oldest message, so one queue for all delays would hold a short delay behind a long
//! one. Here all messages of a queue wait equally long. A delay between two rungs is put together: whoever receives
//! a job before its time moves it to the longest rung that still fits. So a delay is exact to the shortest rung.

use std::time::Duration;

use lapin::Channel;
use lapin::options::QueueDeclareOptions;
use lapin::types::{AMQPValue, FieldTable, LongString, ShortString};
use lucida_core::Result;

use crate::error::failed;

/// The most bytes of the queue's name, so that the names beside it fit into the 255 bytes of AMQP.
pub(crate) const QUEUE_BYTES: usize = 200;

/// The waits that there are queues for, and what the queues' names end with. Each is at most 6 times the one before,
/// so that any delay takes few moves.
const RUNGS: [(Duration, &str); 7] = [
    (Duration::from_millis(100), "100ms"),
    (Duration::from_millis(500), "500ms"),
    (Duration::from_secs(2), "2s"),
    (Duration::from_secs(10), "10s"),
    (Duration::from_secs(60), "1m"),
    (Duration::from_secs(300), "5m"),
    (Duration::from_secs(1_800), "30m"),
];

/// How often the broker hands a job out whose worker never settles it; then it goes to the dead letters. Far beyond
/// what the pipeline puts up with.
pub(crate) const DELIVERY_LIMIT: i64 = 1_000;

/// How often dead letters can be looked at: each look counts as a delivery, and the broker drops what is beyond its
/// limit, which is 20 where none is set.
const LOOKS_LIMIT: i64 = i32::MAX as i64;

/// How many dead letters are kept; beyond, the oldest goes. The metadata store knows every failed photo, and looking for the
/// letters of one photo reads them all.
pub(crate) const DEAD_LETTERS: u16 = 1_000;

/// How long a lock outlives the process that forgot to release it while its connection lives.
const LOCK_EXPIRES: Duration = Duration::from_secs(60);

/// The names of the queues.
pub(crate) struct Topology {
    queue: String,
}

impl Topology {
    /// Names the queues beside `queue`.
    pub(crate) fn new(queue: String) -> Self {
        Self { queue }
    }

    /// Returns the queue of jobs that can be handed out.
    pub(crate) fn jobs(&self) -> ShortString {
        self.queue.as_str().into()
    }

    /// Returns the queue of dead letters.
    pub(crate) fn dead(&self) -> ShortString {
        format!("{}.dead", self.queue).into()
    }

    /// Returns the queues of delayed jobs.
    pub(crate) fn delays(&self) -> impl Iterator<Item = ShortString> {
        RUNGS.iter().map(|(_, suffix)| self.delay(suffix))
    }

    /// Returns the queue for a job that may be handed out after `delay`: the longest rung that is at most the shortest
    /// one too long, so that the time a message takes on its way doesn't split a delay that is a rung.
    pub(crate) fn after(&self, delay: Duration) -> ShortString {
        if delay.is_zero() {
            return self.jobs();
        }
        let [(shortest, shortest_suffix), ..] = RUNGS;
        let longest = delay.saturating_add(shortest);
        let fitting = RUNGS.iter().rev().find(|(wait, _)| *wait <= longest);
        self.delay(fitting.map_or(shortest_suffix, |(_, suffix)| suffix))
    }

    fn delay(&self, suffix: &str) -> ShortString {
        format!("{}.delay.{suffix}", self.queue).into()
    }

    /// Makes the queues that aren't there, and checks those that are.
    pub(crate) async fn declare(&self, channel: &Channel) -> Result<()> {
        let jobs = dead_lettering_to(&self.dead(), [("x-delivery-limit", DELIVERY_LIMIT.into())]);
        self.declare_one(channel, self.jobs(), jobs).await?;
        let dead = quorum([
            ("x-delivery-limit", LOOKS_LIMIT.into()),
            ("x-max-length", i64::from(DEAD_LETTERS).into()),
        ]);
        self.declare_one(channel, self.dead(), dead).await?;
        for (wait, suffix) in RUNGS {
            let delay = dead_lettering_to(&self.jobs(), [("x-message-ttl", millis(wait))]);
            self.declare_one(channel, self.delay(suffix), delay).await?;
        }
        Ok(())
    }

    async fn declare_one(&self, channel: &Channel, name: ShortString, arguments: FieldTable) -> Result<()> {
        let doing = format!("declaring the queue `{name}`");
        let declared = channel.queue_declare(name, QueueDeclareOptions::durable(), arguments);
        declared.await.map(drop).map_err(|error| failed(&doing, &error))
    }

    /// Takes the lock on the dead letters, which only one connection has at a time. It goes with its connection.
    pub(crate) async fn lock_dead(&self, channel: &Channel) -> lapin::Result<()> {
        let options = QueueDeclareOptions {
            exclusive: true,
            ..QueueDeclareOptions::default()
        };
        let mut arguments = FieldTable::default();
        arguments.insert("x-expires".into(), millis(LOCK_EXPIRES));
        channel
            .queue_declare(self.dead_lock(), options, arguments)
            .await
            .map(drop)
    }

    /// Releases the lock on the dead letters.
    pub(crate) async fn unlock_dead(&self, channel: &Channel) -> lapin::Result<()> {
        channel
            .queue_delete(self.dead_lock(), Default::default())
            .await
            .map(drop)
    }

    fn dead_lock(&self) -> ShortString {
        format!("{}.dead.lock", self.queue).into()
    }
}

/// Returns how many messages a queue could hand out.
pub(crate) async fn count(channel: &Channel, queue: ShortString) -> lapin::Result<u64> {
    let options = QueueDeclareOptions {
        passive: true,
        ..QueueDeclareOptions::default()
    };
    let declared = channel
        .queue_declare(queue, options, FieldTable::default())
        .await?;
    Ok(u64::from(declared.message_count()))
}

fn quorum(more: impl IntoIterator<Item = (&'static str, AMQPValue)>) -> FieldTable {
    let mut arguments = FieldTable::default();
    arguments.insert("x-queue-type".into(), text("quorum"));
    for (name, value) in more {
        arguments.insert(name.into(), value);
    }
    arguments
}

/// A queue whose messages go to `target` when they are done with here. "At least once" means that they leave only
/// when they have arrived; the broker asks that such a queue refuses what it can't hold.
fn dead_lettering_to(
    target: &ShortString,
    more: impl IntoIterator<Item = (&'static str, AMQPValue)>,
) -> FieldTable {
    let mut arguments = quorum(more);
    arguments.insert("x-dead-letter-exchange".into(), text(""));
    arguments.insert("x-dead-letter-routing-key".into(), text(target.as_str()));
    arguments.insert("x-dead-letter-strategy".into(), text("at-least-once"));
    arguments.insert("x-overflow".into(), text("reject-publish"));
    arguments
}

fn text(value: &str) -> AMQPValue {
    AMQPValue::LongString(LongString::from(value))
}

fn millis(duration: Duration) -> AMQPValue {
    AMQPValue::LongLongInt(i64::try_from(duration.as_millis()).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_delay_goes_to_the_longest_rung_that_fits() {
        let topology = Topology::new("q".to_owned());
        for (delay_ms, expected) in [
            (0, "q"),
            (1, "q.delay.100ms"),
            (100, "q.delay.100ms"),
            (399, "q.delay.100ms"),
            (400, "q.delay.500ms"),
            (1_899, "q.delay.500ms"),
            (9_899, "q.delay.2s"),
            (9_999, "q.delay.10s"),
            (1_800_000, "q.delay.30m"),
            (90_000_000, "q.delay.30m"),
        ] {
            assert_eq!(topology.after(Duration::from_millis(delay_ms)).as_str(), expected);
        }
    }

    #[test]
    fn an_hour_or_less_takes_few_moves() {
        let topology = Topology::new("q".to_owned());
        let mut most = 0;
        for seconds in 1..=3_600_u64 {
            let mut left = Duration::from_secs(seconds) + Duration::from_millis(99);
            let mut moves = 0;
            while !left.is_zero() {
                let queue = topology.after(left);
                let rung = RUNGS
                    .iter()
                    .find(|(_, suffix)| queue.as_str().ends_with(&format!(".{suffix}")));
                left = left.saturating_sub(rung.unwrap().0);
                moves += 1;
            }
            most = most.max(moves);
        }
        assert!(most <= 25, "{most} moves");
    }
}
