//! The queue contract, on RabbitMQ, and what is particular to it.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod cases;
mod support;

use std::collections::HashMap;
use std::fs;
use std::path::Path;
use std::sync::{Arc, Mutex};

use lucida_core::JobQueue;
use lucida_core::config::IntoPart;
use lucida_core::memory::MemoryQueue;
use lucida_core::testkit::{Fixture, durability};
use support::{Proxy, Scratch, new_queue, open, server};

// A suite takes no "skipped": without a server it runs on the reference queue, after `server` has said so.
async fn fixture() -> Fixture<dyn JobQueue> {
    let Some(uri) = server() else {
        return Fixture::new(MemoryQueue::new());
    };
    let scratch = Scratch::new(uri);
    Fixture::new(scratch.open().await).keeping(scratch)
}
lucida_core::queue_contract!(fixture);

/// The proxy by which each queue was opened last.
static PROXIES: Mutex<Option<HashMap<String, Proxy>>> = Mutex::new(None);

/// Opens the queue that a folder names, so that a folder and its copies mean the same jobs.
///
/// The suite plays a crash by opening a copy while the first is still open. What a crash does to a client of a broker
/// is to cut its connections, so that is done to whoever had the queue before, and they don't come back.
async fn open_folder(folder: &Path) -> Arc<dyn JobQueue> {
    let uri = server().unwrap();
    let named = folder.join("queue");
    if !named.exists() {
        fs::write(&named, new_queue()).unwrap();
    }
    let queue = fs::read_to_string(&named).unwrap();
    let proxy = Proxy::start(&uri).await;
    let opening = proxy.uri.clone();
    let before = PROXIES
        .lock()
        .unwrap()
        .get_or_insert_default()
        .insert(queue.clone(), proxy);
    drop(before);
    open(&opening, &queue).await.into_part()
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_are_there_after_a_restart() {
    if server().is_some() {
        durability::queue::jobs_are_there_after_a_restart(open_folder).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_are_there_after_a_crash() {
    if server().is_some() {
        durability::queue::jobs_are_there_after_a_crash(open_folder).await;
    }
}
