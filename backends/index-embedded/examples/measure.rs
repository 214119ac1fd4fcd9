//! Measures the embedded index: writing, opening, searching, memory, disk, and recall against brute force.
//!
//! `cargo run --release -p lucida-index-embedded --example measure -- 100000 [dimensions] [search_ef] [on_disk]`

#![expect(clippy::print_stdout, reason = "an example prints what it found")]

use std::collections::{BTreeSet, HashSet};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use lucida_core::{CollectionName, IndexFilter, PhotoId, Point, Result, UserId, VectorIndex};
use lucida_index_embedded::{EmbeddedConfig, EmbeddedIndex};
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

const QUERIES: usize = 500;
const HITS: usize = 10;
const BATCH: usize = 64;
/// How many independent directions the made-up vectors have: embeddings of photos lie near a surface of few.
const LATENT: usize = 32;

#[tokio::main]
async fn main() -> Result<()> {
    let mut args = std::env::args().skip(1);
    let number = |text: Option<String>, default| text.and_then(|text| text.parse().ok()).unwrap_or(default);
    let points = number(args.next(), 10_000);
    let dimensions = number(args.next(), 384);
    let search_ef = number(args.next(), 256);
    let folder = tempfile::tempdir()?;
    let config = EmbeddedConfig {
        path: folder.path().join("index"),
        collection: "photo_embeddings".to_owned(),
        vectors_on_disk: args.next().is_some(),
        hnsw_m: 16,
        hnsw_ef_construct: 100,
        search_ef,
        indexing_threshold_bytes: 32 << 20,
        indexing_threads: 1,
    };
    println!(
        "{points} points of {dimensions} dimensions, on disk: {}",
        config.vectors_on_disk
    );
    let mut maker = Maker::new(dimensions);
    let name = CollectionName::new("photo_embeddings-measure")?;
    let marker = config
        .path
        .join("collections")
        .join(name.as_str())
        .join("optimizing");

    let index = Arc::new(EmbeddedIndex::open(config.clone()).await?);
    index.ensure(&name, dimensions).await?;
    index.set_alias(&name).await?;
    index.upsert(&name, &[maker.point()]).await?;
    println!("one point: {}, {}", disk(folder.path())?, memory());

    write_one_by_one(&index, &name, &mut maker).await?;
    write_all(&index, &name, &mut maker, points).await?;
    report("right after writing", &index, &name, &mut maker).await?;
    let waited = Instant::now();
    settle(&marker).await;
    println!(
        "optimised after {:.1} s: {}, {}",
        waited.elapsed().as_secs_f32(),
        disk(folder.path())?,
        memory()
    );
    report("optimised", &index, &name, &mut maker).await?;
    recall(&index, &name, &mut maker).await?;

    write_beside_searches(&index, &name, &mut maker).await?;

    let started = Instant::now();
    let count = index.count(&name).await?;
    println!("count {count}: {:.1} ms", millis(started.elapsed()));
    let started = Instant::now();
    let ids = index.ids(&name, None, 1000).await?;
    println!(
        "ids, a page of {}: {:.1} ms",
        ids.len(),
        millis(started.elapsed())
    );

    let started = Instant::now();
    drop(index);
    println!("close: {:.0} ms", millis(started.elapsed()));
    lucida_core::release_free_memory();
    println!("closed: {}, {}", disk(folder.path())?, memory());
    let started = Instant::now();
    let index = EmbeddedIndex::open(config).await?;
    println!("open: {:.0} ms, {}", millis(started.elapsed()), memory());
    report("after opening", &Arc::new(index), &name, &mut maker).await?;
    println!("{}", memory());
    Ok(())
}

/// Writes as ingestion does: eight at a time, each a call of its own.
async fn write_one_by_one(
    index: &Arc<EmbeddedIndex>,
    name: &CollectionName,
    maker: &mut Maker,
) -> Result<()> {
    for writers in [1, 8] {
        let share: Vec<Vec<Point>> = (0..writers)
            .map(|_| (0..50).map(|_| maker.point()).collect())
            .collect();
        let started = Instant::now();
        let writing: Vec<_> = share
            .into_iter()
            .map(|points| {
                let (index, name) = (Arc::clone(index), name.clone());
                tokio::spawn(async move {
                    for point in points {
                        index.upsert(&name, &[point]).await?;
                    }
                    Ok::<_, lucida_core::Error>(())
                })
            })
            .collect();
        for writer in writing {
            writer.await.expect("no writer panics")?;
        }
        let rate = (50 * writers) as f64 / started.elapsed().as_secs_f64();
        println!("durable upserts one by one, {writers} at a time: {rate:.0}/s");
    }
    Ok(())
}

