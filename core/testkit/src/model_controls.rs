//! What a test does to a [`super::HashModel`] while it runs: delays, holds, faults; and what it sees of it.

use std::collections::HashMap;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use lucida_core::TowerKind;

use super::patience::{PATIENCE, eventually};

/// How an input fails in the tower.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The tower gives an error for it.
    Error,
    /// The tower gives a vector with a NaN.
    NotANumber,
    /// The tower gives a vector of zeros.
    Zeros,
    /// The tower panics.
    Panic,
}

#[derive(Debug, Default)]
struct State {
    delay: Duration,
    held: bool,
    waiting: usize,
    failing_loads: usize,
    loads: HashMap<TowerKind, usize>,
    batches: HashMap<TowerKind, Vec<Vec<String>>>,
    text_faults: Vec<(String, Fault)>,
    size_faults: Vec<((u32, u32), Fault)>,
}

/// Steers a model and watches it; shared by the model and the test.
#[derive(Debug, Default)]
pub struct Controls {
    state: Mutex<State>,
    released: Condvar,
}

impl Controls {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes every batch take so long.
    pub fn set_delay(&self, delay: Duration) {
        self.lock().delay = delay;
    }

    /// Lets the next `count` loads of towers fail.
    pub fn fail_loads(&self, count: usize) {
        self.lock().failing_loads = count;
    }

    /// Stops the towers before their next batch, until [`Controls::release`].
    pub fn hold(&self) {
        self.lock().held = true;
    }

    /// Lets the towers go on.
    pub fn release(&self) {
        self.lock().held = false;
        self.released.notify_all();
    }

    /// Waits until a tower has taken a batch and stands at the hold.
    ///
    /// # Panics
    /// When none comes within a minute.
    pub async fn wait_until_held(&self) {
        eventually("a tower stands at the hold", async || self.lock().waiting > 0).await;
    }

    /// Makes texts that contain `word` fail.
    pub fn fault_on_text(&self, word: &str, fault: Fault) {
        self.lock().text_faults.push((word.to_owned(), fault));
    }

    /// Makes pictures of exactly this size fail.
    pub fn fault_on_size(&self, width: u32, height: u32, fault: Fault) {
        self.lock().size_faults.push(((width, height), fault));
    }

    /// Makes every input succeed again.
    pub fn clear_faults(&self) {
        let mut state = self.lock();
        state.text_faults.clear();
        state.size_faults.clear();
    }

    /// Returns the batches that a tower was given, in order; a picture is written as `640x480`.
    #[must_use]
    pub fn batches(&self, tower: TowerKind) -> Vec<Vec<String>> {
        self.lock().batches.get(&tower).cloned().unwrap_or_default()
    }

    /// Returns how often a tower was loaded, or failed to.
    #[must_use]
    pub fn loads(&self, tower: TowerKind) -> usize {
        self.lock().loads.get(&tower).copied().unwrap_or_default()
    }

    pub(super) fn text_fault(&self, text: &str) -> Option<Fault> {
        let state = self.lock();
        let found = state.text_faults.iter().find(|(word, _)| text.contains(word));
        found.map(|(_, fault)| *fault)
    }

    pub(super) fn size_fault(&self, width: u32, height: u32) -> Option<Fault> {
        let state = self.lock();
        let found = state
            .size_faults
            .iter()
            .find(|(size, _)| *size == (width, height));
        found.map(|(_, fault)| *fault)
    }

    /// Counts a load, and tells whether it succeeds.
    pub(super) fn load(&self, tower: TowerKind) -> bool {
        let mut state = self.lock();
        *state.loads.entry(tower).or_default() += 1;
        let fails = state.failing_loads > 0;
        state.failing_loads = state.failing_loads.saturating_sub(1);
        !fails
    }

    /// Notes a batch, stands at the hold, and takes its time.
    pub(super) fn begin_batch(&self, tower: TowerKind, labels: Vec<String>) {
        let mut state = self.lock();
        state.batches.entry(tower).or_default().push(labels);
        state.waiting += 1;
        // A test that failed never releases, and the embedder's end waits for this thread: so not for ever.
        (state, _) = self
            .released
            .wait_timeout_while(state, PATIENCE, |state| state.held)
            .unwrap_or_else(PoisonError::into_inner);
        state.waiting -= 1;
        let delay = state.delay;
        drop(state);
        if !delay.is_zero() {
            std::thread::sleep(delay);
        }
    }
}
