//! What several processes on one MongoDB can rely on, and which databases the metadata store refuses.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures::future::{join_all, try_join_all};
use jiff::civil::DateTime;
use jiff::tz::Offset;
use jiff::{SignedDuration, Timestamp};
use lucida_core::{
    ContentHash, Error, ErrorKind, Inserted, MetadataStore, Order, Photo, PhotoFilter, PhotoId, PhotoQuery,
    PhotoState, UserId,
};
use lucida_mongodb::MongodbMetadata;
use lucida_testkit::{counts_as_a_plain_filter, lists_as_a_plain_filter, photo, user};
use mongodb::bson::{Document, doc};
use mongodb::{Client, Collection};
use rand::prelude::*;
use rand::rngs::StdRng;
use serde_json::json;
use support::{Scratch, config, server};

/// How often two clients race for the same thing.
const ROUNDS: u32 = 100;

async fn open(scratch: &Scratch) -> lucida_core::Result<MongodbMetadata> {
    MongodbMetadata::open(config(&scratch.uri, &scratch.database)).await
}

/// Opens the metadata store as several processes would: each with a client of its own, at the same time.
async fn opened(scratch: &Scratch, processes: usize) -> Vec<Arc<MongodbMetadata>> {
    let opening = (0..processes).map(|_| async { open(scratch).await.map(Arc::new) });
    try_join_all(opening).await.unwrap()
}

async fn collection(scratch: &Scratch, name: &str) -> Collection<Document> {
    let client = Client::with_uri_str(&scratch.uri).await.unwrap();
    client.database(&scratch.database).collection(name)
}

async fn refused(scratch: &Scratch) -> Error {
    let error = open(scratch).await.err().expect("it is refused");
    assert_eq!(error.field(), Some("database"), "{error}");
    error
}

