//! Delivery: hands the events of the outbox to the plugin that takes them, in order per photo, and again where it fails.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::{Instrument, debug, info, info_span, warn};

use crate::events::Events;
use crate::hosted::Hosted;
use crate::lease::Leases;
use crate::outage::Outage;
use lucida_core::{
    Error, ErrorKind, EventId, Hook, MetadataStore, OutboxEvent, Plugin, Result, Subscription, metrics,
};

/// How many events are delivered at once, each of another photo.
const AT_ONCE: usize = 8;

/// How often the outbox is asked besides the notifications, since other processes add events, and failed ones become due.
const POLL_EVERY: Duration = Duration::from_secs(1);

/// How long a lease lasts beyond one delivery.
const LEASE_SLACK: Duration = Duration::from_secs(20);

/// How long a plugin may postpone an event that it was given.
const LONGEST_WAIT: Duration = Duration::from_secs(24 * 3600);

/// How long to wait after the metadata store failed, at first and at most.
const STORE_PAUSE_MIN: Duration = Duration::from_secs(1);
const STORE_PAUSE_MAX: Duration = Duration::from_secs(30);

/// How a delivery ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Delivered,
    Retried,
    Dead,
}

impl Outcome {
    const ALL: [Self; 3] = [Self::Delivered, Self::Retried, Self::Dead];

    const fn as_str(self) -> &'static str {
        match self {
            Self::Delivered => "delivered",
            Self::Retried => "retried",
            Self::Dead => "dead",
        }
    }
}

/// Delivers the events of one plugin. Of several processes one does, which holds a lease.
#[derive(Clone)]
pub(crate) struct Deliverer {
    metadata: Arc<dyn MetadataStore>,
    leases: Leases,
    events: Events,
    plugin: Hosted,
    subscription: Subscription,
}

/// The lease, as this process holds it.
struct Held {
    lease: String,
    lasts: Duration,
    until: Option<Instant>,
}

impl Held {
    /// Returns whether a delivery that begins now ends before another process may begin with the same event.
    fn covers(&self, delivery: Duration) -> bool {
        self.until.is_some_and(|until| Instant::now() + delivery < until)
    }
}

impl Deliverer {
    /// Returns a deliverer for each of the plugins that takes events.
    pub(crate) fn for_plugins(
        metadata: &Arc<dyn MetadataStore>,
        leases: &Leases,
        events: &Events,
        plugins: &[Arc<dyn Plugin>],
    ) -> Vec<Self> {
        let deliverers = plugins.iter().filter_map(|plugin| {
            Some(Self {
                metadata: Arc::clone(metadata),
                leases: leases.clone(),
                events: events.clone(),
                plugin: Hosted::new(plugin),
                subscription: plugin.subscription()?,
            })
        });
        deliverers.collect()
    }

    /// Returns the name of the plugin.
    pub(crate) fn subscriber(&self) -> &str {
        self.plugin.name()
    }

    /// Creates the counters with 0, so that their rates are known from the start.
    pub(crate) fn show_counters(&self) {
        for outcome in Outcome::ALL {
            metrics::OUTBOX_DELIVERIES.add(0, &[self.subscriber(), outcome.as_str()]);
        }
    }

    /// Delivers until `shutdown` is cancelled, and finishes the deliveries in progress.
    pub(crate) async fn run_until(&self, shutdown: CancellationToken) {
        let mut held = Held {
            lease: format!("outbox/{}", self.subscriber()),
            lasts: self.plugin.timeout() + LEASE_SLACK,
            until: None,
        };
        let mut outage = store_outage();
        let mut deliveries: JoinSet<EventId> = JoinSet::new();
        let mut in_progress = HashSet::new();
        loop {
            let begun = self
                .begin(&mut held, &mut deliveries, &mut in_progress, &shutdown)
                .await;
            let pause = match begun {
                Ok(()) => {
                    if outage.is_over() {
                        info!(plugin = self.subscriber(), "delivering events again");
                    }
                    POLL_EVERY
                }
                Err(error) => {
                    if outage.is_news(&error) {
                        warn!(%error, plugin = self.subscriber(), "waiting for the outbox of the metadata store");
                    }
                    outage.pause()
                }
            };
            tokio::select! {
                biased;
                () = shutdown.cancelled() => break,
                Some(ended) = deliveries.join_next() => forget(ended, &mut in_progress),
                () = self.events.added(), if held.until.is_some() => {}
                () = tokio::time::sleep(pause) => {}
            }
        }
        while deliveries.join_next().await.is_some() {}
        if held.until.is_some()
            && let Err(error) = self.leases.release(&held.lease).await
        {
            debug!(%error, "leaving the lease of an outbox to expire");
        }
    }

