//! A broker of the test's own, which is killed and started again.

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use lapin::uri::AMQPUri;
use lucida_core::JobQueue;
use lucida_core::testkit::eventually;
use tempfile::TempDir;

use super::{AN_HOUR, NOW, job, publish, publish_at_last, receive, receive_at_last};
use crate::support::open;

/// Where Debian's package has the program that runs as whoever starts it.
const PROGRAM: &str = "/usr/lib/rabbitmq/bin/rabbitmq-server";

/// How long a broker may take to start on a busy machine.
const START: Duration = Duration::from_secs(120);

/// After this long RabbitMQ has on disk that a queue was made: it syncs messages at once, but not the list of queues.
const SETTLED: Duration = Duration::from_secs(5);

/// RabbitMQ in a folder and on ports of its own.
struct OwnBroker {
    folder: TempDir,
    ports: [u16; 3],
    /// Erlang's port mapper, which would be started as a daemon otherwise.
    mapper: Child,
    server: Option<Child>,
}

impl OwnBroker {
    fn start() -> Option<Self> {
        if !Path::new(PROGRAM).exists() {
            eprintln!("skipped: there is no {PROGRAM} (Debian's package rabbitmq-server has it)");
            assert!(std::env::var_os("CI").is_none(), "CI must not skip this test");
            return None;
        }
        let listeners = [(); 3].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
        let ports = listeners.map(|listener| listener.local_addr().unwrap().port());
        let mapper = Command::new("epmd")
            .args(["-port", &ports[2].to_string(), "-address", "127.0.0.1"])
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut broker = Self {
            folder: tempfile::tempdir().unwrap(),
            ports,
            mapper,
            server: None,
        };
        fs::write(broker.folder.path().join("plugins"), "[].").unwrap();
        broker.run();
        Some(broker)
    }

    fn run(&mut self) {
        let path = |name| self.folder.path().join(name);
        let [port, distribution, mapper] = self.ports.map(|port| port.to_string());
        let server = Command::new(PROGRAM)
            .env("HOME", self.folder.path())
            .env("RABBITMQ_NODENAME", format!("lucida-test-{port}@localhost"))
            .env("RABBITMQ_NODE_IP_ADDRESS", "127.0.0.1")
            .env("RABBITMQ_NODE_PORT", port)
            .env("RABBITMQ_DIST_PORT", distribution)
            .env("RABBITMQ_MNESIA_BASE", path("mnesia"))
            .env("RABBITMQ_LOG_BASE", path("log"))
            .env("RABBITMQ_PID_FILE", path("pid"))
            .env("RABBITMQ_ENABLED_PLUGINS_FILE", path("plugins"))
            .env("ERL_EPMD_PORT", mapper)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        self.server = Some(server);
        let started = Instant::now();
        while TcpStream::connect(("127.0.0.1", self.ports[0])).is_err() {
            assert!(started.elapsed() < START, "the broker didn't start");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    fn uri(&self) -> AMQPUri {
        format!("amqp://127.0.0.1:{}", self.ports[0]).parse().unwrap()
    }

    /// Kills it with SIGKILL.
    fn kill(&mut self) {
        // The program is a script, which ends when the server that it started does.
        let Some(mut script) = self.server.take() else {
            return;
        };
        let pid = fs::read_to_string(self.folder.path().join("pid")).unwrap();
        let killed = Command::new("kill").args(["-KILL", pid.trim()]).status().unwrap();
        assert!(killed.success());
        script.wait().unwrap();
    }
}

impl Drop for OwnBroker {
    fn drop(&mut self) {
        self.kill();
        self.mapper.kill().unwrap();
        self.mapper.wait().unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_is_killed_and_started_again_has_everything_and_the_queue_goes_on() {
    let Some(mut broker) = OwnBroker::start() else {
        return;
    };
    let queue = open(&broker.uri(), "lucida.photos").await;
    tokio::time::sleep(SETTLED).await;
    let mut published = Vec::new();
    for _ in 0..20 {
        published.push(publish(&queue).await);
    }
    queue.publish(&job(), AN_HOUR).await.unwrap();
    let held = receive(&queue).await;
    let retried = receive(&queue).await;
    queue.retry(&retried, NOW).await.unwrap();
    let given_up = receive(&queue).await;
    queue.dead_letter(&given_up, "no use").await.unwrap();

    broker.kill();
    eventually("the outage is noticed", async || queue.ping().await.is_err()).await;
    broker.run();

    let later = publish_at_last(&queue).await;
    let mut received = Vec::new();
    while received.len() < 20 {
        let delivery = receive_at_last(&queue).await;
        let expected = [&held.job, &retried.job].contains(&&delivery.job);
        assert_eq!(delivery.redeliveries, u32::from(expected), "{:?}", delivery.job);
        queue.ack(&delivery).await.unwrap();
        received.push(delivery.job);
    }
    published.retain(|job| *job != given_up.job);
    published.push(later);
    received.sort_by_key(|job| job.photo_id);
    published.sort_by_key(|job| job.photo_id);
    assert_eq!(received, published);
    let letters = queue.dead_letters(10).await.unwrap();
    assert_eq!((letters.len(), &letters[0].job), (1, &given_up.job));
    eventually("only the delayed job and the dead letter are left", async || {
        let counts = queue.counts().await.unwrap();
        (counts.ready, counts.delayed, counts.in_flight, counts.dead) == (0, 1, 0, 1)
    })
    .await;
}
