//! The two lanes of a tower, and which of their entries the next batch has.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use lucida_core::{Embedding, Lane, Result};

/// For so long after a search or an `/embed` call another one may follow, and should not stand behind a large batch of
/// which nobody waits for anything.
const ATTENTIVE: Duration = Duration::from_secs(10);

/// An input that waits, and who is to be answered.
pub(super) struct Entry<I> {
    pub(super) input: I,
    pub(super) answer: oneshot::Sender<Result<Embedding>>,
}

/// What waits for a tower.
pub(super) struct Lanes<I> {
    interactive: VecDeque<Entry<I>>,
    background: VecDeque<Entry<I>>,
    /// When a batch was last taken from the interactive lane.
    last_interactive: Option<Instant>,
}

impl<I> Lanes<I> {
    pub(super) const fn new() -> Self {
        Self {
            interactive: VecDeque::new(),
            background: VecDeque::new(),
            last_interactive: None,
        }
    }

    pub(super) fn len(&self, lane: Lane) -> usize {
        match lane {
            Lane::Interactive => self.interactive.len(),
            Lane::Background => self.background.len(),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.interactive.is_empty() && self.background.is_empty()
    }

    pub(super) fn push(&mut self, lane: Lane, entry: Entry<I>) {
        match lane {
            Lane::Interactive => self.interactive.push_back(entry),
            Lane::Background => self.background.push_back(entry),
        }
    }

    /// Takes the next batch, empty where nothing waits: what somebody waits for, up to the budget, and otherwise of the
    /// background as much, or one input while people are about. The two don't mix: on a processor, which computes one
    /// input after the other, a search would wait for its companions.
    pub(super) fn take_batch(&mut self, cost: impl Fn(&I) -> usize, budget: usize) -> Vec<Entry<I>> {
        let batch = take(&mut self.interactive, &cost, budget);
        if !batch.is_empty() {
            self.last_interactive = Some(Instant::now());
            return batch;
        }
        let is_attentive = self.last_interactive.is_some_and(|at| at.elapsed() < ATTENTIVE);
        take(&mut self.background, &cost, if is_attentive { 1 } else { budget })
    }
}

/// Takes entries off a lane, one at least and otherwise up to the budget; those whose caller has gone are dropped.
fn take<I>(lane: &mut VecDeque<Entry<I>>, cost: impl Fn(&I) -> usize, mut budget: usize) -> Vec<Entry<I>> {
    let mut batch = Vec::new();
    while let Some(entry) = lane.pop_front() {
        if entry.answer.is_closed() {
            continue;
        }
        let cost = cost(&entry.input).max(1);
        if !batch.is_empty() && cost > budget {
            lane.push_front(entry);
            break;
        }
        budget = budget.saturating_sub(cost);
        batch.push(entry);
    }
    batch
}
