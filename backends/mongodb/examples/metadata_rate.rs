//! Measures the metadata store: `metadata_rate URI DATABASE [PHOTOS] [CLIENTS]` fills it, then reads, lists and counts.

use std::env;
use std::time::{Duration, Instant};

use futures::{StreamExt, TryStreamExt, stream};
use jiff::{SignedDuration, Timestamp};
use lucida_core::config::Secret;
use lucida_core::{
    BlobKey, ContentHash, Error, MetadataStore, Photo, PhotoFilter, PhotoId, PhotoQuery, PhotoState, Result,
    UserId,
};
use lucida_mongodb::{MongodbConfig, MongodbMetadata};
use serde_json::json;

#[tokio::main]
async fn main() -> Result<()> {
    let argument = |at: usize, default: &str| env::args().nth(at).unwrap_or_else(|| default.to_owned());
    let number = |at: usize, default: usize| argument(at, "").parse().unwrap_or(default);
    let (photos, clients) = (number(3, 10_000), number(4, 8));
    let store = MongodbMetadata::open(MongodbConfig {
        uri: Some(Secret::new(argument(1, "mongodb://127.0.0.1:27017"))),
        uri_file: None,
        database: Some(argument(2, "lucida_rate")),
        collection_prefix: String::new(),
        max_connections: 100,
        min_connections: 0,
        max_idle_secs: 300,
        connect_timeout_ms: 3_000,
        server_selection_timeout_ms: 5_000,
        operation_timeout_ms: 60_000,
    })
    .await?;

    let start = Instant::now();
    let ids: Vec<PhotoId> = stream::iter(0..photos)
        .map(|at| {
            let store = &store;
            async move {
                let photo = photo(at)?;
                store.insert(&photo).await?;
                Ok::<_, Error>(photo.id)
            }
        })
        .buffer_unordered(clients)
        .try_collect()
        .await?;
    report(&format!("insert, {clients} at once"), photos, start.elapsed());

    let some = photos.min(1_000);
    let start = Instant::now();
    stream::iter(ids.iter().take(some))
        .map(|id| {
            let store = &store;
            async move {
                if let Some(mut photo) = store.get(id).await? {
                    photo.state = PhotoState::Ready;
                    store.update(&photo).await?;
                }
                Ok::<_, Error>(())
            }
        })
        .buffer_unordered(clients)
        .try_collect::<Vec<()>>()
        .await?;
    report(
        &format!("get and update, {clients} at once"),
        some,
        start.elapsed(),
    );

    let filter = PhotoFilter {
        user_id: Some(UserId::local()),
        ..PhotoFilter::default()
    };
    let hours = |number: usize| Timestamp::UNIX_EPOCH + SignedDuration::from_hours(number as i64);
    let taken = |from, to| PhotoFilter {
        taken_from: Some(hours(from)),
        taken_to: Some(hours(to)),
        ..filter.clone()
    };
    let tagged = |tags: &[&str]| PhotoFilter {
        tags: tags.iter().map(|tag| (*tag).to_owned()).collect(),
        ..filter.clone()
    };
    let state = |state| PhotoFilter {
        states: vec![state],
        ..filter.clone()
    };
    for (name, filter) in [
        ("newest", filter.clone()),
        ("ready", state(PhotoState::Ready)),
        ("failed", state(PhotoState::Failed)),
        ("common tag", tagged(&["common"])),
        ("rare tag", tagged(&["rare"])),
        ("common and rare tag", tagged(&["common", "rare"])),
        ("taken in one day", taken(1_000, 1_024)),
        ("taken in the earliest tenth", taken(0, photos / 10)),
        ("taken in the latest half", taken(photos / 2, photos)),
    ] {
        let query = PhotoQuery {
            filter,
            limit: 50,
            ..PhotoQuery::default()
        };
        timed(&format!("list 50: {name}"), || store.list(&query)).await?;
    }
    if let Some(id) = ids.first() {
        timed("get", || store.get(id)).await?;
    }
    timed("count by state", || store.count_by_state(None)).await?;
    let local = UserId::local();
    timed("count by state, one user", || store.count_by_state(Some(&local))).await?;
    timed("ping, one acknowledged write", || store.ping()).await
}

/// Makes a photo as ingestion leaves it, with what EXIF says of it.
fn photo(at: usize) -> Result<Photo> {
    let id = PhotoId::generate();
    let now = Timestamp::now();
    let tags = [("common", 1), ("tenth", 10), ("rare", 10_000)];
    Ok(Photo {
        id,
        user_id: UserId::local(),
        state: match at % 1_000 {
            0 => PhotoState::Failed,
            1..10 => PhotoState::Pending,
            _ => PhotoState::Ready,
        },
        filename: Some(format!("IMG_{at:06}.jpg")),
        content_type: "image/jpeg".to_owned(),
        size_bytes: 312_345,
        width: 4_032,
        height: 3_024,
        hash: ContentHash::of(id.as_uuid().as_bytes()),
        created_at: now,
        updated_at: now,
        taken_at: Some(Timestamp::UNIX_EPOCH + SignedDuration::from_hours(at as i64)),
        taken_at_local: None,
        tags: tags
            .into_iter()
            .filter(|(_, share)| at.is_multiple_of(*share))
            .map(|(tag, _)| tag.to_owned())
            .collect(),
        attributes: [(
            "exif".to_owned(),
            json!({"camera": "Example Camera Mk IV", "lens": "24-70mm f/2.8", "iso": 200, "exposure": "1/250",
                   "gps": {"latitude": 52.5, "longitude": 13.4}, "orientation": 1}),
        )]
        .into(),
        fingerprint: None,
        attempts: 0,
        error: None,
        next_attempt_at: None,
        blob: BlobKey::original(&id),
        derived: [].into(),
        version: 1,
    })
}

/// Repeats a call and prints its median and its slowest.
#[expect(clippy::print_stdout, reason = "a command that prints figures")]
async fn timed<T, F: Future<Output = Result<T>>>(name: &str, call: impl Fn() -> F) -> Result<()> {
    let mut times = Vec::new();
    for _ in 0..21 {
        let start = Instant::now();
        call().await?;
        times.push(start.elapsed());
    }
    times.sort();
    println!("{name}: median {:?}, slowest {:?}", times[10], times[20]);
    Ok(())
}

#[expect(clippy::print_stdout, reason = "a command that prints figures")]
fn report(operation: &str, count: usize, took: Duration) {
    let seconds = took.as_secs_f64();
    println!(
        "{operation}: {count} in {seconds:.2} s, {:.0}/s",
        count as f64 / seconds
    );
}
