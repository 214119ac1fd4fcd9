//! The contract of [`Storage`], sentence by sentence.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt};
use jiff::Timestamp;
use lucida_core::{BlobKey, ByteStream, Error, ErrorKind, Storage, stream_of};

use super::Fixture;

/// Makes the tests of [`Storage`]'s contract from an async function that gives a new, empty storage.
#[macro_export]
macro_rules! storage_contract {
    ($fixture:ident) => {
        mod storage_contract {
            $crate::contract_tests! { storage, $fixture,
                a_blob_comes_back_as_it_was_put
                an_empty_blob_is_kept
                a_blob_streamed_in_many_pieces_comes_back_whole
                put_over_a_blob_replaces_it
                a_failing_stream_leaves_nothing
                a_failing_stream_keeps_the_old_blob
                a_put_that_is_dropped_leaves_nothing
                a_reader_sees_the_old_blob_or_the_new_one_but_never_a_mix
                puts_to_one_key_at_once_leave_one_of_them
                a_missing_key_is_not_found
                a_range_gives_those_bytes
                a_range_is_cut_at_the_end
                a_range_that_starts_at_or_beyond_the_end_is_invalid_input
                stat_tells_size_and_time
                delete_removes_a_blob
                delete_of_a_missing_key_is_fine
                list_gives_every_blob_under_a_prefix_once
                list_goes_beyond_one_page
                odd_keys_are_kept_apart
                ping_answers
            }
        }
    };
}

fn key(name: &str) -> BlobKey {
    BlobKey::new(name).unwrap()
}

/// Makes bytes without a pattern that a lost or doubled piece would fit into.
fn content(length: usize, seed: u8) -> Bytes {
    let key = [seed; 32];
    let mut bytes = vec![0; length];
    blake3::Hasher::new_keyed(&key).finalize_xof().fill(&mut bytes);
    bytes.into()
}

fn pieces_of(bytes: &Bytes, size: usize) -> Vec<Bytes> {
    let starts = (0..bytes.len()).step_by(size);
    starts
        .map(|start| bytes.slice(start..bytes.len().min(start + size)))
        .collect()
}

/// Streams pieces and lets others run in between.
fn slow_stream(pieces: Vec<Bytes>) -> ByteStream {
    futures::stream::iter(pieces)
        .then(|piece| async move {
            tokio::task::yield_now().await;
            Ok(piece)
        })
        .boxed()
}

fn failing_stream(pieces: Vec<Bytes>) -> ByteStream {
    let failure = Error::invalid("the upload broke off").with_code("broken_off");
    slow_stream(pieces)
        .chain(futures::stream::once(async { Err(failure) }))
        .boxed()
}

async fn read(storage: &dyn Storage, key: &BlobKey) -> Bytes {
    storage.get(key, None).await.unwrap().bytes().await.unwrap()
}

async fn names(storage: &dyn Storage, prefix: &str) -> Vec<String> {
    let stats: Vec<_> = storage.list(prefix).try_collect().await.unwrap();
    let mut names: Vec<_> = stats
        .into_iter()
        .map(|stat| stat.key.as_str().to_owned())
        .collect();
    names.sort();
    names
}

