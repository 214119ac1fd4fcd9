//! Measures the embedded index through `VectorIndex`: writing, opening, searching with filters, memory, disk, and recall.
//!
//! `cargo run --release -p lucida-flat --example measure -- [--dimensions 512] 10000 100000 1000000`

#![expect(clippy::print_stdout, reason = "an example prints what it found")]

use std::collections::BTreeSet;
use std::path::Path;
use std::time::{Duration, Instant};

use lucida_core::{CollectionName, IndexFilter, PhotoId, Point, Result, UserId, VectorIndex};
use lucida_flat::{FlatConfig, FlatIndex};
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

const QUERIES: usize = 300;
/// How many of the queries are compared with brute force.
const EXACT: usize = 50;
const HITS: usize = 10;
const BATCH: usize = 64;
const CLUSTERS: usize = 2_000;

/// Sets of vectors: the weights of a common direction, of a cluster's, and of a vector's own.
const SETS: [(&str, [f32; 3]); 2] = [("clustered", [0.0, 0.75, 0.66]), ("cone", [0.837, 0.4, 0.38])];

/// Users and the share of the points that each has, in thousandths.
const USERS: [(&str, u32); 3] = [("half", 500), ("twentieth", 50), ("few", 5)];

#[tokio::main]
async fn main() -> Result<()> {
    let mut dimensions = 512;
    let mut sizes = Vec::new();
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        let value = if arg == "--dimensions" {
            args.next()
        } else {
            Some(arg.clone())
        };
        let value = value.and_then(|value| value.parse().ok()).unwrap_or(10_000);
        if arg == "--dimensions" {
            dimensions = value;
        } else {
            sizes.push(value);
        }
    }
    for size in sizes {
        for (set, weights) in SETS {
            println!("\n{size} points of {dimensions} dimensions, {set}");
            measure(size, Maker::new(dimensions, weights)).await?;
        }
    }
    Ok(())
}

async fn measure(size: usize, mut maker: Maker) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let config = FlatConfig {
        path: folder.path().join("index"),
        ..FlatConfig::default()
    };
    let name = CollectionName::new("photo_embeddings-measure")?;
    let index = FlatIndex::open(config.clone()).await?;
    index.ensure(&name, maker.common.len()).await?;
    index.set_alias(&name).await?;
    let points: Vec<Point> = (0..size).map(|_| maker.point()).collect();
    let started = Instant::now();
    for batch in points.chunks(BATCH) {
        index.upsert(&name, batch).await?;
    }
    let rate = size as f64 / started.elapsed().as_secs_f64();
    println!(
        "durable upserts, {BATCH} per call: {rate:.0} points/s, disk {} MiB",
        disk(folder.path())? >> 20
    );
    // What was written last may still be sketched in the background.
    tokio::time::sleep(Duration::from_secs(2 + size as u64 / 200_000)).await;

    let queries: Vec<Vec<f32>> = (0..QUERIES).map(|_| maker.vector()).collect();
    for (what, filter) in filters() {
        let mut times = Vec::new();
        let mut found = 0;
        let mut asked = 0;
        for (number, query) in queries.iter().enumerate() {
            let started = Instant::now();
            let hits = index.search(&name, query, &filter, HITS).await?;
            times.push(started.elapsed());
            if number < EXACT {
                let nearest = nearest(&points, query, &filter);
                asked += nearest.len();
                found += hits.iter().filter(|hit| nearest.contains(&hit.photo_id)).count();
            }
        }
        println!(
            "{what}: recall@{HITS} {:.4}, {}",
            found as f64 / asked as f64,
            spread(times)
        );
    }
    drop(points);
    drop(index);
    lucida_core::release_free_memory();
    let before = memory();
    let started = Instant::now();
    let index = FlatIndex::open(config).await?;
    let opened = started.elapsed();
    tokio::time::sleep(Duration::from_secs(2 + size as u64 / 200_000)).await;
    lucida_core::release_free_memory();
    let bytes = memory().saturating_sub(before) * 1024;
    println!(
        "open: {:.0} ms; memory {} MiB, {} bytes a point",
        opened.as_secs_f64() * 1e3,
        bytes >> 20,
        bytes / size as u64
    );
    let count = index.count(&name).await?;
    println!("count {count}");
    Ok(())
}

