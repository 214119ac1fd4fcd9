//! A broker of the test's own: killed and started again, low on memory, and with a certificate.

use std::collections::HashMap;
use std::fs;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use lapin::uri::AMQPUri;
use lucida_core::{ErrorKind, JobQueue};
use lucida_rabbitmq::RabbitmqQueue;
use lucida_testkit::eventually;
use tempfile::TempDir;

use super::{A_MOMENT, AN_HOUR, NOW, job, publish, publish_at_last, receive, receive_at_last};
use crate::support::{config, open};

/// The variable with the folder of the servers' programs, which `cargo xtask test` sets.
const SERVERS: &str = "LUCIDA_TEST_SERVERS";

/// A certificate authority, and the certificate of `localhost` and 127.0.0.1 that it signed.
const CERTIFICATES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/tls");

/// How long a broker may take to start on a busy machine.
const START: Duration = Duration::from_secs(120);

/// After this long RabbitMQ has on disk that a queue was made: it syncs messages at once, but not the list of queues.
const SETTLED: Duration = Duration::from_secs(5);

/// RabbitMQ in a folder and on ports of its own.
struct OwnBroker {
    folder: TempDir,
    /// Where its programs are, and the virtual machine's.
    programs: PathBuf,
    /// For clients, for clients by TLS, for other nodes, and of the port mapper.
    ports: [u16; 4],
    /// Erlang's port mapper, which would be started as a daemon otherwise.
    mapper: Child,
    server: Option<Child>,
}

