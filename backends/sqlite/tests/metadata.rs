//! What the metadata store in SQLite promises beyond the contract: files it refuses, several processes on one, and lists
//! that are right whichever index they walk.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::Path;

use futures::future::{join_all, try_join_all};
use jiff::civil::DateTime;
use jiff::tz::Offset;
use jiff::{SignedDuration, Timestamp};
use lucida_core::config::parse;
use lucida_core::{
    Error, ErrorKind, Inserted, MetadataStore, Order, Outbox, OutboxCounts, Photo, PhotoFilter, PhotoId,
    PhotoQuery, PhotoState,
};
use lucida_sqlite::{SqliteConfig, SqliteMetadata};
use lucida_testkit::{counts_as_a_plain_filter, lists_as_a_plain_filter, photo, user};
use rand::prelude::*;
use rand::rngs::StdRng;
use rusqlite::Connection;

async fn open(path: &Path) -> lucida_core::Result<SqliteMetadata> {
    SqliteMetadata::open(SqliteConfig {
        path: path.to_owned(),
    })
    .await
}

async fn refused(path: &Path) -> Error {
    let error = open(path).await.err().expect("the file is refused");
    assert_eq!(error.field(), Some("path"), "{error}");
    error
}

#[tokio::test]
async fn a_missing_folder_is_made() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder.path().join("a/b/metadata.db")).await.unwrap();
    store.ping().await.unwrap();
}

/// Four more photos, all taken at one moment: plugin `exif` found the local time of two, that of another day, and none.
const OLD_LOCAL_TIMES: &str = r#"
    INSERT INTO photos (id, user_id, state, filename, content_type, size_bytes, width, height, hash, created_at,
        updated_at, taken_at, tags, attributes, fingerprint, attempts, error, next_attempt_at, blob, derived, version)
    SELECT unhex(substr(hex(id), 1, 31) || number), user_id, state, filename, content_type, size_bytes, width, height,
        unhex(substr(hex(hash), 1, 63) || number), created_at, updated_at, 1759290300000000, tags, attributes_then,
        fingerprint, attempts, error, next_attempt_at, 'originals/0' || number || '/0199b7c2-0000-7000-8000-00000000000'
        || number, derived, version
    FROM photos, (
        SELECT '3' AS number, '{"exif":{"taken_at_local":"2025-09-30T23:45:00"}}' AS attributes_then
        UNION ALL SELECT '4', '{"exif":{"taken_at_local":"2025-09-30T23:45:00.7"}}'
        UNION ALL SELECT '5', '{"exif":{"taken_at_local":"2019-01-01T12:00:00"}}'
        UNION ALL SELECT '6', '{"exif":{"make":"x"}}'
    ) WHERE id = x'0199b7c2000070008000000000000002';
"#;

#[tokio::test]
async fn a_database_of_the_first_release_opens_with_all_that_is_in_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("metadata.db");
    let old = Connection::open(&path).unwrap();
    old.execute_batch(include_str!("released/metadata-1.sql"))
        .unwrap();
    old.execute_batch(OLD_LOCAL_TIMES).unwrap();
    drop(old);
    for _ in 0..2 {
        let store = open(&path).await.unwrap();
        let id: PhotoId = "0199b7c2-0000-7000-8000-000000000001".parse().unwrap();
        let photo = store.get(&id).await.unwrap().unwrap();
        assert_eq!(
            (photo.state, photo.version, photo.size_bytes),
            (PhotoState::Ready, 3, 300_000)
        );
        assert_eq!(photo.filename.as_deref(), Some("sea.jpg"));
        let tagged = PhotoQuery {
            filter: PhotoFilter {
                tags: vec!["sea".to_owned()],
                ..PhotoFilter::default()
            },
            order: Order::default(),
            after: None,
            limit: 10,
        };
        assert_eq!(store.list(&tagged).await.unwrap(), [photo]);
        let local_times = ["3", "4", "5", "6"].map(async |last| {
            let id: PhotoId = format!("0199b7c2-0000-7000-8000-00000000000{last}")
                .parse()
                .unwrap();
            let photo = store.get(&id).await.unwrap().unwrap();
            assert_eq!(photo.taken_at_local, photo.camera_time());
            (photo.taken_at_local, photo.local_time().unwrap())
        });
        let local = |text: &str| text.parse::<DateTime>().unwrap();
        assert_eq!(
            join_all(local_times).await,
            [
                (Some(local("2025-09-30T23:45:00")), local("2025-09-30T23:45:00")),
                (
                    Some(local("2025-09-30T23:45:00.7")),
                    local("2025-09-30T23:45:00.7")
                ),
                (None, local("2025-10-01T03:45:00")),
                (None, local("2025-10-01T03:45:00")),
            ]
        );
        let on_30_september = PhotoFilter {
            user_id: Some(user("alice")),
            local_from: Some(local("2025-09-30T00:00:00")),
            local_to: Some(local("2025-10-01T00:00:00")),
            ..PhotoFilter::default()
        };
        let query = PhotoQuery {
            filter: on_30_september,
            limit: 10,
            ..PhotoQuery::default()
        };
        assert_eq!(store.list(&query).await.unwrap().len(), 2);
        let counts = store.count_by_state(Some(&user("alice"))).await.unwrap();
        assert_eq!((counts.ready, counts.pending), (1, 5));
        assert_eq!(store.record("model").await.unwrap().unwrap().version, 4);
        let events = store.count_events("webhook").await.unwrap();
        assert_eq!(events, OutboxCounts::default());
        store.ping().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_of_the_first_release_is_opened_by_several_processes_at_once() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["old.db", "new.db"] {
        let path = folder.path().join(name);
        if name == "old.db" {
            let old = Connection::open(&path).unwrap();
            old.execute_batch(include_str!("released/metadata-1.sql"))
                .unwrap();
        }
        let stores = try_join_all((0..8).map(|_| open(&path))).await.unwrap();
        for store in &stores {
            store.ping().await.unwrap();
        }
    }
}