#[tokio::test(flavor = "multi_thread")]
async fn processes_that_open_a_new_store_at_once_make_it_once() {
    let Some(uri) = server() else { return };
    for _ in 0..5 {
        let scratch = Scratch::new(&uri);
        let stores = opened(&scratch, 6).await;
        try_join_all(stores.iter().map(|store| store.ping()))
            .await
            .unwrap();
        let layouts = collection(&scratch, "layout").await;
        assert_eq!(layouts.count_documents(doc! {}).await.unwrap(), 1);
        let mut indexes = collection(&scratch, "photos")
            .await
            .list_index_names()
            .await
            .unwrap();
        indexes.sort();
        assert_eq!(
            indexes,
            [
                "_id_",
                "content",
                "state",
                "user_local",
                "user_state",
                "user_tag",
                "user_taken"
            ]
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_processes_that_insert_the_same_content_exactly_one_is_first() {
    let Some(uri) = server() else { return };
    let scratch = Scratch::new(&uri);
    let stores = opened(&scratch, 2).await;
    for round in 0..ROUNDS {
        let tries = stores.iter().map(|store| {
            let store = Arc::clone(store);
            let mut mine = photo(&user("alice"));
            mine.hash = ContentHash::of(&round.to_le_bytes());
            tokio::spawn(async move { store.insert(&mine).await })
        });
        let mut new = Vec::new();
        let mut existing = Vec::new();
        for inserted in join_all(tries).await {
            match inserted.unwrap().unwrap() {
                Inserted::New(photo) => new.push(photo),
                Inserted::Existing(photo) => existing.push(photo),
            }
        }
        assert_eq!((new.len(), existing.len()), (1, 1), "round {round}");
        assert_eq!(new, existing, "round {round}");
    }
    assert_eq!(
        stores[0].count_by_state(None).await.unwrap().pending,
        u64::from(ROUNDS)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_processes_that_change_one_version_exactly_one_wins() {
    let Some(uri) = server() else { return };
    let scratch = Scratch::new(&uri);
    let stores = opened(&scratch, 2).await;
    let mut current = photo(&user("alice"));
    stores[0].insert(&current).await.unwrap();
    let mut lease = None;
    for round in 0..ROUNDS {
        let tries = stores.iter().enumerate().map(|(process, store)| {
            let store = Arc::clone(store);
            let mut mine = current.clone();
            mine.filename = Some(format!("{process}.jpg"));
            tokio::spawn(async move {
                (
                    store.update(&mine).await,
                    store.put_record("lease", &process.into(), lease).await,
                )
            })
        });
        let (updates, records): (Vec<_>, Vec<_>) =
            join_all(tries).await.into_iter().map(Result::unwrap).unzip();
        let lost = updates.iter().filter_map(|update| update.as_ref().err());
        let lost = lost.chain(records.iter().filter_map(|record| record.as_ref().err()));
        let kinds: Vec<_> = lost.map(Error::kind).collect();
        assert_eq!(kinds, [ErrorKind::Conflict; 2], "round {round}");
        current = updates.into_iter().find_map(Result::ok).unwrap();
        lease = records.into_iter().find_map(Result::ok);
        assert_eq!(
            (current.version, lease),
            (u64::from(round) + 2, Some(u64::from(round) + 1))
        );
        assert_eq!(stores[1].get(&current.id).await.unwrap().as_ref(), Some(&current));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn processes_see_each_others_writes_at_once() {
    let Some(uri) = server() else { return };
    let scratch = Scratch::new(&uri);
    let stores = opened(&scratch, 3).await;
    let alice = user("alice");
    join_all(stores.iter().map(|store| async {
        for _ in 0..10 {
            let photo = photo(&alice);
            store.insert(&photo).await.unwrap();
            for other in &stores {
                assert!(other.get(&photo.id).await.unwrap().is_some());
                let found = other.find_by_hash(&alice, &photo.hash).await.unwrap();
                assert_eq!(found.map(|found| found.id), Some(photo.id));
            }
        }
    }))
    .await;
    for store in &stores {
        assert_eq!(store.count_by_state(None).await.unwrap().pending, 30);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_is_stable_while_another_process_adds_and_deletes() {
    let Some(uri) = server() else { return };
    let scratch = Scratch::new(&uri);
    let stores = opened(&scratch, 2).await;
    let alice = user("alice");
    let photos: Vec<Photo> = (0..120).map(|_| photo(&alice)).collect();
    for photo in &photos {
        stores[0].insert(photo).await.unwrap();
    }
    let (stay, go): (Vec<_>, Vec<_>) = photos.iter().enumerate().partition(|(number, _)| number % 2 == 0);
    let stay: HashSet<PhotoId> = stay.into_iter().map(|(_, photo)| photo.id).collect();
    let go: Vec<PhotoId> = go.into_iter().map(|(_, photo)| photo.id).collect();
    let read = AtomicBool::new(false);
    let changing = async {
        let mut changes = 0;
        for id in go {
            if read.load(Ordering::SeqCst) {
                break;
            }
            stores[1].delete(&id).await.unwrap();
            stores[1].insert(&photo(&alice)).await.unwrap();
            changes += 1;
        }
        changes
    };
    let reading = async {
        for order in [Order::NewestFirst, Order::OldestFirst] {
            let mut query = PhotoQuery {
                filter: PhotoFilter {
                    user_id: Some(alice.clone()),
                    ..PhotoFilter::default()
                },
                order,
                after: None,
                limit: 5,
            };
            let mut seen = Vec::new();
            loop {
                let page = stores[0].list(&query).await.unwrap();
                let Some(last) = page.last() else { break };
                query.after = Some(last.id);
                seen.extend(page.into_iter().map(|photo| photo.id));
            }
            let distinct: HashSet<PhotoId> = seen.iter().copied().collect();
            assert_eq!(distinct.len(), seen.len(), "{order:?}: a photo came twice");
            assert!(stay.is_subset(&distinct), "{order:?}: a photo was hidden");
        }
        read.store(true, Ordering::SeqCst);
    };
    let (changes, ()) = tokio::join!(changing, reading);
    assert!(changes > 5, "only {changes} changes while the list was read");
}

#[tokio::test(flavor = "multi_thread")]
async fn photos_of_an_earlier_version_are_found_on_their_local_day() {
    let Some(uri) = server() else { return };
    let scratch = Scratch::new(&uri);
    let store = open(&scratch).await.unwrap();
    let alice = user("alice");
    let mut written = Vec::new();
    for exif in [
        json!({"taken_at_local": "2025-09-30T23:45:00"}),
        json!({"taken_at_local": "2019-01-01T12:00:00"}),
        json!({"make": "x"}),
    ] {
        let mut photo = photo(&alice);
        photo.taken_at = Some("2025-10-01T03:45:00Z".parse().unwrap());
        photo.attributes = [("exif".to_owned(), exif)].into();
        store.insert(&photo).await.unwrap();
        written.push(photo);
    }
    // As the earlier version wrote it.
    let unset = doc! { "$unset": { "taken_at_local": "", "has_local_times": "" } };
    for name in ["photos", "layout"] {
        let documents = collection(&scratch, name).await;
        documents.update_many(doc! {}, unset.clone()).await.unwrap();
    }
    let on = async |store: &MongodbMetadata, day: &str| {
        let start: DateTime = day.parse().unwrap();
        let filter = PhotoFilter {
            user_id: Some(alice.clone()),
            local_from: Some(start),
            local_to: Some(start + SignedDuration::from_hours(24)),
            ..PhotoFilter::default()
        };
        let query = PhotoQuery {
            filter,
            order: Order::OldestFirst,
            limit: 10,
            ..PhotoQuery::default()
        };
        let found = store.list(&query).await.unwrap();
        found.into_iter().map(|photo| photo.id).collect::<Vec<_>>()
    };
    // A process of this version that meets documents of the earlier one goes by UTC.
    assert_eq!(on(&store, "2025-10-01").await.len(), 3);
    for _ in 0..2 {
        let store = open(&scratch).await.unwrap();
        assert_eq!(on(&store, "2025-09-30").await, [written[0].id]);
        assert_eq!(on(&store, "2025-10-01").await, [written[1].id, written[2].id]);
        let first = store.get(&written[0].id).await.unwrap().unwrap();
        assert_eq!(first.taken_at_local, Some("2025-09-30T23:45:00".parse().unwrap()));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_newer_layout_is_refused_and_left_alone() {
    let Some(uri) = server() else { return };
    let scratch = Scratch::new(&uri);
    let store = open(&scratch).await.unwrap();
    let layouts = collection(&scratch, "layout").await;
    let newer = doc! { "$set": { "layout": 1_000_i64 } };
    layouts.update_one(doc! { "_id": "ledger" }, newer).await.unwrap();
    let error = refused(&scratch).await;
    assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
    assert!(error.to_string().contains("1000"), "{error}");
    // A process that runs already stops being ready.
    let error = store.ping().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    let layout = layouts.find_one(doc! {}).await.unwrap().unwrap();
    assert_eq!(layout.get_i64("layout").unwrap(), 1_000);
}

#[tokio::test(flavor = "multi_thread")]
async fn another_programs_photos_are_refused_and_left_alone() {
    let Some(uri) = server() else { return };
    let scratch = Scratch::new(&uri);
    let photos = collection(&scratch, "photos").await;
    photos.insert_one(doc! { "_id": "theirs" }).await.unwrap();
    let error = refused(&scratch).await;
    assert_eq!(error.kind(), ErrorKind::ConfigInvalid, "{error}");
    assert!(error.to_string().contains("collection_prefix"), "{error}");
    assert_eq!(photos.list_index_names().await.unwrap(), ["_id_"]);
    // Beside it there is room.
    let mut beside = config(&uri, &scratch.database);
    beside.collection_prefix = "lucida_".to_owned();
    let store = MongodbMetadata::open(beside).await.unwrap();
    store.insert(&photo(&user("alice"))).await.unwrap();
    assert_eq!(photos.count_documents(doc! {}).await.unwrap(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_was_dropped_is_noticed() {
    let Some(uri) = server() else { return };
    let scratch = Scratch::new(&uri);
    let store = open(&scratch).await.unwrap();
    store.ping().await.unwrap();
    let client = Client::with_uri_str(&uri).await.unwrap();
    client.database(&scratch.database).drop().await.unwrap();
    let error = store.ping().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    assert!(error.to_string().contains(&scratch.database), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn fields_of_a_later_version_survive_a_change() {
    let Some(uri) = server() else { return };
    let scratch = Scratch::new(&uri);
    let store = open(&scratch).await.unwrap();
    let mut mine = photo(&user("alice"));
    store.insert(&mine).await.unwrap();
    let photos = collection(&scratch, "photos").await;
    let later = doc! { "$set": { "rating": 5 } };
    photos.update_one(doc! {}, later).await.unwrap();
    assert_eq!(store.get(&mine.id).await.unwrap().as_ref(), Some(&mine));
    mine.state = PhotoState::Ready;
    store.update(&mine).await.unwrap();
    let document = photos.find_one(doc! {}).await.unwrap().unwrap();
    assert_eq!(
        (
            document.get_i32("rating").unwrap(),
            document.get_str("state").unwrap()
        ),
        (5, "ready")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn numbers_of_64_bits_are_kept_and_counts_beyond_63_refused() {
    let Some(uri) = server() else { return };
    let scratch = Scratch::new(&uri);
    let store = open(&scratch).await.unwrap();
    let mut mine = photo(&user("alice"));
    mine.size_bytes = u64::MAX / 2;
    mine.attributes = BTreeMap::from([("phash".to_owned(), u64::MAX.into())]);
    store.insert(&mine).await.unwrap();
    assert_eq!(store.get(&mine.id).await.unwrap().as_ref(), Some(&mine));
    let mut huge = photo(&user("alice"));
    huge.size_bytes = u64::MAX;
    let error = store.insert(&huge).await.unwrap_err();
    assert_eq!(
        (error.kind(), error.field()),
        (ErrorKind::InvalidInput, Some("size_bytes")),
        "{error}"
    );
}

fn day(number: i64) -> Timestamp {
    Timestamp::UNIX_EPOCH + SignedDuration::from_hours(24 * number)
}

fn random_photo(random: &mut StdRng, users: &[UserId]) -> Photo {
    let mut photo = photo(users.choose(random).unwrap());
    photo.state = *PhotoState::ALL.choose(random).unwrap();
    photo.taken_at = random.random_bool(0.8).then(|| day(random.random_range(0..100)));
    photo.taken_at_local = photo
        .taken_at
        .filter(|_| random.random_bool(0.5))
        .map(|taken| Offset::constant(random.random_range(-12..=14)).to_datetime(taken));
    photo.updated_at = day(random.random_range(0..100));
    photo.tags = [("common", 0.9), ("frequent", 0.6), ("rare", 0.05)]
        .into_iter()
        .filter(|(_, share)| random.random_bool(*share))
        .map(|(tag, _)| tag.to_owned())
        .collect();
    photo
}

fn random_filter(random: &mut StdRng, users: &[UserId]) -> PhotoFilter {
    let start = random.random_range(0..100);
    let length = *[1, 20, 100].choose(random).unwrap();
    PhotoFilter {
        user_id: random
            .random_bool(0.8)
            .then(|| users.choose(random).unwrap().clone()),
        states: PhotoState::ALL
            .into_iter()
            .filter(|_| random.random_bool(0.4))
            .collect(),
        taken_from: random.random_bool(0.4).then(|| day(start)),
        taken_to: random.random_bool(0.4).then(|| day(start + length)),
        local_from: random
            .random_bool(0.3)
            .then(|| Offset::UTC.to_datetime(day(start))),
        local_to: random
            .random_bool(0.3)
            .then(|| Offset::UTC.to_datetime(day(start + length))),
        tags: ["common", "frequent", "rare"]
            .into_iter()
            .filter(|_| random.random_bool(0.25))
            .map(str::to_owned)
            .collect(),
        updated_before: random.random_bool(0.2).then(|| day(random.random_range(0..100))),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn random_lists_and_counts_are_those_of_a_plain_filter() {
    let Some(uri) = server() else { return };
    let seed = rand::random();
    println!("seed {seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let scratch = Scratch::new(&uri);
    let store = open(&scratch).await.unwrap();
    let users = [user("alice"), user("bob"), user("nobody-yet")];
    let mut photos: Vec<Photo> = (0..300).map(|_| random_photo(&mut random, &users[..2])).collect();
    for photo in &photos {
        store.insert(photo).await.unwrap();
    }
    photos.sort_by_key(|photo| photo.id);
    for _ in 0..100 {
        let filter = random_filter(&mut random, &users);
        let order = *[Order::NewestFirst, Order::OldestFirst]
            .choose(&mut random)
            .unwrap();
        let limit = random.random_range(1..150);
        lists_as_a_plain_filter(&store, &photos, &filter, order, limit).await;
    }
    counts_as_a_plain_filter(&store, &photos, &users).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn stores_of_two_prefixes_in_one_database_know_nothing_of_each_other() {
    let Some(uri) = server() else { return };
    let scratch = Scratch::new(&uri);
    let prefixed = |prefix: &str| {
        let mut config = config(&uri, &scratch.database);
        config.collection_prefix = prefix.to_owned();
        MongodbMetadata::open(config)
    };
    let (one, two) = (prefixed("one_").await.unwrap(), prefixed("two_").await.unwrap());
    let mine = photo(&user("alice"));
    one.insert(&mine).await.unwrap();
    one.put_record("lease", &1.into(), None).await.unwrap();
    assert_eq!(two.get(&mine.id).await.unwrap(), None);
    assert_eq!(two.record("lease").await.unwrap(), None);
    assert_eq!(two.insert(&mine).await.unwrap(), Inserted::New(mine));
}
