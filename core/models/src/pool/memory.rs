//! Which models of a pool are open, who uses them, and what they take of the memory.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use lucida_core::{Embedder, metrics};
use tokio::sync::Notify;
use tokio::time::Instant;
use tracing::{info, warn};

/// Why a model is closed.
#[derive(Clone, Copy)]
enum Reason {
    Idle,
    Room,
}

impl Reason {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::Room => "room",
        }
    }
}

/// The memory that the models of a pool share.
pub(super) struct Memory {
    max_bytes: Option<u64>,
    slots: Mutex<Vec<Slot>>,
    /// The bytes of all models that are open, or closed and not yet freed.
    reserved: Arc<Reserved>,
    /// Held by whoever opens a model; those that wait for it are served in order.
    pub(super) opening: tokio::sync::Mutex<()>,
    /// Wakes what closes idle models.
    released: Notify,
}

/// Counts bytes, and wakes the one that waits for fewer of them.
#[derive(Default)]
struct Reserved {
    bytes: AtomicU64,
    freed: Notify,
}

/// What is known of one model.
struct Slot {
    open: Option<OpenSlot>,
    idle_unload: Option<Duration>,
}

struct OpenSlot {
    model: Arc<OpenModel>,
    users: usize,
    last_used: Instant,
}

/// An open model. What it reserved is free once it is dropped and its memory has been given back.
struct OpenModel {
    name: String,
    embedder: Option<Arc<dyn Embedder>>,
    reservation: Option<Reservation>,
}

/// Bytes that are counted until this is dropped.
pub(super) struct Reservation {
    bytes: u64,
    reserved: Arc<Reserved>,
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.reserved.bytes.fetch_sub(self.bytes, Ordering::SeqCst);
        self.reserved.freed.notify_one();
    }
}

impl Drop for OpenModel {
    fn drop(&mut self) {
        let (embedder, reservation) = (self.embedder.take(), self.reservation.take());
        metrics::MODEL_RESERVED_BYTES.set(0.0, &[&self.name]);
        // The embedder waits for its threads, which an async task must not.
        let free = move || {
            drop(embedder);
            lucida_core::release_free_memory();
            drop(reservation);
        };
        let thread = std::thread::Builder::new().name("close-model".to_owned());
        if let Err(error) = thread.spawn(free) {
            // What was moved into the thread has been dropped by now, so its memory is free as well.
            warn!(%error, "starting a thread to close a model failed");
        }
    }
}

/// A model in use: it isn't taken out of memory meanwhile.
pub(super) struct Lease {
    model: Arc<OpenModel>,
    memory: Arc<Memory>,
    place: usize,
}

impl Lease {
    pub(super) fn embedder(&self) -> &dyn Embedder {
        let embedder = self.model.embedder.as_deref();
        embedder.expect("a model has its embedder until it is dropped")
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let mut slots = self.memory.lock();
        if let Some(open) = slots[self.place].open_as(&self.model) {
            open.users -= 1;
            open.last_used = Instant::now();
        }
        drop(slots);
        self.memory.released.notify_one();
    }
}

impl Slot {
    /// Returns the slot's open model if it is this one, and not closed or opened anew in the meantime.
    fn open_as(&mut self, model: &Arc<OpenModel>) -> Option<&mut OpenSlot> {
        self.open.as_mut().filter(|open| Arc::ptr_eq(&open.model, model))
    }

    fn close(&mut self, reason: Reason) -> Option<Arc<OpenModel>> {
        let OpenSlot { model, users, .. } = self.open.take()?;
        let (name, reason) = (&*model.name, reason.as_str());
        metrics::MODEL_CLOSED.increment(&[name, reason]);
        info!(model = name, reason, users, "closing model");
        Some(model)
    }
}

impl Memory {
    /// Creates the memory of models by the times after which they are closed.
    pub(super) fn new(
        idle_unloads: impl Iterator<Item = Option<Duration>>,
        max_bytes: Option<u64>,
    ) -> Arc<Self> {
        let slots = idle_unloads.map(|idle_unload| Slot {
            open: None,
            idle_unload,
        });
        Arc::new(Self {
            max_bytes,
            slots: Mutex::new(slots.collect()),
            reserved: Arc::default(),
            opening: tokio::sync::Mutex::new(()),
            released: Notify::new(),
        })
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Slot>> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) const fn max_bytes(&self) -> Option<u64> {
        self.max_bytes
    }

