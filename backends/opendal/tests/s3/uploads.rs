//! What goes up: how much of it is in memory, whether it arrives as it was sent, and what is left when it doesn't.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures::{StreamExt, stream};
use lucida_core::{ByteStream, Error, ErrorKind, Storage, stream_of};
use lucida_testkit::eventually;
use serde_json::json;

use crate::relay::Relay;
use crate::support::{
    MIB, PART, content, key, minio, names, open, own_minio, read, seaweedfs, settings, unfinished, with,
};

/// A body whose pieces are made when they are asked for, and counted.
fn counted(pieces: usize) -> (ByteStream, Arc<AtomicUsize>) {
    let pulled = Arc::new(AtomicUsize::new(0));
    let counting = Arc::clone(&pulled);
    let body = stream::iter(0..pieces).map(move |number| {
        counting.fetch_add(PIECE, Ordering::SeqCst);
        Ok(Bytes::from(vec![number as u8; PIECE]))
    });
    (body.boxed(), pulled)
}

const PIECE: usize = 256 * 1024;

#[tokio::test(flavor = "multi_thread")]
async fn a_large_upload_is_pulled_ahead_by_its_parts_on_the_way_and_two_more() {
    let Some(endpoint) = minio() else { return };
    // One that goes up alone is itself the one that is held back.
    for (concurrent, parts) in [(1, 2), (2, 4), (4, 6)] {
        let relay = Relay::start(&endpoint).await;
        let settings = with(
            settings(&relay.endpoint),
            json!({ "concurrent_parts": concurrent }),
        );
        let storage = open(&settings).await;
        let (body, pulled) = counted(64 * MIB / PIECE);
        relay.hold_after(MIB as u64);
        let name = key("large");
        let mut put = tokio::spawn({
            let storage = storage.clone();
            async move { storage.put(&name, body).await }
        });
        // OpenDAL, which cuts the body, hands over a full part when it gets the piece after it.
        let full = parts * PART + PIECE;
        eventually("the upload has pulled all that it may", async || {
            pulled.load(Ordering::SeqCst) >= full
        })
        .await;
        let more = tokio::time::timeout(Duration::from_millis(300), &mut put).await;
        assert!(more.is_err(), "nothing reaches the store, but the put is over");
        assert_eq!(pulled.load(Ordering::SeqCst), full, "with {concurrent} at once");
        relay.release();
        assert_eq!(put.await.unwrap().unwrap(), 64 * MIB as u64);
        let whole = read(&storage, "large").await.unwrap();
        assert_eq!(whole.len(), 64 * MIB);
        for (number, piece) in whole.chunks(PIECE).enumerate() {
            assert!(
                piece.iter().all(|byte| *byte == number as u8),
                "piece {number} is another"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_that_change_on_their_way_are_refused_and_leave_nothing() {
    for endpoint in [minio(), seaweedfs()] {
        let Some(endpoint) = endpoint else { continue };
        let relay = Relay::start(&endpoint).await;
        let storage = open(&settings(&relay.endpoint)).await;
        // By one request, and in parts.
        for length in [MIB, 2 * PART] {
            relay.change_byte(MIB as u64 / 2);
            let error = storage
                .put(&key("photo"), stream_of(content(length)))
                .await
                .unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
            assert!(
                error.to_string().contains("got other bytes than were sent"),
                "{error}"
            );
            relay.change_byte(u64::MAX);
            assert_eq!(names(&storage).await, Vec::<String>::new());
        }
        storage.put(&key("photo"), stream_of(content(MIB))).await.unwrap();
        assert!(read(&storage, "photo").await.unwrap() == content(MIB));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_that_fails_leaves_no_object_and_no_parts() {
    let Some(server) = own_minio() else { return };
    let server = Arc::new(server);
    let storage = open(&settings(&server.url())).await;
    let body = counted(3 * PART / PIECE).0.chain(stream::once({
        let server = Arc::clone(&server);
        async move {
            while unfinished(&server) == 0 {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            Err(Error::invalid("the upload broke off"))
        }
    }));
    let error = storage.put(&key("photo"), body.boxed()).await.unwrap_err();
    assert_eq!(error.message(), "the upload broke off");
    assert_eq!(unfinished(&server), 0);
    assert_eq!(names(&storage).await, Vec::<String>::new());
    storage.ping().await.unwrap();
    assert_eq!(unfinished(&server), 0, "the ping left something");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_whose_caller_goes_away_leaves_no_object_and_no_parts() {
    let Some(server) = own_minio() else { return };
    let relay = Relay::start(&server.url()).await;
    let storage = open(&settings(&relay.endpoint)).await;
    // Before the store has heard of it, while parts go up, and while it waits for more.
    for (name, held, pieces) in [
        ("early", 0, 64 * MIB / PIECE),
        ("middle", 3 * MIB as u64, 64 * MIB / PIECE),
        ("late", u64::MAX / 2, 4 * PART / PIECE),
    ] {
        let (body, pulled) = counted(pieces);
        let body = body.chain(stream::once(std::future::pending())).boxed();
        relay.hold_after(held);
        let put = tokio::spawn({
            let storage = storage.clone();
            async move { storage.put(&key(name), body).await }
        });
        let enough = if held == 0 { 2 * PART } else { 4 * PART };
        eventually("the upload is under way", async || {
            pulled.load(Ordering::SeqCst) >= enough
        })
        .await;
        if held > 0 {
            eventually("the store knows of it", async || unfinished(&server) == 1).await;
        }
        put.abort();
        assert!(put.await.unwrap_err().is_cancelled());
        relay.release();
        // What was on its way may still begin an upload, which is then taken back: no parts, and none later.
        eventually("its parts are gone for good", async || {
            for _ in 0..20 {
                if unfinished(&server) > 0 {
                    return false;
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            true
        })
        .await;
        assert_eq!(names(&storage).await, Vec::<String>::new());
    }
}