impl OwnBroker {
    fn start() -> Option<Self> {
        let Some(servers) = std::env::var_os(SERVERS) else {
            eprintln!("skipped: {SERVERS} is not set (`cargo xtask test` sets it)");
            assert!(std::env::var_os("CI").is_none(), "CI must not skip this test");
            return None;
        };
        let programs = Path::new(&servers).join("rabbitmq");
        let listeners = [(); 4].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
        let ports = listeners.map(|listener| listener.local_addr().unwrap().port());
        let mapper = Command::new(programs.join("bin/epmd"))
            .args(["-port", &ports[3].to_string(), "-address", "127.0.0.1"])
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut broker = Self {
            folder: tempfile::tempdir().unwrap(),
            programs,
            ports,
            mapper,
            server: None,
        };
        fs::write(broker.path("plugins"), "[].").unwrap();
        let settings = format!(
            "listeners.ssl.1 = 127.0.0.1:{}\n\
             ssl_options.cacertfile = {CERTIFICATES}/authority.pem\n\
             ssl_options.certfile = {CERTIFICATES}/broker.pem\n\
             ssl_options.keyfile = {CERTIFICATES}/broker.key\n",
            ports[1]
        );
        fs::write(broker.path("rabbitmq.conf"), settings).unwrap();
        broker.run();
        Some(broker)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Makes a command that means this broker.
    fn command(&self, program: &str) -> Command {
        let [port, _, distribution, mapper] = self.ports.map(|port| port.to_string());
        let mut path = vec![self.programs.join("bin")];
        path.extend(std::env::split_paths(
            &std::env::var_os("PATH").unwrap_or_default(),
        ));
        let mut command = Command::new(self.programs.join("lib/rabbitmq/bin").join(program));
        command
            .env("PATH", std::env::join_paths(path).unwrap())
            .env("RABBITMQ_CONF_ENV_FILE", "/dev/null")
            .env("HOME", self.folder.path())
            .env("RABBITMQ_NODENAME", format!("lucida-test-{port}@localhost"))
            .env("RABBITMQ_NODE_IP_ADDRESS", "127.0.0.1")
            .env("RABBITMQ_NODE_PORT", port)
            .env("RABBITMQ_DIST_PORT", distribution)
            .env("RABBITMQ_CONFIG_FILE", self.path("rabbitmq"))
            .env("RABBITMQ_MNESIA_BASE", self.path("mnesia"))
            .env("RABBITMQ_LOG_BASE", self.path("log"))
            .env("RABBITMQ_PID_FILE", self.path("pid"))
            .env("RABBITMQ_ENABLED_PLUGINS_FILE", self.path("plugins"))
            .env("ERL_EPMD_PORT", mapper)
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        command
    }

    fn run(&mut self) {
        let server = self.command("rabbitmq-server").spawn().unwrap();
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

    fn tls_uri(&self) -> AMQPUri {
        format!("amqps://localhost:{}", self.ports[1]).parse().unwrap()
    }

    fn control(&self, arguments: &[&str]) {
        assert!(
            self.command("rabbitmqctl")
                .args(arguments)
                .status()
                .unwrap()
                .success()
        );
    }

    /// Kills it with SIGKILL.
    fn kill(&mut self) {
        // The program is a script, which ends when the server that it started does.
        let Some(mut script) = self.server.take() else {
            return;
        };
        let pid = fs::read_to_string(self.path("pid")).unwrap();
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

    published.push(publish_at_last(&queue).await);
    // An ack is not synced: what was settled just before the kill may come once more.
    published.retain(|job| *job != given_up.job);
    let mut received = HashMap::new();
    while !published.iter().all(|job| received.contains_key(job)) {
        let delivery = receive_at_last(&queue).await;
        queue.ack(&delivery).await.unwrap();
        received.insert(delivery.job, delivery.redeliveries);
    }
    while let Some(delivery) = queue.receive(A_MOMENT).await.unwrap() {
        queue.ack(&delivery).await.unwrap();
    }
    received.remove(&given_up.job);
    let handed_out_before = [&held.job, &retried.job];
    for (job, redeliveries) in &received {
        assert_eq!(
            *redeliveries,
            u32::from(handed_out_before.contains(&job)),
            "{job:?}"
        );
    }
    assert_eq!(received.len(), published.len());
    let letters = queue.dead_letters(10).await.unwrap();
    assert_eq!((letters.len(), &letters[0].job), (1, &given_up.job));
    eventually("only the delayed job and the dead letter are left", async || {
        let counts = queue.counts().await.unwrap();
        (counts.ready, counts.delayed, counts.in_flight, counts.dead) == (0, 1, 0, 1)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_low_on_memory_takes_no_jobs_and_gives_out_those_it_has() {
    let Some(broker) = OwnBroker::start() else { return };
    let queue = open(&broker.uri(), "lucida.photos").await;
    publish(&queue).await;
    broker.control(&["set_vm_memory_high_watermark", "0.000001"]);
    eventually("publishing fails at once", async || {
        // The first that is too much gets no answer.
        let job = job();
        let publishing = queue.publish(&job, NOW);
        let Ok(published) = tokio::time::timeout(Duration::from_secs(1), publishing).await else {
            return false;
        };
        published.is_err_and(|error| {
            assert_eq!(error.kind(), ErrorKind::Unavailable);
            error.to_string().contains("low on memory")
        })
    })
    .await;
    while let Some(delivery) = queue.receive(NOW).await.unwrap() {
        queue.ack(&delivery).await.unwrap();
    }
    let counts = queue.counts().await.unwrap();
    assert_eq!((counts.ready, counts.in_flight), (0, 0));
    broker.control(&["set_vm_memory_high_watermark", "0.9"]);
    publish_at_last(&queue).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_is_reached_by_tls_where_its_certificate_is_trusted() {
    let Some(broker) = OwnBroker::start() else { return };
    let mut settings = config(&broker.tls_uri(), "lucida.photos");
    let refused = RabbitmqQueue::open(settings.clone()).await.err();
    let error = refused.expect("nobody knows the authority");
    assert_eq!(
        (error.kind(), error.field()),
        (ErrorKind::ConfigInvalid, Some("ca_file")),
        "{error}"
    );
    settings.ca_file = Some(Path::new(CERTIFICATES).join("authority.pem"));
    let queue = RabbitmqQueue::open(settings).await.unwrap();
    let published = publish(&queue).await;
    assert_eq!(receive(&queue).await.job, published);
}
