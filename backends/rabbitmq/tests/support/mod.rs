//! What the tests share: the server, queues of their own on it, and a proxy that plays a bad network.

mod proxy;

use std::thread;

use lapin::options::{BasicPublishOptions, QueueDeleteOptions};
use lapin::uri::AMQPUri;
use lapin::{BasicProperties, Channel, Connection, ConnectionProperties};
use lucida_core::Secret;
use lucida_rabbitmq::{RabbitmqConfig, RabbitmqQueue};
use uuid::Uuid;

pub(crate) use proxy::Proxy;

/// What the names of the queues beside a queue end with.
const BESIDE: [&str; 9] = [
    "",
    ".dead",
    ".delay.100ms",
    ".delay.500ms",
    ".delay.2s",
    ".delay.10s",
    ".delay.1m",
    ".delay.5m",
    ".delay.30m",
];

/// Returns the server's URI, or says that the test is skipped.
pub(crate) fn server() -> Option<AMQPUri> {
    const VARIABLE: &str = "LUCIDA_TEST_RABBITMQ_URI";
    let Some(uri) = std::env::var_os(VARIABLE) else {
        eprintln!("skipped: {VARIABLE} is not set (`cargo xtask test` sets it)");
        assert!(std::env::var_os("CI").is_none(), "CI must not skip this test");
        return None;
    };
    Some(uri.to_str().unwrap().parse().expect("an AMQP URI"))
}

/// A queue of the test's own, which is deleted with those beside it when this is dropped.
pub(crate) struct Scratch {
    pub(crate) uri: AMQPUri,
    pub(crate) queue: String,
}

impl Scratch {
    pub(crate) fn new(uri: AMQPUri) -> Self {
        Self {
            uri,
            queue: format!("lucida-test-{}", Uuid::now_v7().simple()),
        }
    }

    /// Opens the queue straight.
    pub(crate) async fn open(&self) -> RabbitmqQueue {
        open(&self.uri, &self.queue).await
    }

    /// Starts a proxy before the server.
    pub(crate) async fn proxy(&self) -> Proxy {
        Proxy::start(&self.uri).await
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let (uri, queue) = (self.uri.clone(), self.queue.clone());
        let deleting = thread::spawn(move || {
            let runtime = tokio::runtime::Runtime::new().unwrap();
            runtime.block_on(async {
                let (_connection, channel) = channel(&uri).await;
                for suffix in BESIDE {
                    let name = format!("{queue}{suffix}").into();
                    channel
                        .queue_delete(name, QueueDeleteOptions::default())
                        .await
                        .unwrap();
                }
            });
        });
        let deleted = deleting.join();
        assert!(
            deleted.is_ok() || thread::panicking(),
            "the test's queues can't be deleted"
        );
    }
}

pub(crate) fn config(uri: &AMQPUri, queue: &str) -> RabbitmqConfig {
    RabbitmqConfig {
        uri: Some(Secret::new(uri.to_string())),
        uri_file: None,
        queue: queue.to_owned(),
        heartbeat_secs: 10,
        connect_timeout_ms: 10_000,
        ca_file: None,
    }
}

pub(crate) async fn open(uri: &AMQPUri, queue: &str) -> RabbitmqQueue {
    RabbitmqQueue::open(config(uri, queue)).await.unwrap()
}

/// Opens a channel of the test's own, to see and do what Lucida does not.
pub(crate) async fn channel(uri: &AMQPUri) -> (Connection, Channel) {
    let connection = Connection::connect_uri(uri.clone(), ConnectionProperties::default())
        .await
        .unwrap();
    let channel = connection.create_channel().await.unwrap();
    (connection, channel)
}

/// Publishes a message of the test's own, past Lucida.
pub(crate) async fn publish_foreign(channel: &Channel, queue: &str, body: &[u8]) {
    let (options, properties) = (BasicPublishOptions::default(), BasicProperties::default());
    let published = channel.basic_publish("".into(), queue.into(), options, body, properties);
    published.await.unwrap().await.unwrap();
}