    pub(super) fn reserved_bytes(&self) -> u64 {
        self.reserved.bytes.load(Ordering::SeqCst)
    }

    /// Returns a model if it is open.
    pub(super) fn lease(self: &Arc<Self>, place: usize) -> Option<Lease> {
        let mut slots = self.lock();
        let open = slots[place].open.as_mut()?;
        open.users += 1;
        open.last_used = Instant::now();
        Some(Lease {
            model: Arc::clone(&open.model),
            memory: Arc::clone(self),
            place,
        })
    }

    /// Applies a question to a model if it is open, which doesn't count as use.
    pub(super) fn peek<T>(&self, place: usize, ask: impl FnOnce(&dyn Embedder) -> T) -> Option<T> {
        let open = self.lock()[place].open.as_ref()?.model.embedder.clone()?;
        Some(ask(&*open))
    }

    /// Closes the least recently used models, those that nobody uses at the moment first, until `bytes` more fit below the
    /// bound, and waits until their memory is free. The caller holds `opening`, and has checked that `bytes` alone fit.
    pub(super) async fn reserve(&self, bytes: u64) -> Reservation {
        if let Some(max_bytes) = self.max_bytes {
            let closed = self.make_room(max_bytes.saturating_sub(bytes));
            drop(closed);
            // There is one waiter at most, and a permit left over by an earlier closing costs one look.
            while self.reserved_bytes().saturating_add(bytes) > max_bytes && self.reserved_bytes() > 0 {
                self.reserved.freed.notified().await;
            }
        }
        self.reserved.bytes.fetch_add(bytes, Ordering::SeqCst);
        Reservation {
            bytes,
            reserved: Arc::clone(&self.reserved),
        }
    }

    /// Closes models until those that stay open take at most `bytes`.
    fn make_room(&self, bytes: u64) -> Vec<Arc<OpenModel>> {
        let mut slots = self.lock();
        let mut closed = Vec::new();
        loop {
            let open = slots.iter().filter_map(|slot| slot.open.as_ref());
            let total: u64 = open.map(|open| open.model.bytes()).sum();
            if total <= bytes {
                return closed;
            }
            let next = slots
                .iter_mut()
                .filter(|slot| slot.open.as_ref().is_some_and(|open| open.model.bytes() > 0))
                .min_by_key(|slot| slot.open.as_ref().map(|open| (open.users > 0, open.last_used)));
            match next.and_then(|slot| slot.close(Reason::Room)) {
                Some(model) => closed.push(model),
                None => return closed,
            }
        }
    }

    /// Keeps an opened model.
    pub(super) fn keep(
        &self,
        place: usize,
        name: &str,
        embedder: Arc<dyn Embedder>,
        reservation: Reservation,
    ) {
        #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
        metrics::MODEL_RESERVED_BYTES.set(reservation.bytes as f64, &[name]);
        self.lock()[place].open = Some(OpenSlot {
            model: Arc::new(OpenModel {
                name: name.to_owned(),
                embedder: Some(embedder),
                reservation: Some(reservation),
            }),
            users: 0,
            last_used: Instant::now(),
        });
        self.released.notify_one();
    }

    /// Closes what has been idle for long enough, and returns when to look again, if any model may become idle.
    fn close_idle(&self) -> Option<Instant> {
        let now = Instant::now();
        let mut closed = Vec::new();
        let mut next: Option<Instant> = None;
        let mut slots = self.lock();
        for slot in slots.iter_mut() {
            let (Some(after), Some(open)) = (slot.idle_unload, &slot.open) else {
                continue;
            };
            if open.users > 0 {
                // Its release wakes the caller.
                continue;
            }
            let at = open.last_used + after;
            if at <= now {
                closed.extend(slot.close(Reason::Idle));
            } else {
                next = Some(next.map_or(at, |next| next.min(at)));
            }
        }
        drop(slots);
        drop(closed);
        next
    }
}

impl OpenModel {
    fn bytes(&self) -> u64 {
        self.reservation
            .as_ref()
            .map_or(0, |reservation| reservation.bytes)
    }
}

/// Closes models when they have been idle for long enough, for ever.
pub(super) async fn close_idle(memory: Arc<Memory>) {
    loop {
        let released = memory.released.notified();
        match memory.close_idle() {
            Some(at) => {
                // Either way it looks again.
                let _ = tokio::time::timeout_at(at, released).await;
            }
            None => released.await,
        }
    }
}
