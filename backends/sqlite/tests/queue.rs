//! What the queue in SQLite promises beyond the contract: several processes on one file, processes that are killed,
//! workers that never settle, and files it refuses.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use std::{env, fs};

use futures::future::try_join_all;
use lucida_core::config::parse;
use lucida_core::{Delivery, ErrorKind, Job, JobQueue, PhotoId, QueueCounts};
use lucida_sqlite::{SqliteQueue, SqliteQueueConfig};

const NOW: Duration = Duration::ZERO;
const PATIENCE: Duration = Duration::from_secs(60);
const A_MOMENT: Duration = Duration::from_millis(100);

/// Names the queue that [`holds_three_jobs_until_it_is_killed`] opens, in a process of its own.
const HELD_QUEUE: &str = "LUCIDA_TEST_HELD_QUEUE";

async fn open_with(path: &Path, visibility_timeout_secs: u64) -> lucida_core::Result<SqliteQueue> {
    SqliteQueue::open(SqliteQueueConfig {
        path: path.to_owned(),
        visibility_timeout_secs,
    })
    .await
}

async fn open(path: &Path) -> SqliteQueue {
    open_with(path, 900).await.unwrap()
}

async fn publish(queue: &SqliteQueue) -> Job {
    let job = Job {
        photo_id: PhotoId::generate(),
    };
    queue.publish(&job, NOW).await.unwrap();
    job
}

async fn receive(queue: &SqliteQueue) -> Delivery {
    let received = queue.receive(PATIENCE).await.unwrap();
    received.expect("a job comes")
}

/// Not a test by itself: another process that takes three jobs and never ends by itself.
#[tokio::test]
async fn holds_three_jobs_until_it_is_killed() {
    let Some(path) = env::var_os(HELD_QUEUE) else {
        return;
    };
    let queue = open(Path::new(&path)).await;
    for _ in 0..3 {
        receive(&queue).await;
    }
    println!("\nholding");
    std::future::pending().await
}

struct Holder(Child);

impl Holder {
    fn start(path: &Path) -> Self {
        let mut holder = Self(
            Command::new(env::current_exe().unwrap())
                .args(["--exact", "holds_three_jobs_until_it_is_killed", "--nocapture"])
                .env(HELD_QUEUE, path)
                .stdout(Stdio::piped())
                .spawn()
                .unwrap(),
        );
        let lines = BufReader::new(holder.0.stdout.take().unwrap()).lines();
        assert!(
            lines.map_while(Result::ok).any(|line| line == "holding"),
            "the other process took no jobs"
        );
        holder
    }
}

impl Drop for Holder {
    /// Kills it with SIGKILL.
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

#[tokio::test]
async fn a_queue_of_the_first_release_opens_with_its_jobs() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("queue.db");
    let old = rusqlite::Connection::open(&path).unwrap();
    old.execute_batch(include_str!("released/queue-1.sql")).unwrap();
    drop(old);
    let queue = open(&path).await;
    let delivery = receive(&queue).await;
    assert_eq!(
        delivery.job.photo_id.to_string(),
        "0199b7c2-0000-7000-8000-000000000001"
    );
    let dead = queue.dead_letters(10).await.unwrap();
    assert_eq!(dead.len(), 1);
    assert_eq!(dead[0].reason, "the picture is damaged");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_jobs_of_a_killed_process_come_back_at_once_when_the_queue_is_opened() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("queue.db");
    let queue = open(&path).await;
    for _ in 0..4 {
        publish(&queue).await;
    }
    drop(queue);
    let holder = Holder::start(&path);

    // While it lives, its jobs are its own.
    let queue = open(&path).await;
    let expected = QueueCounts {
        ready: 1,
        in_flight: 3,
        ..QueueCounts::default()
    };
    assert_eq!(queue.counts().await.unwrap(), expected);
    drop(queue);

