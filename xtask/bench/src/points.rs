//! How long the stand-in for Qdrant searches among many points: it compares them all.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Instant;

use anyhow::{Result, anyhow};
use jiff::Timestamp;
use lucida::config::{Config, Flag, Sources};
use lucida_core::{CollectionName, IndexFilter, PhotoId, Point, UserId, VectorIndex};
use rand::rngs::SmallRng;
use rand::{Rng as _, SeedableRng as _};

use crate::cluster::{self, Cluster};
use crate::report::{Section, milliseconds, thousands};
use crate::server::Setting;
use crate::statistics::Latencies;
use crate::{Effort, slow};

/// How many points are written at once.
const CHUNK: usize = 500;
const SEARCHES: usize = 50;
const LIMIT: usize = 20;
const SEED: u64 = 20_261_125;

/// Measures.
pub(crate) async fn measure(effort: Effort) -> Result<Section> {
    let count = effort.points();
    let folder = tempfile::tempdir()?;
    let cluster = Cluster::start()?;
    let wanted = |setting: &Setting| setting.key.starts_with("index.");
    let settings = cluster::settings(&cluster.urls(), "points");
    let stores = open(folder.path(), settings.into_iter().filter(wanted)).await?;
    let index = &stores.index;
    let fingerprint = &stores.embedder.describe().fingerprint;
    let collection = CollectionName::for_fingerprint(index.alias_name(), fingerprint)?;
    fill(index.as_ref(), &collection, count).await?;
    let mut random = SmallRng::seed_from_u64(SEED + 1);
    let filter = IndexFilter {
        user_id: Some(user()?),
        ..IndexFilter::default()
    };
    let mut searches = Vec::new();
    for _ in 0..SEARCHES {
        let query = vector(&mut random);
        let begun = Instant::now();
        index.search(&collection, &query, &filter, LIMIT).await?;
        searches.push(begun.elapsed());
    }
    let searches = Latencies::new(searches);

    let about = format!(
        "{} points of {} dimensions with owner, time and two tags.",
        thousands(count),
        slow::DIMENSIONS
    );
    let mut section = Section::new("Points of a cluster", about, &["", "figure"]);
    section.row([
        "a search of the stand-in, p50".to_owned(),
        milliseconds(searches.percentile_ms(50)),
    ]);
    Ok(section)
}

/// Opens stores that live as long as this program, but for an index.
async fn open(folder: &Path, index: impl IntoIterator<Item = Setting>) -> Result<lucida_library::Parts> {
    let spool = folder.join("spool").to_string_lossy().into_owned();
    let settings = [
        Setting::new("storage.type", "memory"),
        Setting::new("metadata.type", "memory"),
        Setting::new("queue.type", "memory"),
        Setting::new("embedder.type", slow::TYPE_NAME),
        Setting::new("ingest.spool_dir", spool),
    ];
    let settings = settings.into_iter().chain(index);
    let sources = Sources {
        flags: settings
            .map(|Setting { key, value }| Flag::new(&key, value, &key))
            .collect(),
        ..Sources::default()
    };
    let registry = slow::registry();
    let config = Config::load(&registry, &sources).map_err(|findings| anyhow!("{findings}"))?;
    Ok(lucida::app::open_parts(&registry, &config).await?)
}

/// Writes points of one user, which differ.
async fn fill(index: &dyn VectorIndex, collection: &CollectionName, count: usize) -> Result<()> {
    let mut random = SmallRng::seed_from_u64(SEED);
    let user = user()?;
    index.ensure(collection, slow::DIMENSIONS).await?;
    for first in (0..count).step_by(CHUNK) {
        let points: Vec<_> = (first..count.min(first + CHUNK))
            .map(|number| Point {
                photo_id: PhotoId::generate(),
                vector: vector(&mut random),
                user_id: user.clone(),
                taken_at: Some(Timestamp::now()),
                taken_at_local: None,
                tags: BTreeSet::from([format!("camera-{}", number % 50), format!("year-{}", number % 10)]),
            })
            .collect();
        index.upsert(collection, &points).await?;
    }
    Ok(())
}

fn user() -> Result<UserId> {
    Ok(UserId::new("a-user")?)
}

/// Draws a unit vector.
fn vector(random: &mut SmallRng) -> Vec<f32> {
    let drawn: Vec<f32> = (0..slow::DIMENSIONS)
        .map(|_| random.random_range(-1.0..1.0))
        .collect();
    let length = drawn
        .iter()
        .map(|component| component * component)
        .sum::<f32>()
        .sqrt();
    drawn.iter().map(|component| component / length).collect()
}