#[tokio::test]
async fn a_newer_schema_is_refused_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("metadata.db");
    drop(open(&path).await.unwrap());
    let other = Connection::open(&path).unwrap();
    other.pragma_update(None, "user_version", 1_000).unwrap();
    let error = refused(&path).await;
    assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
    let version: i32 = other
        .pragma_query_value(None, "user_version", |row| row.get(0))
        .unwrap();
    assert_eq!(version, 1_000);
}

#[tokio::test]
async fn another_programs_database_is_refused_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("metadata.db");
    let other = Connection::open(&path).unwrap();
    other.execute_batch("CREATE TABLE theirs (x)").unwrap();
    let error = refused(&path).await;
    assert_eq!(error.kind(), ErrorKind::ConfigInvalid, "{error}");
    let tables: i32 = other
        .query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))
        .unwrap();
    assert_eq!(tables, 1);
}

#[tokio::test]
async fn what_is_no_database_is_refused_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("notes.txt");
    let notes = "not a database, and long enough to have a header, were it one".repeat(100);
    fs::write(&path, &notes).unwrap();
    let error = refused(&path).await;
    assert_eq!(error.kind(), ErrorKind::ConfigInvalid, "{error}");
    assert!(error.to_string().contains("metadata.sqlite.path"), "{error}");
    assert_eq!(fs::read_to_string(&path).unwrap(), notes);
    let error = refused(folder.path()).await;
    assert_eq!(error.kind(), ErrorKind::PermissionDenied, "{error}");
}