async fn assert_absent(storage: &dyn Storage, key: &BlobKey) {
    let got = storage.get(key, None).await.map(|blob| blob.size_bytes);
    assert_eq!(got.unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(storage.stat(key).await.unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(names(storage, "").await, Vec::<String>::new());
}

/// What was put comes back, and `put` tells its size.
pub async fn a_blob_comes_back_as_it_was_put(fixture: Fixture<dyn Storage>) {
    let storage = &*fixture.part;
    let bytes = content(100_000, 1);
    let size = storage.put(&key("a/b"), stream_of(bytes.clone())).await.unwrap();
    assert_eq!(size, 100_000);
    let blob = storage.get(&key("a/b"), None).await.unwrap();
    assert_eq!(blob.size_bytes, 100_000);
    assert_eq!(blob.bytes().await.unwrap(), bytes);
}

/// An empty stream makes an empty blob.
pub async fn an_empty_blob_is_kept(fixture: Fixture<dyn Storage>) {
    let storage = &*fixture.part;
    let key = key("empty");
    assert_eq!(storage.put(&key, stream_of(Bytes::new())).await.unwrap(), 0);
    assert_eq!(storage.stat(&key).await.unwrap().size_bytes, 0);
    assert_eq!(read(storage, &key).await, Bytes::new());
    assert_eq!(names(storage, "").await, ["empty"]);
    // A stream may also bring pieces without bytes.
    let stream = slow_stream(vec![Bytes::new(), Bytes::from_static(b"x"), Bytes::new()]);
    assert_eq!(storage.put(&key, stream).await.unwrap(), 1);
    assert_eq!(read(storage, &key).await, "x");
}

/// Large blobs go through in pieces of any size.
pub async fn a_blob_streamed_in_many_pieces_comes_back_whole(fixture: Fixture<dyn Storage>) {
    let storage = &*fixture.part;
    let bytes = content(12 * 1024 * 1024 + 345, 2);
    for (name, size) in [("small", 7_777), ("large", 3_333_333)] {
        let stream = slow_stream(pieces_of(&bytes, size));
        let written = storage.put(&key(name), stream).await.unwrap();
        assert_eq!(written, bytes.len() as u64);
        assert!(
            read(storage, &key(name)).await == bytes,
            "other bytes came back of pieces of {size}"
        );
    }
}

/// Writing over an existing key replaces the blob, also by a shorter one.
pub async fn put_over_a_blob_replaces_it(fixture: Fixture<dyn Storage>) {
    let storage = &*fixture.part;
    for length in [5_000, 10, 70_000, 0, 1] {
        let bytes = content(length, 3);
        storage.put(&key("k"), stream_of(bytes.clone())).await.unwrap();
        assert_eq!(read(storage, &key("k")).await, bytes);
        assert_eq!(storage.stat(&key("k")).await.unwrap().size_bytes, length as u64);
    }
    assert_eq!(names(storage, "").await, ["k"]);
}

/// When the stream fails, its error is the answer and nothing is left.
pub async fn a_failing_stream_leaves_nothing(fixture: Fixture<dyn Storage>) {
    let storage = &*fixture.part;
    for pieces in [vec![], pieces_of(&content(6_000_000, 4), 100_000)] {
        let failed = storage.put(&key("a/new"), failing_stream(pieces)).await;
        let error = failed.unwrap_err();
        assert_eq!(
            (error.kind(), error.code()),
            (ErrorKind::InvalidInput, "broken_off")
        );
        assert_absent(storage, &key("a/new")).await;
    }
}

/// When the stream fails, a stored blob stays as it was.
pub async fn a_failing_stream_keeps_the_old_blob(fixture: Fixture<dyn Storage>) {
    let storage = &*fixture.part;
    let old = content(50_000, 5);
    storage.put(&key("k"), stream_of(old.clone())).await.unwrap();
    let pieces = pieces_of(&content(80_000, 6), 1_000);
    storage.put(&key("k"), failing_stream(pieces)).await.unwrap_err();
    assert_eq!(read(storage, &key("k")).await, old);
    assert_eq!(names(storage, "").await, ["k"]);
}

/// A caller that goes away in the middle leaves no part behind that anybody sees.
pub async fn a_put_that_is_dropped_leaves_nothing(fixture: Fixture<dyn Storage>) {
    let storage = Arc::clone(&fixture.part);
    let reached = Arc::new(AtomicBool::new(false));
    let stream = {
        let reached = Arc::clone(&reached);
        slow_stream(pieces_of(&content(500_000, 7), 10_000))
            .chain(futures::stream::once(async move {
                reached.store(true, Ordering::SeqCst);
                std::future::pending().await
            }))
            .boxed()
    };
    let writer = tokio::spawn({
        let storage = Arc::clone(&storage);
        async move { storage.put(&key("a/new"), stream).await }
    });
    super::eventually("the writer has written", async || reached.load(Ordering::SeqCst)).await;
    // Neither while the write is unfinished nor after it was given up.
    assert_absent(&*storage, &key("a/new")).await;
    writer.abort();
    assert!(writer.await.unwrap_err().is_cancelled());
    assert_absent(&*storage, &key("a/new")).await;
}

/// While one version is written over another, readers get one of the two, whole.
pub async fn a_reader_sees_the_old_blob_or_the_new_one_but_never_a_mix(fixture: Fixture<dyn Storage>) {
    const VERSIONS: u8 = 40;
    let storage = Arc::clone(&fixture.part);
    let key = key("a/b/c");
    let whole = |seed: u8| Bytes::from(vec![seed; 200_000 + usize::from(seed) * 1_000]);
    storage.put(&key, stream_of(whole(0))).await.unwrap();
    let done = Arc::new(AtomicBool::new(false));
    let writer = tokio::spawn({
        let (storage, key, done) = (Arc::clone(&storage), key.clone(), Arc::clone(&done));
        async move {
            for seed in 1..=VERSIONS {
                let stream = slow_stream(pieces_of(&whole(seed), 20_000));
                storage.put(&key, stream).await.unwrap();
            }
            done.store(true, Ordering::SeqCst);
        }
    });
    let mut reads = 0;
    let mut newest = 0;
    while !done.load(Ordering::SeqCst) || reads == 0 {
        let bytes = read(&*storage, &key).await;
        let seed = bytes[0];
        assert!(
            bytes == whole(seed),
            "{} bytes that begin with {seed} are no version",
            bytes.len()
        );
        assert!(seed >= newest, "version {seed} came after version {newest}");
        newest = seed;
        let stat = storage.stat(&key).await.unwrap();
        assert!(stat.size_bytes >= whole(newest).len() as u64);
        reads += 1;
    }
    writer.await.unwrap();
    assert!(read(&*storage, &key).await == whole(VERSIONS));
}

/// Of several writers of one key one wins, whole.
pub async fn puts_to_one_key_at_once_leave_one_of_them(fixture: Fixture<dyn Storage>) {
    let storage = &*fixture.part;
    let versions: Vec<_> = (0..8).map(|seed| content(90_000, seed)).collect();
    let target = key("one");
    let writers = versions
        .iter()
        .map(|bytes| storage.put(&target, slow_stream(pieces_of(bytes, 9_000))));
    for size in futures::future::join_all(writers).await {
        assert_eq!(size.unwrap(), 90_000);
    }
    let left = read(storage, &key("one")).await;
    assert!(versions.contains(&left), "what is left was written by nobody");
    assert_eq!(names(storage, "").await, ["one"]);
}

/// An absent key is `NotFound` to everything that reads.
pub async fn a_missing_key_is_not_found(fixture: Fixture<dyn Storage>) {
    let storage = &*fixture.part;
    storage.put(&key("a/b"), stream_of(content(10, 1))).await.unwrap();
    for name in ["b", "a/c", "a/b2", "a/b/c"] {
        for range in [None, Some(0..5)] {
            let got = storage.get(&key(name), range).await.map(|blob| blob.size_bytes);
            assert_eq!(got.unwrap_err().kind(), ErrorKind::NotFound, "get of {name}");
        }
        let stat = storage.stat(&key(name)).await;
        assert_eq!(stat.unwrap_err().kind(), ErrorKind::NotFound, "stat of {name}");
    }
    // What holds blobs is none itself.
    let folder = storage.stat(&key("a")).await;
    assert_eq!(folder.unwrap_err().kind(), ErrorKind::NotFound);
    let folder = storage.get(&key("a"), None).await.map(|blob| blob.size_bytes);
    assert_eq!(folder.unwrap_err().kind(), ErrorKind::NotFound);
}

/// A range gives exactly its bytes, and the size of the whole.
pub async fn a_range_gives_those_bytes(fixture: Fixture<dyn Storage>) {
    let storage = &*fixture.part;
    let bytes = content(3_000_000, 8);
    storage.put(&key("k"), stream_of(bytes.clone())).await.unwrap();
    for range in [0..1, 0..3_000_000, 1_234_567..2_345_678, 2_999_999..3_000_000] {
        let blob = storage
            .get(&key("k"), Some(range.start as u64..range.end as u64))
            .await
            .unwrap();
        assert_eq!(blob.size_bytes, 3_000_000);
        assert!(
            blob.bytes().await.unwrap() == bytes.slice(range.clone()),
            "other bytes came back for {range:?}"
        );
    }
}

/// A range that reaches beyond the end gives what there is.
pub async fn a_range_is_cut_at_the_end(fixture: Fixture<dyn Storage>) {
    let storage = &*fixture.part;
    let bytes = content(1_000, 9);
    storage.put(&key("k"), stream_of(bytes.clone())).await.unwrap();
    for range in [0..1_001, 990..5_000, 999..u64::MAX] {
        let start = usize::try_from(range.start).unwrap();
        let blob = storage.get(&key("k"), Some(range)).await.unwrap();
        assert_eq!(blob.size_bytes, 1_000);
        assert_eq!(blob.bytes().await.unwrap(), bytes.slice(start..));
    }
}

/// A range that has no byte to give is the caller's mistake.
pub async fn a_range_that_starts_at_or_beyond_the_end_is_invalid_input(fixture: Fixture<dyn Storage>) {
    let storage = &*fixture.part;
    storage
        .put(&key("k"), stream_of(content(1_000, 10)))
        .await
        .unwrap();
    storage.put(&key("empty"), stream_of(Bytes::new())).await.unwrap();
    for (name, range) in [
        ("k", 1_000..1_001),
        ("k", 5_000..6_000),
        ("k", u64::MAX - 1..u64::MAX),
        ("empty", 0..1),
    ] {
        let got = storage
            .get(&key(name), Some(range.clone()))
            .await
            .map(|blob| blob.size_bytes);
        assert_eq!(
            got.unwrap_err().kind(),
            ErrorKind::InvalidInput,
            "{range:?} of {name}"
        );
    }
}

/// `stat` tells the key, the size, and, if anything, when the blob was written.
pub async fn stat_tells_size_and_time(fixture: Fixture<dyn Storage>) {
    let storage = &*fixture.part;
    storage
        .put(&key("a/k"), stream_of(content(4_321, 11)))
        .await
        .unwrap();
    let stat = storage.stat(&key("a/k")).await.unwrap();
    assert_eq!((stat.key, stat.size_bytes), (key("a/k"), 4_321));
    let listed: Vec<_> = storage.list("a/").try_collect().await.unwrap();
    assert_eq!(listed.len(), 1);
    assert_eq!((&listed[0].key, listed[0].size_bytes), (&key("a/k"), 4_321));
    // The store's clock may be another machine's, but not in another unit.
    for modified in [stat.modified_at, listed[0].modified_at].into_iter().flatten() {
        let off = Timestamp::now().duration_since(modified).unsigned_abs();
        assert!(off < Duration::from_secs(3_600), "written at {modified}, it says");
    }
}

/// A deleted blob is gone, its neighbours are not.
pub async fn delete_removes_a_blob(fixture: Fixture<dyn Storage>) {
    let storage = &*fixture.part;
    for name in ["a/b", "a/c"] {
        storage.put(&key(name), stream_of(content(10, 12))).await.unwrap();
    }
    storage.delete(&key("a/b")).await.unwrap();
    let stat = storage.stat(&key("a/b")).await;
    assert_eq!(stat.unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(names(storage, "").await, ["a/c"]);
    // The key is free again, also once its folder has become empty.
    storage.delete(&key("a/c")).await.unwrap();
    assert_eq!(names(storage, "").await, Vec::<String>::new());
    let bytes = content(20, 13);
    storage.put(&key("a/b"), stream_of(bytes.clone())).await.unwrap();
    assert_eq!(read(storage, &key("a/b")).await, bytes);
}

/// Deleting what is missing is fine, once and again.
pub async fn delete_of_a_missing_key_is_fine(fixture: Fixture<dyn Storage>) {
    let storage = &*fixture.part;
    storage.delete(&key("never/there")).await.unwrap();
    storage.put(&key("k"), stream_of(content(10, 14))).await.unwrap();
    storage.delete(&key("k")).await.unwrap();
    storage.delete(&key("k")).await.unwrap();
}

/// A prefix selects whole segments, at any depth.
pub async fn list_gives_every_blob_under_a_prefix_once(fixture: Fixture<dyn Storage>) {
    let storage = &*fixture.part;
    assert_eq!(names(storage, "").await, Vec::<String>::new());
    assert_eq!(names(storage, "a/").await, Vec::<String>::new());
    let all = ["a/1", "a/b/2", "a/b/c/3", "ab/4", "b/a/5", "top"];
    for name in all {
        let body = stream_of(Bytes::copy_from_slice(name.as_bytes()));
        storage.put(&key(name), body).await.unwrap();
    }
    for (prefix, expected) in [
        ("", all.as_slice()),
        ("a/", &["a/1", "a/b/2", "a/b/c/3"]),
        ("a/b/", &["a/b/2", "a/b/c/3"]),
        ("b/", &["b/a/5"]),
        ("c/", &[]),
        ("a/1/", &[]),
    ] {
        assert_eq!(names(storage, prefix).await, expected, "under {prefix:?}");
    }
}

/// A list has no end but the last blob.
pub async fn list_goes_beyond_one_page(fixture: Fixture<dyn Storage>) {
    let storage = &*fixture.part;
    // Object stores give a thousand keys at a time.
    let all: BTreeSet<_> = (0..1_050)
        .map(|number| format!("many/{:02x}/{number:05}", number % 16))
        .collect();
    futures::stream::iter(&all)
        .map(|name| async move {
            storage
                .put(&key(name), stream_of(Bytes::from_static(b"x")))
                .await
                .unwrap()
        })
        .buffer_unordered(32)
        .for_each(|_| async {})
        .await;
    let listed = names(storage, "many/").await;
    assert_eq!(listed.len(), all.len(), "some are missing or come twice");
    assert_eq!(listed.into_iter().collect::<BTreeSet<_>>(), all);
}

/// Every valid key works and means itself alone.
pub async fn odd_keys_are_kept_apart(fixture: Fixture<dyn Storage>) {
    let storage = &*fixture.part;
    let longest = format!("{}/{}/{}", "x".repeat(200), "y".repeat(200), "z".repeat(110));
    assert_eq!(longest.len(), 512);
    let odd = [
        "-",
        "_",
        "...",
        "..a",
        ".hidden",
        "0",
        "A",
        "a",
        "a.",
        "a..b",
        "a.tmp",
        "CON",
        "con.jpg",
        "tmp/a",
        "x-1/..2/_/-",
        "x-1/..2/_/.3",
        &longest,
    ];
    for name in odd {
        let body = stream_of(Bytes::copy_from_slice(name.as_bytes()));
        storage.put(&key(name), body).await.unwrap();
    }
    for name in odd {
        assert_eq!(read(storage, &key(name)).await, name.as_bytes());
    }
    let mut expected: Vec<_> = odd.map(str::to_owned).into();
    expected.sort();
    assert_eq!(names(storage, "").await, expected);
    for name in odd {
        storage.delete(&key(name)).await.unwrap();
    }
    assert_eq!(names(storage, "").await, Vec::<String>::new());
}

/// A healthy store says so, and a ping leaves nothing behind.
pub async fn ping_answers(fixture: Fixture<dyn Storage>) {
    let storage = &*fixture.part;
    storage.ping().await.unwrap();
    assert_eq!(names(storage, "").await, Vec::<String>::new());
}