    drop(holder);
    let queue = open(&path).await;
    let expected = QueueCounts {
        ready: 4,
        ..QueueCounts::default()
    };
    assert_eq!(queue.counts().await.unwrap(), expected);
    let mut redeliveries = Vec::new();
    for _ in 0..4 {
        let delivery = queue.receive(NOW).await.unwrap().expect("a job is there");
        redeliveries.push(delivery.redeliveries);
    }
    assert_eq!(redeliveries, [0, 1, 1, 1]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_jobs_of_a_killed_process_come_to_another_that_is_waiting() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("queue.db");
    let queue = open(&path).await;
    for _ in 0..3 {
        publish(&queue).await;
    }
    let holder = Holder::start(&path);
    assert_eq!(queue.receive(A_MOMENT).await.unwrap(), None);
    drop(holder);
    for _ in 0..3 {
        assert_eq!(receive(&queue).await.redeliveries, 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_queue_that_is_closed_gives_its_jobs_to_the_others() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("queue.db");
    let (one, other) = (open(&path).await, open(&path).await);
    let job = publish(&one).await;
    receive(&one).await;
    assert_eq!(other.receive(A_MOMENT).await.unwrap(), None);
    drop(one);
    assert_eq!(other.receive(NOW).await.unwrap().unwrap().job, job);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_published_by_one_process_comes_to_another_that_is_waiting() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("queue.db");
    // Opened at the same time, so that they also meet while the file is made.
    let queues = try_join_all((0..3).map(|_| open_with(&path, 900))).await.unwrap();
    for (from, to) in [(0, 1), (1, 2), (2, 0)] {
        let (received, published) = tokio::join!(receive(&queues[to]), async {
            tokio::time::sleep(A_MOMENT).await;
            publish(&queues[from]).await
        });
        assert_eq!(received.job, published);
        // Another process may settle it as well.
        queues[from].ack(&received).await.unwrap();
        assert_eq!(queues[to].counts().await.unwrap(), QueueCounts::default());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_is_not_settled_in_time_is_handed_out_once_more() {
    let folder = tempfile::tempdir().unwrap();
    let queue = open_with(&folder.path().join("queue.db"), 1).await.unwrap();
    let job = publish(&queue).await;
    let first = receive(&queue).await;
    let second = receive(&queue).await;
    assert_eq!((&second.job, second.redeliveries), (&job, 1));
    // The first worker was only slow: its word does not count any more.
    queue.ack(&first).await.unwrap();
    queue.ack(&second).await.unwrap();
    assert_eq!(queue.counts().await.unwrap(), QueueCounts::default());
}

#[tokio::test]
async fn a_tag_of_another_queue_settles_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let queue = open(&folder.path().join("queue.db")).await;
    publish(&queue).await;
    let mut delivery = receive(&queue).await;
    for tag in ["", "amq.7", "1", "1.x", "99999999999999999999.1"] {
        tag.clone_into(&mut delivery.tag);
        queue.ack(&delivery).await.unwrap();
        queue.dead_letter(&delivery, "").await.unwrap();
    }
    assert_eq!(queue.counts().await.unwrap().in_flight, 1);
}

#[tokio::test]
async fn files_that_are_no_queue_are_refused_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let theirs = folder.path().join("theirs.db");
    let database = rusqlite::Connection::open(&theirs).unwrap();
    database.execute_batch("CREATE TABLE theirs (x)").unwrap();
    let newer = folder.path().join("newer.db");
    drop(open(&newer).await);
    let database = rusqlite::Connection::open(&newer).unwrap();
    database.pragma_update(None, "user_version", 1_000).unwrap();
    let text = folder.path().join("notes.txt");
    fs::write(&text, "no database at all ".repeat(500)).unwrap();

    for (path, kind) in [
        (theirs.as_path(), ErrorKind::ConfigInvalid),
        (&newer, ErrorKind::Unsupported),
        (&text, ErrorKind::ConfigInvalid),
        (folder.path(), ErrorKind::PermissionDenied),
    ] {
        let before = fs::read(path).ok();
        let error = open_with(path, 900).await.err().expect("the file is refused");
        assert_eq!((error.kind(), error.field()), (kind, Some("path")), "{error}");
        if path == text {
            assert_eq!(fs::read(path).ok(), before);
        }
    }
    let tables: i32 = rusqlite::Connection::open(&theirs)
        .unwrap()
        .query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))
        .unwrap();
    assert_eq!(tables, 1);
}

#[test]
fn bad_settings_are_refused_by_their_name() {
    for (settings, field) in [
        (
            serde_json::json!({ "path": "", "visibility_timeout_secs": 1 }),
            "path",
        ),
        (
            serde_json::json!({ "path": "data/queue.db", "visibility_timeout_secs": 0 }),
            "visibility_timeout_secs",
        ),
    ] {
        let error = parse::<SqliteQueueConfig>(&settings).unwrap_err();
        assert_eq!(
            (error.kind(), error.field()),
            (ErrorKind::ConfigInvalid, Some(field))
        );
    }
}