fn filters() -> Vec<(String, IndexFilter)> {
    let of_user = USERS.map(|(user, thousandths)| {
        let filter = IndexFilter {
            user_id: UserId::new(user).ok(),
            ..IndexFilter::default()
        };
        (format!("filter {} %", f64::from(thousandths) / 10.0), filter)
    });
    [("no filter".to_owned(), IndexFilter::default())]
        .into_iter()
        .chain(of_user)
        .collect()
}

/// Returns the true nearest.
fn nearest(points: &[Point], query: &[f32], filter: &IndexFilter) -> BTreeSet<PhotoId> {
    let mut scored: Vec<(f32, PhotoId)> = points
        .iter()
        .filter(|point| filter.matches(point))
        .map(|point| (dot(&point.vector, query), point.photo_id))
        .collect();
    let most = HITS.min(scored.len());
    if most < scored.len() {
        scored.select_nth_unstable_by(most, |left, right| right.0.total_cmp(&left.0));
    }
    scored[..most].iter().map(|(_, id)| *id).collect()
}

/// Makes unit vectors and points.
struct Maker {
    random: SmallRng,
    common: Vec<f32>,
    centres: Vec<Vec<f32>>,
    weights: [f32; 3],
}

impl Maker {
    fn new(dimensions: usize, weights: [f32; 3]) -> Self {
        let mut random = SmallRng::seed_from_u64(7);
        Self {
            common: direction(&mut random, dimensions),
            centres: (0..CLUSTERS)
                .map(|_| direction(&mut random, dimensions))
                .collect(),
            random,
            weights,
        }
    }

    fn vector(&mut self) -> Vec<f32> {
        let own = direction(&mut self.random, self.common.len());
        let centre = &self.centres[self.random.random_range(0..CLUSTERS)];
        let [common, cluster, alone] = self.weights;
        let parts = self.common.iter().zip(centre).zip(&own);
        unit(
            parts
                .map(|((a, b), c)| common * a + cluster * b + alone * c)
                .collect(),
        )
    }

    fn point(&mut self) -> Point {
        let mut draw = self.random.random_range(0..1_000);
        let user = USERS.iter().find(|(_, thousandths)| {
            let found = draw < *thousandths;
            draw = draw.wrapping_sub(*thousandths);
            found
        });
        let user = user.map_or("other", |(user, _)| *user);
        Point {
            photo_id: PhotoId::generate(),
            vector: self.vector(),
            user_id: UserId::new(user).expect("the name is valid"),
            taken_at: None,
            taken_at_local: None,
            tags: BTreeSet::new(),
        }
    }
}

fn direction(random: &mut SmallRng, dimensions: usize) -> Vec<f32> {
    let number = |random: &mut SmallRng| random.random_range(-1.0..1.0_f32) + random.random_range(-1.0..1.0);
    unit((0..dimensions).map(|_| number(random)).collect())
}

fn unit(vector: Vec<f32>) -> Vec<f32> {
    let length = dot(&vector, &vector).sqrt();
    vector.into_iter().map(|number| number / length).collect()
}

fn dot(left: &[f32], right: &[f32]) -> f32 {
    const LANES: usize = 16;
    let mut sums = [0.0; LANES];
    for (left, right) in left.chunks(LANES).zip(right.chunks(LANES)) {
        for ((sum, left), right) in sums.iter_mut().zip(left).zip(right) {
            *sum += left * right;
        }
    }
    sums.iter().sum()
}

fn spread(mut times: Vec<Duration>) -> String {
    times.sort_unstable();
    let at = |share: f64| times[((times.len() - 1) as f64 * share) as usize].as_secs_f64() * 1e3;
    format!("p50 {:.2} ms, p99 {:.2} ms", at(0.5), at(0.99))
}

/// Memory of this process in KiB.
fn memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let number = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse().ok());
    number.unwrap_or_default()
}

/// Bytes of a folder's files.
fn disk(folder: &Path) -> Result<u64> {
    let mut sum = 0;
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let metadata = entry.metadata()?;
        sum += if metadata.is_dir() {
            disk(&entry.path())?
        } else {
            metadata.len()
        };
    }
    Ok(sum)
}
