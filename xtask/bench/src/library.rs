//! A large library without large uploads: records and vectors written straight into the stores of a stopped server.
//!
//! The server makes the folder and takes in one real photo. Its record is then copied under new ids, with the same
//! blobs, so that the stores stay consistent and the reconciler finds nothing to mend. Vectors lie around those of
//! common things, as photos do: a direction of their own with some of a shared one.

use std::collections::HashSet;
use std::path::Path;

use anyhow::{Context as _, Result, anyhow};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use jiff::Timestamp;
use lucida::Registry;
use lucida::config::{Config, Flag, Sources};
use lucida_core::{CollectionName, ContentHash, Photo, PhotoId, PhotoQuery, Point};
use lucida_library::Parts;
use rand::rngs::SmallRng;
use rand::{Rng as _, SeedableRng as _};
use tempfile::TempDir;

use crate::client::Form;
use crate::photos::Photos;
use crate::server::Program;
use crate::texts;

/// How many points are written at once.
const CHUNK: usize = 1000;
/// How many records are written at once, which the metadata store puts into one transaction.
const INSERTS: usize = 256;
/// The length of what is a photo's own, where that of what it shares is 1: the cosine of the two is then 0.78.
const SPREAD: f32 = 0.8;

/// The tags that searches are filtered by, each with one photo of how many that has it.
pub(crate) const TAGS: [(&str, usize); 3] = [("half", 2), ("twentieth", 20), ("rare", 200)];

/// The share of a search without tags.
pub(crate) const ALL: usize = 1;

/// A folder with a library that grows.
pub(crate) struct Library {
    program: Program,
    folder: TempDir,
    template: Photo,
    /// Unit vectors, each of which some photos lie around.
    centres: Vec<Vec<f32>>,
    ids: Vec<PhotoId>,
    /// `(ids, dimensions)` f32, to compare searches with.
    vectors: Vec<f32>,
    random: SmallRng,
}

/// Opens the stores of a stopped server, with the configuration that it runs with.
async fn open(program: &Program, folder: &Path) -> Result<(Parts, CollectionName)> {
    let registry = Registry::default();
    let below = |path: &str, relative: &str| {
        let value = folder.join(relative).to_string_lossy().into_owned();
        Flag::new(path, value, path)
    };
    let mut flags = program.flags();
    flags.extend([
        below("storage.disk.root", "data/photos"),
        below("metadata.sqlite.path", "data/metadata.db"),
        below("index.embedded.path", "data/index"),
        below("queue.sqlite.path", "data/queue.db"),
        below("ingest.spool_dir", "data/spool"),
        // Loading models is the server's work.
        Flag::new("embedder.onnx.preload", "false", "embedder.onnx.preload"),
    ]);
    let sources = Sources {
        flags,
        ..Sources::default()
    };
    let config = Config::load(&registry, &sources).map_err(|findings| anyhow!("{findings}"))?;
    let stores = lucida::app::open_parts(&registry, &config).await?;
    let fingerprint = &stores.embedder.describe().fingerprint;
    let collection = CollectionName::for_fingerprint(stores.index.alias_name(), fingerprint)?;
    Ok((stores, collection))
}

impl Library {
    /// Makes a folder with one photo.
    pub(crate) async fn create(program: &Program, photos: &Photos) -> Result<Self> {
        let folder = tempfile::tempdir().context("cannot make a temporary folder")?;
        let server = program.start(folder.path()).await?;
        server.client().upload(Form::of(photos.get(0)), true).await?;
        let mut centres = Vec::new();
        for thing in texts::things() {
            centres.push(
                server
                    .client()
                    .text_vector(&format!("a photo of a {thing}"))
                    .await?,
            );
        }
        server.stop().await?;

        let (stores, collection) = open(program, folder.path()).await?;
        let query = PhotoQuery {
            limit: 1,
            ..PhotoQuery::default()
        };
        let photos = stores.metadata.list(&query).await?;
        let template = photos
            .into_iter()
            .next()
            .context("the uploaded photo is not in the metadata store")?;
        let vector = stores.index.vector(&collection, &template.id).await?;
        let vectors = vector.context("the uploaded photo is not in the index")?;
        let random = SmallRng::seed_from_u64(SEED);
        Ok(Self {
            program: program.clone(),
            folder,
            ids: vec![template.id],
            template,
            centres,
            vectors,
            random,
        })
    }

