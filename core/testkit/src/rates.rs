//! Measures a store or a queue, for the examples of its backend.

use std::time::{Duration, Instant};

use futures::{StreamExt, TryStreamExt, stream};
use jiff::{SignedDuration, Timestamp};
use lucida_core::{
    BlobKey, ContentHash, Error, Job, JobQueue, MetadataStore, Photo, PhotoFilter, PhotoId, PhotoQuery,
    PhotoState, Result, UserId,
};
use serde_json::json;

const NOW: Duration = Duration::ZERO;

/// Fills a metadata store with so many photos, by so many clients at once; then reads, lists and counts. Prints figures.
///
/// # Errors
/// Those of the store.
pub async fn measure_metadata(store: &dyn MetadataStore, photos: usize, clients: usize) -> Result<()> {
    let start = Instant::now();
    let ids: Vec<PhotoId> = stream::iter(0..photos)
        .map(|at| async move {
            let photo = photo(at)?;
            store.insert(&photo).await?;
            Ok::<_, Error>(photo.id)
        })
        .buffer_unordered(clients)
        .try_collect()
        .await?;
    report(&format!("insert, {clients} at once"), photos, start.elapsed());

    let some = photos.min(10_000);
    let start = Instant::now();
    stream::iter(ids.iter().take(some))
        .map(|id| async move {
            if let Some(mut photo) = store.get(id).await? {
                photo.state = PhotoState::Ready;
                store.update(&photo).await?;
            }
            Ok::<_, Error>(())
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

/// Publishes so many jobs by so many clients at once, counts them, and receives and acks all. Prints figures.
///
/// # Errors
/// Those of the queue.
pub async fn measure_queue(queue: &dyn JobQueue, jobs: usize, clients: usize) -> Result<()> {
    let start = Instant::now();
    stream::iter(0..jobs)
        .map(|_| publish(queue, NOW))
        .buffer_unordered(clients)
        .try_collect::<Vec<()>>()
        .await?;
    report(&format!("publish, {clients} at once"), jobs, start.elapsed());

    let start = Instant::now();
    queue.counts().await?;
    report("count", 1, start.elapsed());

    let start = Instant::now();
    stream::iter(0..jobs)
        .map(|_| async {
            if let Some(delivery) = queue.receive(NOW).await? {
                queue.ack(&delivery).await?;
            }
            Ok::<_, Error>(())
        })
        .buffer_unordered(clients)
        .try_collect::<Vec<()>>()
        .await?;
    report(
        &format!("receive and ack, {clients} at once"),
        jobs,
        start.elapsed(),
    );

    let mut times = Vec::new();
    for _ in 0..201 {
        let waiting = queue.receive(Duration::from_secs(10));
        let published = async {
            tokio::time::sleep(Duration::from_millis(20)).await;
            let start = Instant::now();
            publish(queue, NOW).await?;
            Ok::<_, Error>(start)
        };
        let (delivery, start) = tokio::try_join!(waiting, published)?;
        times.push(start.elapsed());
        if let Some(delivery) = delivery {
            queue.ack(&delivery).await?;
        }
    }
    times.sort();
    report("publish to a waiting receiver, median", 1, times[100]);
    Ok(())
}

/// Publishes a job of a photo that doesn't exist.
///
/// # Errors
/// Those of the queue.
pub async fn publish(queue: &dyn JobQueue, delay: Duration) -> Result<()> {
    let job = Job {
        photo_id: PhotoId::generate(),
    };
    queue.publish(&job, delay).await
}

/// Prints how many operations took how long.
#[expect(clippy::print_stdout, reason = "a command that prints figures")]
pub fn report(operation: &str, count: usize, took: Duration) {
    let rate = count as f64 / took.as_secs_f64();
    println!("{operation}: {count} in {took:.2?}, {rate:.0}/s");
}

/// Returns the argument of a command at a place, where it is a number.
#[must_use]
pub fn number(at: usize, default: usize) -> usize {
    let text = std::env::args().nth(at);
    text.and_then(|text| text.parse().ok()).unwrap_or(default)
}
