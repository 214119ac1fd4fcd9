//! The queue contract, on RabbitMQ, and what is particular to it.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod cases;
mod support;

use std::path::Path;
use std::sync::{Arc, Mutex};

use lucida_core::{JobQueue, config::IntoPart};
use lucida_memory::MemoryQueue;
use lucida_testkit::{Fixture, durability};
use support::{Proxy, Scratch, open, server};

// A suite takes no "skipped": without a server it runs on the reference queue, after `server` has said so.
async fn fixture() -> Fixture<dyn JobQueue> {
    let Some(uri) = server() else {
        return Fixture::new(MemoryQueue::new());
    };
    let scratch = Scratch::new(uri);
    Fixture::new(scratch.open().await).keeping(scratch)
}
lucida_testkit::queue_contract!(fixture);

/// One queue, which the durability suite opens again and again.
struct Reopened {
    scratch: Scratch,
    /// The proxy by which it was opened last.
    proxy: Mutex<Option<Proxy>>,
}

impl Reopened {
    fn new() -> Option<Self> {
        Some(Self {
            scratch: Scratch::new(server()?),
            proxy: Mutex::default(),
        })
    }

    /// Opens the queue. The suite plays a crash by opening a copy of a folder while the first is still open. What a crash
    /// does to a client of a broker is to cut its connections, so that is done to whoever had the queue before, and
    /// they don't come back.
    async fn open(&self) -> Arc<dyn JobQueue> {
        let proxy = self.scratch.proxy().await;
        let uri = proxy.uri.clone();
        let before = self.proxy.lock().unwrap().replace(proxy);
        drop(before);
        open(&uri, &self.scratch.queue).await.into_part()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_are_there_after_a_restart() {
    let Some(queue) = Reopened::new() else { return };
    durability::queue::jobs_are_there_after_a_restart(async |_: &Path| queue.open().await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_are_there_after_a_crash() {
    let Some(queue) = Reopened::new() else { return };
    durability::queue::jobs_are_there_after_a_crash(async |_: &Path| queue.open().await).await;
}