#[test]
fn a_path_without_a_file_name_is_refused_without_touching_the_disk() {
    for path in ["", "/", "data/.."] {
        let error = parse::<SqliteConfig>(&serde_json::json!({ "path": path })).unwrap_err();
        assert_eq!(
            (error.kind(), error.field()),
            (ErrorKind::ConfigInvalid, Some("path"))
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn processes_on_one_file_see_each_others_writes_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("metadata.db");
    // Opened at the same time, so that they also meet while the file is made.
    let stores = try_join_all((0..3).map(|_| open(&path))).await.unwrap();
    let alice = user("alice");
    let written = join_all(stores.iter().map(|store| async {
        let mut written = Vec::new();
        for _ in 0..30 {
            let photo = photo(&alice);
            store.insert(&photo).await.unwrap();
            for other in &stores {
                assert!(other.get(&photo.id).await.unwrap().is_some());
            }
            written.push(photo.id);
        }
        written
    }))
    .await;
    for store in &stores {
        let ids: Vec<PhotoId> = written.concat();
        assert_eq!(store.get_many(&ids).await.unwrap().len(), 90);
        assert_eq!(store.count_by_state(None).await.unwrap().pending, 90);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_that_fails_does_not_disturb_those_committed_with_it() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder.path().join("metadata.db")).await.unwrap();
    let alice = user("alice");
    let photos: Vec<Photo> = (0..100).map(|_| photo(&alice)).collect();
    try_join_all(photos.iter().map(|photo| store.insert(photo)))
        .await
        .unwrap();
    let outcomes = join_all(photos.iter().enumerate().map(|(at, photo)| {
        let mut photo = photo.clone();
        photo.version = if at % 2 == 0 { 1 } else { 7 };
        photo.tags = ["seen".to_owned()].into();
        let store = &store;
        async move { store.update(&photo).await }
    }))
    .await;
    for (at, outcome) in outcomes.iter().enumerate() {
        let kind = outcome.as_ref().err().map(Error::kind);
        assert_eq!(kind, (at % 2 == 1).then_some(ErrorKind::Conflict), "photo {at}");
    }
    let seen = PhotoQuery {
        filter: PhotoFilter {
            user_id: Some(alice),
            tags: vec!["seen".to_owned()],
            ..PhotoFilter::default()
        },
        limit: 1_000,
        ..PhotoQuery::default()
    };
    assert_eq!(store.list(&seen).await.unwrap().len(), 50);
}

/// A library big enough that a common tag and a long time are more than "few", and a rare tag and a short
/// time are not.
const PHOTOS: usize = 4_500;

fn random_photo(random: &mut StdRng, users: &[lucida_core::UserId]) -> Photo {
    let mut photo = photo(
        users
            .choose_weighted(random, |user| usize::from(user.as_str() == "alice") * 20 + 1)
            .unwrap(),
    );
    change(random, &mut photo);
    photo
}

fn change(random: &mut StdRng, photo: &mut Photo) {
    let weight = |state: &PhotoState| if *state == PhotoState::Ready { 30 } else { 1 };
    photo.state = *PhotoState::ALL.choose_weighted(random, weight).unwrap();
    photo.taken_at = random
        .random_bool(0.8)
        .then(|| day(random.random_range(0..3_000)));
    photo.taken_at_local = photo
        .taken_at
        .filter(|_| random.random_bool(0.5))
        .map(|taken| Offset::constant(random.random_range(-12..=14)).to_datetime(taken));
    photo.updated_at = day(random.random_range(0..3_000));
    photo.tags = [("common", 0.9), ("frequent", 0.6), ("rare", 0.01)]
        .into_iter()
        .filter(|(_, share)| random.random_bool(*share))
        .map(|(tag, _)| tag.to_owned())
        .collect();
}

fn day(number: i64) -> Timestamp {
    Timestamp::UNIX_EPOCH + SignedDuration::from_hours(24 * number)
}

fn local_day(number: i64) -> DateTime {
    Offset::UTC.to_datetime(day(number))
}

fn random_filter(random: &mut StdRng, users: &[lucida_core::UserId]) -> PhotoFilter {
    let start = random.random_range(0..3_000);
    let length = *[1, 20, 2_500].choose(random).unwrap();
    let states = PhotoState::ALL.into_iter();
    PhotoFilter {
        user_id: random
            .random_bool(0.8)
            .then(|| users.choose(random).unwrap().clone()),
        states: if random.random_bool(0.5) {
            states.filter(|_| random.random_bool(0.4)).collect()
        } else {
            vec![]
        },
        taken_from: random.random_bool(0.4).then(|| day(start)),
        taken_to: random.random_bool(0.4).then(|| day(start + length)),
        local_from: random.random_bool(0.3).then(|| local_day(start)),
        local_to: random.random_bool(0.3).then(|| local_day(start + length)),
        tags: ["common", "frequent", "rare"]
            .into_iter()
            .filter(|_| random.random_bool(0.25))
            .map(str::to_owned)
            .collect(),
        updated_before: random
            .random_bool(0.2)
            .then(|| day(random.random_range(0..3_000))),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn random_lists_and_counts_are_those_of_a_plain_filter() {
    let seed = rand::random();
    println!("seed {seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder.path().join("metadata.db")).await.unwrap();
    let users = [user("alice"), user("bob"), user("nobody-yet")];
    let photos: Vec<Photo> = (0..PHOTOS)
        .map(|_| random_photo(&mut random, &users[..2]))
        .collect();
    let inserted = try_join_all(photos.iter().map(|photo| store.insert(photo)))
        .await
        .unwrap();
    let mut photos: Vec<Photo> = inserted
        .into_iter()
        .map(|inserted| match inserted {
            Inserted::New(photo) => photo,
            Inserted::Existing(photo) => panic!("{} is there already", photo.id),
        })
        .collect();
    for photo in &mut photos[1_000..1_500] {
        change(&mut random, photo);
    }
    let changed = try_join_all(photos[1_000..1_500].iter().map(|photo| store.update(photo))).await;
    photos.splice(1_000..1_500, changed.unwrap());
    let deleted: Vec<PhotoId> = photos.drain(2_000..2_200).map(|photo| photo.id).collect();
    try_join_all(deleted.iter().map(|id| store.delete(id)))
        .await
        .unwrap();
    photos.sort_by_key(|photo| photo.id);

    for _ in 0..300 {
        let filter = random_filter(&mut random, &users);
        let order = *[Order::NewestFirst, Order::OldestFirst]
            .choose(&mut random)
            .unwrap();
        let limit = random.random_range(1..200);
        lists_as_a_plain_filter(&store, &photos, &filter, order, limit).await;
    }
    counts_as_a_plain_filter(&store, &photos, &users).await;
}