    /// Begins with the events that are due, as far as there is room for more.
    async fn begin(
        &self,
        held: &mut Held,
        deliveries: &mut JoinSet<EventId>,
        in_progress: &mut HashSet<EventId>,
        shutdown: &CancellationToken,
    ) -> Result<()> {
        self.hold(held).await?;
        let timeout = self.plugin.timeout();
        if in_progress.len() >= AT_ONCE || !held.covers(timeout) {
            return Ok(());
        }
        // Those in progress are still due as far as the store knows.
        let due = self
            .metadata
            .due_events(self.subscriber(), Timestamp::now(), AT_ONCE + in_progress.len())
            .await?;
        for event in due {
            if in_progress.len() >= AT_ONCE || !held.covers(timeout) {
                break;
            }
            if in_progress.insert(event.id) {
                let (deliverer, shutdown) = (self.clone(), shutdown.clone());
                let span = info_span!("event.deliver", plugin = self.subscriber(), event = %event.id);
                deliveries.spawn(
                    async move {
                        let id = event.id;
                        let after = deliverer.deliver(event).await;
                        deliverer.store(&after, &shutdown).await;
                        id
                    }
                    .instrument(span),
                );
            }
        }
        Ok(())
    }

    /// Takes or renews the lease, unless most of it is left.
    async fn hold(&self, held: &mut Held) -> Result<()> {
        let enough = self.plugin.timeout() + LEASE_SLACK / 2;
        if held.covers(enough) {
            return Ok(());
        }
        let asked = Instant::now();
        held.until = match self.leases.take(&held.lease, held.lasts).await {
            Ok(true) => Some(asked + held.lasts),
            Ok(false) => None,
            // What is left of it holds.
            Err(_) if held.covers(Duration::ZERO) => held.until,
            Err(error) => return Err(error),
        };
        Ok(())
    }

    /// Delivers one event, and returns what is to be stored.
    async fn deliver(&self, event: OutboxEvent) -> After {
        let (plugin, taken) = (self.plugin.plugin(), event.clone());
        let delivered = self
            .plugin
            .call(Hook::Event, async move { plugin.deliver(&taken).await })
            .await;
        let (outcome, after) = match delivered {
            Ok(()) => (Outcome::Delivered, After::Delete(event.id)),
            Err(error) => {
                let failed = self.failed(event, &error);
                let outcome = if failed.dead {
                    Outcome::Dead
                } else {
                    Outcome::Retried
                };
                (outcome, After::Update(Box::new(failed)))
            }
        };
        metrics::OUTBOX_DELIVERIES.increment(&[self.subscriber(), outcome.as_str()]);
        after
    }

    /// Decides what becomes of an event whose delivery failed.
    fn failed(&self, event: OutboxEvent, error: &Error) -> OutboxEvent {
        let attempts = event.attempts.saturating_add(1);
        let is_final = matches!(error.kind(), ErrorKind::InvalidInput | ErrorKind::NotFound);
        let dead = is_final || attempts >= self.subscription.max_attempts;
        let wait = self.subscription.backoff.delay(attempts);
        let wait = wait
            .max(error.retry_after().unwrap_or_default())
            .min(LONGEST_WAIT);
        let (kind, photo_id) = (event.kind, event.photo_id);
        if dead {
            warn!(%error, %kind, %photo_id, attempts, "giving up an event; `lucida events retry` has it delivered again");
        } else {
            let delay_secs = wait.as_secs_f64();
            info!(%error, %kind, %photo_id, attempts, delay_secs, "delivering an event again later");
        }
        OutboxEvent {
            attempts,
            due_at: later(wait),
            dead,
            error: Some(error.to_string()),
            ..event
        }
    }

    /// Stores how a delivery ended, again while the metadata store is unavailable: as long as it doesn't know, it returns the
    /// event as due.
    async fn store(&self, after: &After, shutdown: &CancellationToken) {
        let mut outage = store_outage();
        loop {
            let stored = match after {
                After::Delete(id) => self.metadata.delete_event(id).await,
                After::Update(event) => self.metadata.update_event(event).await,
            };
            let Err(error) = stored else { return };
            if outage.is_news(&error) {
                warn!(%error, "storing how the delivery of an event ended failed");
            }
            tokio::select! {
                () = shutdown.cancelled() => return,
                () = tokio::time::sleep(outage.pause()) => {}
            }
        }
    }
}

/// What is to be stored after a delivery.
enum After {
    Delete(EventId),
    Update(Box<OutboxEvent>),
}

fn store_outage() -> Outage {
    Outage::new(STORE_PAUSE_MIN, STORE_PAUSE_MAX)
}

/// Makes room for the next event of a photo.
fn forget(ended: std::result::Result<EventId, tokio::task::JoinError>, in_progress: &mut HashSet<EventId>) {
    match ended {
        Ok(id) => _ = in_progress.remove(&id),
        // The plugin runs in a task of its own, so this is a fault of ours; nothing says whose delivery it was.
        Err(error) => {
            warn!(%error, "delivering an event stopped");
            in_progress.clear();
        }
    }
}

fn later(wait: Duration) -> Timestamp {
    let now = Timestamp::now();
    SignedDuration::try_from(wait)
        .ok()
        .and_then(|wait| now.checked_add(wait).ok())
        .unwrap_or(now)
}
