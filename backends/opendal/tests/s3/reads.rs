//! What comes down: only what was asked for, and never a part for the whole.

use std::ops::Range;

use lucida_core::{ErrorKind, Storage, stream_of};

use crate::relay::Relay;
use crate::support::{MIB, PART, content, key, minio, open, read, settings};

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_is_cut_off_is_an_error_and_no_short_blob() {
    let Some(endpoint) = minio() else { return };
    let relay = Relay::start(&endpoint).await;
    let storage = open(&settings(&relay.endpoint)).await;
    storage
        .put(&key("photo"), stream_of(content(4 * MIB)))
        .await
        .unwrap();
    relay.break_answers(MIB as u64);
    let error = read(&storage, "photo").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    assert!(error.to_string().starts_with("reading blob `photo`: "), "{error}");
    relay.break_answers(u64::MAX);
    assert!(read(&storage, "photo").await.unwrap() == content(4 * MIB));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_range_of_a_large_blob_brings_only_its_bytes() {
    let Some(endpoint) = minio() else { return };
    let relay = Relay::start(&endpoint).await;
    let storage = open(&settings(&relay.endpoint)).await;
    let bytes = content(2 * PART + 1000);
    storage
        .put(&key("photo"), stream_of(bytes.clone()))
        .await
        .unwrap();
    let before = relay.came();
    // Over the seam of two parts.
    let range = PART - 5_000..PART + 5_000;
    let asked = range.start as u64..range.end as u64;
    let blob = storage.get(&key("photo"), Some(asked)).await.unwrap();
    assert_eq!(blob.size_bytes, bytes.len() as u64);
    assert!(blob.bytes().await.unwrap() == bytes.slice(range));
    let came = relay.came() - before;
    assert!((10_000..20_000).contains(&came), "{came} bytes came for 10000");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_range_within_a_blob_is_empty() {
    let Some(endpoint) = minio() else { return };
    let storage = open(&settings(&endpoint)).await;
    storage.put(&key("photo"), stream_of(content(100))).await.unwrap();
    let blob = storage.get(&key("photo"), Some(7..7)).await.unwrap();
    assert_eq!((blob.size_bytes, blob.bytes().await.unwrap().len()), (100, 0));
    for range in [100..100, Range { start: 8, end: 7 }] {
        let refused = storage.get(&key("photo"), Some(range.clone())).await.err();
        assert_eq!(
            refused.map(|error| error.kind()),
            Some(ErrorKind::InvalidInput),
            "{range:?}"
        );
    }
}
