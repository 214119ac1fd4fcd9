//! Measures how many photos a second a storage takes: `put_rate [PLACE] [CLIENTS] [PHOTOS] [BYTES]`.
//!
//! A place is a folder, or a bucket such as `http://127.0.0.1:9000/photos`, whose keys are those of the environment:
//! `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`.

use std::env;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};
use lucida_core::config::IntoPart;
use lucida_core::{BlobKey, PhotoId, Result, Storage};
use lucida_opendal::{DiskConfig, DiskStorage, S3Config, S3Storage};

#[tokio::main]
async fn main() -> Result<()> {
    let number = |at: usize, default: usize| {
        env::args()
            .nth(at)
            .and_then(|text| text.parse().ok())
            .unwrap_or(default)
    };
    let place = env::args().nth(1).unwrap_or_else(|| "data/put-rate".to_owned());
    let (clients, photos, size) = (number(2, 8), number(3, 1000), number(4, 300_000));
    let storage = open(&place).await?;
    let photo = Bytes::from(vec![0x5a; size]);
    let keys: Vec<BlobKey> = (0..photos)
        .map(|_| BlobKey::original(&PhotoId::generate()))
        .collect();

    // An upload comes from the spool in pieces of 64 KiB.
    let pieces: Vec<Bytes> = (0..size)
        .step_by(65_536)
        .map(|at| photo.slice(at..size.min(at + 65_536)))
        .collect();
    let start = Instant::now();
    stream::iter(&keys)
        .map(|key| storage.put(key, stream::iter(pieces.clone().into_iter().map(Ok)).boxed()))
        .buffer_unordered(clients)
        .try_collect::<Vec<u64>>()
        .await?;
    report("put", photos, start);

    let start = Instant::now();
    stream::iter(&keys)
        .map(|key| async { storage.get(key, None).await?.bytes().await })
        .buffer_unordered(clients)
        .try_collect::<Vec<Bytes>>()
        .await?;
    report("get", photos, start);

    let start = Instant::now();
    let listed = storage
        .list(BlobKey::ORIGINALS)
        .try_fold(0, |count, _| async move { Ok(count + 1) });
    report("list", listed.await?, start);

    let start = Instant::now();
    stream::iter(&keys)
        .map(|key| storage.delete(key))
        .buffer_unordered(clients)
        .try_collect::<Vec<()>>()
        .await?;
    report("delete", photos, start);
    Ok(())
}

async fn open(place: &str) -> Result<Arc<dyn Storage>> {
    match place.rsplit_once('/') {
        Some((endpoint, bucket)) if endpoint.starts_with("http") => {
            let config = S3Config {
                endpoint: Some(endpoint.to_owned()),
                bucket: bucket.to_owned(),
                prefix: Some("put-rate".to_owned()),
                ..S3Config::default()
            };
            Ok(S3Storage::open(config).await?.into_part())
        }
        _ => {
            let root = PathBuf::from(place);
            Ok(DiskStorage::open(DiskConfig { root }).await?.into_part())
        }
    }
}

#[expect(clippy::print_stdout, reason = "a command that prints figures")]
fn report(operation: &str, count: usize, start: Instant) {
    let seconds = start.elapsed().as_secs_f64();
    println!(
        "{operation}: {count} in {seconds:.2} s, {:.0}/s",
        count as f64 / seconds
    );
}
