//! What stores that outlive their process promise: what was acknowledged is stored after a restart, also after one
//! that nobody prepared for.
//!
//! Each test is given a function that opens a folder. A crash is played by opening a copy of the folder that was
//! made while the store was still open: whatever sits in the process alone is lost.

use std::path::Path;

use tempfile::TempDir;

/// Copies a folder with all in it, as a crash at this moment would leave it.
fn crashed_copy(of: &Path) -> TempDir {
    let copy = tempfile::tempdir().unwrap();
    copy_into(of, copy.path());
    copy
}

fn copy_into(from: &Path, to: &Path) {
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            std::fs::create_dir(&target).unwrap();
            copy_into(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// Of [`lucida_core::Storage`].
pub mod storage {
    use std::path::Path;
    use std::sync::Arc;

    use bytes::Bytes;
    use futures::{StreamExt, TryStreamExt};
    use lucida_core::{BlobKey, Storage, stream_of};

    use super::crashed_copy;

    /// Makes the tests of a storage that keeps its blobs over a restart, from an async function that opens a folder.
    #[macro_export]
    macro_rules! storage_durability {
        ($open:ident) => {
            mod storage_durability {
                $crate::durability_tests! { storage, $open,
                    blobs_are_there_after_a_restart
                    blobs_are_there_after_a_crash
                    a_write_that_a_crash_cut_off_leaves_nothing
                }
            }
        };
    }

    fn key(name: &str) -> BlobKey {
        BlobKey::new(name).unwrap()
    }

    async fn fill(storage: &dyn Storage) {
        for name in ["a/1", "a/2", "gone"] {
            let body = stream_of(Bytes::copy_from_slice(name.as_bytes()));
            storage.put(&key(name), body).await.unwrap();
        }
        let large = stream_of(Bytes::from(vec![7; 3_000_000]));
        storage.put(&key("a/2"), large).await.unwrap();
        storage.delete(&key("gone")).await.unwrap();
    }

    async fn assert_filled(storage: &dyn Storage) {
        let mut names: Vec<_> = storage
            .list("")
            .map_ok(|stat| stat.key.to_string())
            .try_collect()
            .await
            .unwrap();
        names.sort();
        assert_eq!(names, ["a/1", "a/2"]);
        let read = async |name| {
            let blob = storage.get(&key(name), None).await.unwrap();
            blob.bytes().await.unwrap()
        };
        assert_eq!(read("a/1").await, "a/1");
        assert!(read("a/2").await == vec![7; 3_000_000]);
    }

    /// Blobs, replacements and deletions last.
    pub async fn blobs_are_there_after_a_restart(open: impl AsyncFn(&Path) -> Arc<dyn Storage>) {
        let dir = tempfile::tempdir().unwrap();
        fill(&*open(dir.path()).await).await;
        let again = open(dir.path()).await;
        assert_filled(&*again).await;
        again.ping().await.unwrap();
    }

    /// What `put` and `delete` have acknowledged needs no orderly end.
    pub async fn blobs_are_there_after_a_crash(open: impl AsyncFn(&Path) -> Arc<dyn Storage>) {
        let dir = tempfile::tempdir().unwrap();
        let storage = open(dir.path()).await;
        fill(&*storage).await;
        let copy = crashed_copy(dir.path());
        assert_filled(&*open(copy.path()).await).await;
    }

    /// A half-written blob is neither found nor listed after a crash, and its key can be written.
    pub async fn a_write_that_a_crash_cut_off_leaves_nothing(open: impl AsyncFn(&Path) -> Arc<dyn Storage>) {
        let dir = tempfile::tempdir().unwrap();
        let storage = open(dir.path()).await;
        fill(&*storage).await;
        let (written, mut all_written) = tokio::sync::mpsc::unbounded_channel();
        let pieces = (0..40).map(|_| Ok(Bytes::from(vec![1; 50_000])));
        let stream = futures::stream::iter(pieces)
            .chain(futures::stream::once(async move {
                written.send(()).unwrap();
                std::future::pending().await
            }))
            .boxed();
        let writer = tokio::spawn(async move { storage.put(&key("a/new"), stream).await });
        all_written.recv().await.unwrap();
        let copy = crashed_copy(dir.path());
        writer.abort();
        assert!(writer.await.unwrap_err().is_cancelled());
        let again = open(copy.path()).await;
        assert_filled(&*again).await;
        again
            .put(&key("a/new"), stream_of(Bytes::from_static(b"x")))
            .await
            .unwrap();
    }
}

/// Of [`lucida_core::MetadataStore`].
pub mod metadata {
    use std::path::Path;
    use std::sync::Arc;

    use jiff::Timestamp;
    use lucida_core::{
        ErrorKind, EventKind, Inserted, MetadataStore, Order, OutboxEvent, Photo, PhotoFilter, PhotoQuery,
        PhotoState,
    };
    use serde_json::json;

    use super::crashed_copy;
    use crate::{photo, user};

    /// Makes the tests of a metadata store that outlives its process, from an async function that opens a folder.
    #[macro_export]
    macro_rules! metadata_durability {
        ($open:ident) => {
            mod metadata_durability {
                $crate::durability_tests! { metadata, $open,
                    records_are_there_after_a_restart
                    records_are_there_after_a_crash
                }
            }
        };
    }

    fn event(kind: EventKind, photo: &Photo) -> OutboxEvent {
        OutboxEvent::new("hook", kind, photo, photo.created_at).unwrap()
    }

    async fn fill(store: &dyn MetadataStore) -> Vec<Photo> {
        let mut left = Vec::new();
        for number in 0..30 {
            let inserted = store.insert(&photo(&user("alice"))).await.unwrap();
            let Inserted::New(mut photo) = inserted else {
                panic!("photo {number} is there already")
            };
            if number % 2 == 0 {
                photo.state = PhotoState::Ready;
                photo.tags.insert("even".to_owned());
                let event = event(EventKind::Ready, &photo);
                photo = store.update_with(&photo, &[event]).await.unwrap();
            }
            if number % 5 == 0 {
                let event = event(EventKind::Deleted, &photo);
                store.delete_with(&photo.id, &[event]).await.unwrap();
            } else {
                left.push(photo);
            }
        }
        store.put_record("a", &json!(1), None).await.unwrap();
        store.put_record("a", &json!({"two": 2}), Some(1)).await.unwrap();
        store.put_record("gone", &json!(1), None).await.unwrap();
        store.delete_record("gone").await.unwrap();
        left
    }

    async fn assert_filled(store: &dyn MetadataStore, left: &[Photo]) {
        let query = PhotoQuery {
            filter: PhotoFilter::default(),
            order: Order::OldestFirst,
            after: None,
            limit: 100,
        };
        assert_eq!(store.list(&query).await.unwrap(), left);
        let counts = store.count_by_state(None).await.unwrap();
        assert_eq!((counts.ready, counts.pending), (12, 12));
        // Of the six deleted ones three were made ready before, and that is still their first event.
        let counts = store.count_events("hook").await.unwrap();
        assert_eq!((counts.pending, counts.dead), (15 + 6, 0));
        let due = store.due_events("hook", Timestamp::MAX, 100).await.unwrap();
        let deleted = due
            .iter()
            .filter(|event| event.kind == EventKind::Deleted)
            .count();
        assert_eq!((due.len(), deleted), (15 + 3, 3));
        let mut again = photo(&user("alice"));
        again.hash = left[3].hash;
        let inserted = store.insert(&again).await.unwrap();
        assert_eq!(inserted, Inserted::Existing(left[3].clone()));
        let mut stale = left[1].clone();
        stale.version -= 1;
        let error = store.update(&stale).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Conflict);
        let record = store.record("a").await.unwrap().unwrap();
        assert_eq!((record.version, record.value), (2, json!({"two": 2})));
        assert_eq!(store.record("gone").await.unwrap(), None);
    }

    /// Insertions, updates, deletions and named records last.
    pub async fn records_are_there_after_a_restart(open: impl AsyncFn(&Path) -> Arc<dyn MetadataStore>) {
        let dir = tempfile::tempdir().unwrap();
        let left = fill(&*open(dir.path()).await).await;
        let again = open(dir.path()).await;
        assert_filled(&*again, &left).await;
        again.ping().await.unwrap();
    }

    /// What was acknowledged needs no orderly end.
    pub async fn records_are_there_after_a_crash(open: impl AsyncFn(&Path) -> Arc<dyn MetadataStore>) {
        let dir = tempfile::tempdir().unwrap();
        let store = open(dir.path()).await;
        let left = fill(&*store).await;
        let copy = crashed_copy(dir.path());
        assert_filled(&*open(copy.path()).await, &left).await;
    }
}

/// Of [`lucida_core::VectorIndex`].
pub mod index {
    use std::path::Path;
    use std::sync::Arc;

    use jiff::Timestamp;
    use lucida_core::{IndexFilter, PhotoId, Point, VectorIndex};

    use super::crashed_copy;
    use crate::{collection, point, unit_vector, user};

    /// Makes the tests of an index that outlives its process, from an async function that opens a folder.
    #[macro_export]
    macro_rules! index_durability {
        ($open:ident) => {
            mod index_durability {
                $crate::durability_tests! { index, $open,
                    points_and_alias_are_there_after_a_restart
                    points_and_alias_are_there_after_a_crash
                }
            }
        };
    }

    const DIMENSIONS: usize = 8;

    async fn fill(index: &dyn VectorIndex) -> Vec<Point> {
        let main = collection(index, "main");
        for label in ["main", "other", "gone"] {
            let name = collection(index, label);
            index.ensure(&name, DIMENSIONS).await.unwrap();
        }
        let mut points: Vec<_> = (0..300)
            .map(|seed| {
                let vector = unit_vector(DIMENSIONS, seed);
                point(PhotoId::generate(), &user("alice"), vector)
            })
            .collect();
        for batch in points.chunks(100) {
            index.upsert(&main, batch).await.unwrap();
        }
        // The last write of each kind is a small one, which a buffer would hold back longest.
        let gone = points.remove(7).photo_id;
        index.delete(&main, &[gone]).await.unwrap();
        points[8].vector = unit_vector(DIMENSIONS, 1_008);
        points[8].tags.insert("replaced".to_owned());
        points[8].taken_at = Some(Timestamp::from_millisecond(1_720_000_000_123).unwrap());
        points[8].taken_at_local = Some("2024-07-03T23:46:40.123".parse().unwrap());
        index.upsert(&main, &points[8..9]).await.unwrap();
        index.set_alias(&collection(index, "other")).await.unwrap();
        index.set_alias(&main).await.unwrap();
        index.drop_collection(&collection(index, "gone")).await.unwrap();
        points
    }

    async fn assert_filled(index: &dyn VectorIndex, points: &[Point]) {
        let main = collection(index, "main");
        let mut names = vec![main.clone(), collection(index, "other")];
        names.sort();
        assert_eq!(index.collections().await.unwrap(), names);
        assert_eq!(index.alias().await.unwrap().as_ref(), Some(&main));
        assert_eq!(index.count(&main).await.unwrap(), points.len() as u64);
        let ids: Vec<_> = points.iter().map(|point| point.photo_id).collect();
        assert_eq!(index.ids(&main, None, 1_000).await.unwrap(), ids);
        for point in points.iter().step_by(4) {
            let hits = index
                .search(&main, &point.vector, &IndexFilter::default(), 1)
                .await
                .unwrap();
            assert_eq!(hits[0].photo_id, point.photo_id);
            assert!(hits[0].score > 0.999, "{hits:?}");
        }
        let filter = IndexFilter {
            user_id: Some(user("alice")),
            tags: vec!["replaced".to_owned()],
            taken_from: Some(Timestamp::from_millisecond(1_720_000_000_123).unwrap()),
            taken_to: Some(Timestamp::from_millisecond(1_720_000_000_124).unwrap()),
            local_from: Some("2024-07-03T23:46:40.123".parse().unwrap()),
            local_to: Some("2024-07-03T23:46:40.124".parse().unwrap()),
            exclude: vec![],
        };
        let hits = index.search(&main, &points[8].vector, &filter, 10).await.unwrap();
        assert_eq!(hits.len(), 1);
        assert_eq!(hits[0].photo_id, points[8].photo_id);
        // It goes on from here.
        index.ensure(&main, DIMENSIONS).await.unwrap();
        index.delete(&main, &ids[..1]).await.unwrap();
        assert_eq!(index.count(&main).await.unwrap(), points.len() as u64 - 1);
    }

    /// Points with their payload, deletions, collections and the alias last.
    pub async fn points_and_alias_are_there_after_a_restart(
        open: impl AsyncFn(&Path) -> Arc<dyn VectorIndex>,
    ) {
        let dir = tempfile::tempdir().unwrap();
        let points = fill(&*open(dir.path()).await).await;
        let again = open(dir.path()).await;
        assert_filled(&*again, &points).await;
        again.ping().await.unwrap();
    }

    /// What was acknowledged needs no orderly end.
    pub async fn points_and_alias_are_there_after_a_crash(open: impl AsyncFn(&Path) -> Arc<dyn VectorIndex>) {
        let dir = tempfile::tempdir().unwrap();
        let index = open(dir.path()).await;
        let points = fill(&*index).await;
        let copy = crashed_copy(dir.path());
        assert_filled(&*open(copy.path()).await, &points).await;
    }
}

/// Of [`lucida_core::JobQueue`].
pub mod queue {
    use std::collections::BTreeSet;
    use std::path::Path;
    use std::sync::Arc;
    use std::time::Duration;

    use lucida_core::{DeadLetter, JobQueue, PhotoId};

    use super::crashed_copy;
    use crate::queue::{assert_counts, assert_nothing_comes, job, publish, receive};

    /// Makes the tests of a queue that outlives its process, from an async function that opens a folder.
    #[macro_export]
    macro_rules! queue_durability {
        ($open:ident) => {
            mod queue_durability {
                $crate::durability_tests! { queue, $open,
                    jobs_are_there_after_a_restart
                    jobs_are_there_after_a_crash
                }
            }
        };
    }

    struct Filled {
        /// Published and never handed out.
        ready: BTreeSet<PhotoId>,
        /// Handed out once and not settled.
        in_flight: BTreeSet<PhotoId>,
        dead: Vec<DeadLetter>,
    }

    async fn fill(queue: &dyn JobQueue) -> Filled {
        let mut published: BTreeSet<_> = BTreeSet::new();
        for _ in 0..20 {
            let job = job();
            publish(queue, &job).await;
            published.insert(job.photo_id);
        }
        let an_hour = Duration::from_secs(3_600);
        queue.publish(&job(), an_hour).await.unwrap();
        let mut in_flight = BTreeSet::new();
        let mut dead = Vec::new();
        for number in 0..12 {
            let delivery = receive(queue).await;
            published.remove(&delivery.job.photo_id);
            match number {
                0..5 => {
                    in_flight.insert(delivery.job.photo_id);
                }
                5..8 => queue.ack(&delivery).await.unwrap(),
                8..10 => queue.retry(&delivery, an_hour).await.unwrap(),
                _ => {
                    let reason = format!("reason {number}");
                    queue.dead_letter(&delivery, &reason).await.unwrap();
                    dead.push(DeadLetter {
                        job: delivery.job,
                        reason,
                    });
                }
            }
        }
        assert_counts(queue, [8, 3, 5, 2]).await;
        Filled {
            ready: published,
            in_flight,
            dead,
        }
    }

    async fn assert_filled(queue: &dyn JobQueue, filled: &Filled) {
        assert_eq!(queue.dead_letters(10).await.unwrap(), filled.dead);
        let mut first = BTreeSet::new();
        let mut again = BTreeSet::new();
        for _ in 0..13 {
            let delivery = receive(queue).await;
            if delivery.redeliveries == 0 {
                first.insert(delivery.job.photo_id);
            } else {
                again.insert(delivery.job.photo_id);
            }
            queue.ack(&delivery).await.unwrap();
        }
        assert_eq!(first, filled.ready);
        assert_eq!(again, filled.in_flight);
        assert_nothing_comes(queue).await;
        assert_counts(queue, [0, 3, 0, 2]).await;
    }

    /// Jobs, delays and dead letters last, and what was in flight is handed out again, as a redelivery.
    pub async fn jobs_are_there_after_a_restart(open: impl AsyncFn(&Path) -> Arc<dyn JobQueue>) {
        let dir = tempfile::tempdir().unwrap();
        let filled = fill(&*open(dir.path()).await).await;
        let again = open(dir.path()).await;
        assert_filled(&*again, &filled).await;
        again.ping().await.unwrap();
    }

    /// What was acknowledged needs no orderly end.
    pub async fn jobs_are_there_after_a_crash(open: impl AsyncFn(&Path) -> Arc<dyn JobQueue>) {
        let dir = tempfile::tempdir().unwrap();
        let queue = open(dir.path()).await;
        let filled = fill(&*queue).await;
        let copy = crashed_copy(dir.path());
        assert_filled(&*open(copy.path()).await, &filled).await;
    }
}