    /// Returns the folder to start a server in.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Adds photos until there are `size`.
    pub(crate) async fn grow_to(&mut self, size: usize) -> Result<()> {
        if self.ids.len() >= size {
            return Ok(());
        }
        let (stores, collection) = open(&self.program, self.folder.path()).await?;
        while self.ids.len() < size {
            let numbers = (self.ids.len()..size).take(CHUNK);
            let points: Vec<_> = numbers.map(|number| self.point(number)).collect();
            let photos = points.iter().map(|point| self.photo(point));
            let metadata = &stores.metadata;
            stream::iter(photos)
                .map(|photo| async move { metadata.insert(&photo).await })
                .buffer_unordered(INSERTS)
                .try_for_each(|_| async { Ok(()) })
                .await?;
            stores.index.upsert(&collection, &points).await?;
            for point in points {
                self.ids.push(point.photo_id);
                self.vectors.extend(point.vector);
            }
        }
        Ok(())
    }

    fn photo(&self, point: &Point) -> Photo {
        let id = point.photo_id;
        let now = Timestamp::now();
        // The metadata store wants every content once.
        let hash = ContentHash::of(id.as_uuid().as_bytes());
        Photo {
            id,
            hash,
            created_at: now,
            updated_at: now,
            version: 1,
            tags: point.tags.clone(),
            ..self.template.clone()
        }
    }

    fn point(&mut self, number: usize) -> Point {
        let centre = &self.centres[self.random.random_range(0..self.centres.len())];
        #[expect(clippy::cast_precision_loss, reason = "a few hundred dimensions")]
        let spread = SPREAD / (centre.len() as f32).sqrt();
        let vector: Vec<f32> = centre
            .iter()
            .map(|shared| shared + spread * normal(&mut self.random))
            .collect();
        let length = dot(&vector, &vector).sqrt();
        Point {
            photo_id: PhotoId::generate(),
            vector: vector.iter().map(|component| component / length).collect(),
            user_id: self.template.user_id.clone(),
            taken_at: self.template.taken_at,
            taken_at_local: self.template.taken_at_local,
            tags: TAGS
                .iter()
                .filter(|(_, share)| is_tagged(number, *share))
                .map(|(tag, _)| (*tag).to_owned())
                .collect(),
        }
    }

    /// Finds the nearest photos by comparing all, or all that have the tag of one in `share`.
    pub(crate) fn nearest(&self, query: &[f32], share: usize, limit: usize) -> HashSet<String> {
        let scores = self
            .vectors
            .chunks_exact(query.len())
            .map(|vector| dot(vector, query));
        let mut ranked: Vec<_> = scores
            .zip(&self.ids)
            .enumerate()
            .filter(|(number, _)| share == ALL || is_tagged(*number, share))
            .map(|(_, scored)| scored)
            .collect();
        ranked.sort_unstable_by(|(left, _), (right, _)| right.total_cmp(left));
        ranked
            .into_iter()
            .take(limit)
            .map(|(_, id)| id.to_string())
            .collect()
    }
}

/// Says whether the photo with this number has the tag of one in `share`. The first photo, uploaded, has none.
const fn is_tagged(number: usize, share: usize) -> bool {
    number % share == 1
}

/// Makes every run's library the same but for its ids.
const SEED: u64 = 20_241_206;

/// A number from the standard normal distribution (Box and Muller 1958).
fn normal(random: &mut SmallRng) -> f32 {
    let radius = (-2.0 * (1.0 - random.random::<f32>()).ln()).sqrt();
    radius * (std::f32::consts::TAU * random.random::<f32>()).cos()
}

fn dot(left: &[f32], right: &[f32]) -> f32 {
    left.iter().zip(right).map(|(left, right)| left * right).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn normal_numbers_have_mean_0_and_variance_1() {
        const COUNT: usize = 100_000;
        // Six standard errors of the mean, and of the variance, which has twice that variance.
        const TOLERANCE: f32 = 0.03;
        let mut random = SmallRng::seed_from_u64(1);
        let numbers: Vec<_> = (0..COUNT).map(|_| normal(&mut random)).collect();
        let mean = numbers.iter().sum::<f32>() / COUNT as f32;
        let variance = dot(&numbers, &numbers) / COUNT as f32;
        assert!(
            mean.abs() < TOLERANCE && (variance - 1.0).abs() < TOLERANCE,
            "{mean} {variance}"
        );
    }
}