/// Writes the rest in batches while searches go on.
async fn write_all(
    index: &Arc<EmbeddedIndex>,
    name: &CollectionName,
    maker: &mut Maker,
    points: usize,
) -> Result<()> {
    let done = Arc::new(AtomicBool::new(false));
    let searching = {
        let (index, name, done, mut maker) =
            (Arc::clone(index), name.clone(), Arc::clone(&done), maker.clone());
        tokio::spawn(async move {
            let mut times = Vec::new();
            while !done.load(Ordering::Relaxed) {
                let query = maker.vector();
                let started = Instant::now();
                index.search(&name, &query, &IndexFilter::default(), HITS).await?;
                times.push(started.elapsed());
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            Ok::<_, lucida_core::Error>(times)
        })
    };
    let started = Instant::now();
    let mut making = Duration::ZERO;
    let mut left = points.saturating_sub(maker.points.len());
    let total = left;
    while left > 0 {
        let made = Instant::now();
        let batch: Vec<Point> = (0..left.min(BATCH)).map(|_| maker.point()).collect();
        making += made.elapsed();
        index.upsert(name, &batch).await?;
        left -= batch.len();
    }
    let rate = total as f64 / (started.elapsed() - making).as_secs_f64();
    println!(
        "durable upserts, {BATCH} per call, searches beside: {rate:.0} points/s, {}",
        memory()
    );
    done.store(true, Ordering::Relaxed);
    let times = searching.await.expect("no searcher panics")?;
    println!("search while writing: {}", spread(times));
    Ok(())
}

/// Searches one after the other while points come in at the pace of a fast model.
async fn write_beside_searches(
    index: &Arc<EmbeddedIndex>,
    name: &CollectionName,
    maker: &mut Maker,
) -> Result<()> {
    const PER_SECOND: u64 = 100;
    let points: Vec<Point> = (0..10 * PER_SECOND).map(|_| maker.point()).collect();
    let writing = {
        let (index, name) = (Arc::clone(index), name.clone());
        tokio::spawn(async move {
            let mut tick = tokio::time::interval(Duration::from_secs(1) / PER_SECOND as u32);
            let mut times = Vec::new();
            for point in points {
                tick.tick().await;
                let started = Instant::now();
                index.upsert(&name, &[point]).await?;
                times.push(started.elapsed());
            }
            Ok::<_, lucida_core::Error>(times)
        })
    };
    let mut times = Vec::new();
    while !writing.is_finished() {
        let query = maker.vector();
        let started = Instant::now();
        index.search(name, &query, &IndexFilter::default(), HITS).await?;
        times.push(started.elapsed());
    }
    println!("search beside {PER_SECOND} upserts a second: {}", spread(times));
    println!(
        "those upserts: {}",
        spread(writing.await.expect("the writer does not panic")?)
    );
    Ok(())
}

/// Waits until nothing is being optimised.
async fn settle(marker: &Path) {
    let mut quiet = 0;
    while quiet < 3 {
        tokio::time::sleep(Duration::from_millis(200)).await;
        quiet = if marker.exists() { 0 } else { quiet + 1 };
    }
}

async fn report(
    when: &str,
    index: &Arc<EmbeddedIndex>,
    name: &CollectionName,
    maker: &mut Maker,
) -> Result<()> {
    let of = |user: &str| IndexFilter {
        user_id: UserId::new(user).ok(),
        ..IndexFilter::default()
    };
    let filters = [
        ("all", IndexFilter::default()),
        ("a user with half", of("half")),
        ("a user with 1 %", of("few")),
    ];
    for (what, filter) in filters {
        let mut times = Vec::new();
        for _ in 0..QUERIES {
            let query = maker.vector();
            let started = Instant::now();
            index.search(name, &query, &filter, HITS).await?;
            times.push(started.elapsed());
        }
        println!("search {when}, {what}: {}", spread(times));
    }
    Ok(())
}

/// Compares with the true nearest, over all and within a user.
async fn recall(index: &Arc<EmbeddedIndex>, name: &CollectionName, maker: &mut Maker) -> Result<()> {
    for user in [None, Some("half"), Some("few")] {
        let filter = IndexFilter {
            user_id: user.and_then(|user| UserId::new(user).ok()),
            ..IndexFilter::default()
        };
        let mut found = 0;
        let mut asked = 0;
        for _ in 0..100 {
            let query = maker.vector();
            let mut scored: Vec<(f32, PhotoId)> = maker
                .points
                .iter()
                .filter(|point| filter.matches(point))
                .map(|point| (dot(&point.vector, &query), point.photo_id))
                .collect();
            scored.sort_by(|a, b| b.0.total_cmp(&a.0));
            let nearest: HashSet<PhotoId> = scored.iter().take(HITS).map(|(_, id)| *id).collect();
            let hits = index.search(name, &query, &filter, HITS).await?;
            found += hits.iter().filter(|hit| nearest.contains(&hit.photo_id)).count();
            asked += nearest.len();
        }
        println!("recall@{HITS}, user {user:?}: {:.3}", found as f64 / asked as f64);
    }
    Ok(())
}

#[derive(Clone)]
struct Maker {
    random: SmallRng,
    directions: Vec<Vec<f32>>,
    points: Vec<Point>,
}

impl Maker {
    fn new(dimensions: usize) -> Self {
        let mut random = SmallRng::seed_from_u64(7);
        let directions = (0..LATENT)
            .map(|_| (0..dimensions).map(|_| random.random_range(-1.0..1.0)).collect())
            .collect();
        Self {
            random,
            directions,
            points: Vec::new(),
        }
    }

    fn vector(&mut self) -> Vec<f32> {
        let mut vector: Vec<f32> = self.directions[0]
            .iter()
            .map(|_| self.random.random_range(-0.2..0.2))
            .collect();
        for direction in &self.directions {
            let weight = self.random.random_range(-1.0f32..1.0);
            for (number, part) in vector.iter_mut().zip(direction) {
                *number += weight * part;
            }
        }
        let length = dot(&vector, &vector).sqrt();
        vector.iter_mut().for_each(|number| *number /= length);
        vector
    }

    fn point(&mut self) -> Point {
        let user = match self.random.random_range(0..100) {
            0 => "few",
            1..50 => "half",
            _ => "other",
        };
        let point = Point {
            photo_id: PhotoId::generate(),
            vector: self.vector(),
            user_id: UserId::new(user).expect("the name is valid"),
            taken_at: None,
            tags: BTreeSet::new(),
        };
        self.points.push(point.clone());
        point
    }
}

fn dot(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

fn spread(mut times: Vec<Duration>) -> String {
    times.sort_unstable();
    let at = |share: f64| millis(times[((times.len() - 1) as f64 * share) as usize]);
    format!(
        "p50 {:.2} ms, p99 {:.2} ms, worst {:.2} ms of {}",
        at(0.5),
        at(0.99),
        at(1.0),
        times.len()
    )
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

/// Memory of this process, its own copy of the points included.
fn memory() -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let field = |name: &str| {
        status
            .lines()
            .find_map(|line| {
                line.strip_prefix(name)?
                    .trim()
                    .strip_suffix(" kB")?
                    .parse::<u64>()
                    .ok()
            })
            .unwrap_or_default()
            / 1024
    };
    format!(
        "memory {} MiB, of it mapped files {} MiB",
        field("VmRSS:"),
        field("RssFile:")
    )
}

/// What a folder takes on disk, holes not counted.
fn disk(folder: &Path) -> Result<String> {
    fn blocks(folder: &Path) -> std::io::Result<u64> {
        use std::os::unix::fs::MetadataExt;
        let mut sum = 0;
        for entry in std::fs::read_dir(folder)? {
            let entry = entry?;
            // A file may be gone between listing and looking.
            let Ok(metadata) = entry.metadata() else {
                continue;
            };
            sum += if metadata.is_dir() {
                blocks(&entry.path())?
            } else {
                metadata.blocks() * 512
            };
        }
        Ok(sum)
    }
    Ok(format!("disk {} KiB", blocks(folder)? / 1024))
}
