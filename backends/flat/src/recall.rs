//! Tests: searches find the true nearest, on vectors as models make them, in every way to search.

use std::time::{Duration, Instant};

use jiff::Timestamp;
use lucida_core::{CollectionName, IndexFilter, PhotoId, Point, VectorIndex};
use lucida_testkit::user;
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use tempfile::TempDir;

use crate::catalog::Catalog;
use crate::collection::WITHOUT_BITS;
use crate::config::FlatConfig;
use crate::search::Search;
use crate::write::{NewPoint, Write};

const DIMENSIONS: usize = 256;
const POINTS: usize = 24_000;
const QUERIES: usize = 40;
const HITS: usize = 10;
/// What the index promises.
const RECALL: f64 = 0.995;

/// Makes vectors in clusters, each vector the sum of a common direction, its cluster's and its own.
struct Maker {
    random: SmallRng,
    common: Vec<f32>,
    centres: Vec<Vec<f32>>,
    weights: [f32; 3],
}

impl Maker {
    /// Clusters all around.
    fn clustered(seed: u64) -> Self {
        Self::new(seed, [0.0, 0.75, 0.66])
    }

    /// A narrow cone: two vectors have a cosine of 0.7 in mean.
    fn cone(seed: u64) -> Self {
        Self::new(seed, [0.837, 0.4, 0.38])
    }

    fn new(seed: u64, weights: [f32; 3]) -> Self {
        let mut random = SmallRng::seed_from_u64(seed);
        Self {
            common: direction(&mut random),
            centres: (0..300).map(|_| direction(&mut random)).collect(),
            random,
            weights,
        }
    }

    fn vector(&mut self) -> Vec<f32> {
        let own = direction(&mut self.random);
        let centre = &self.centres[self.random.random_range(0..self.centres.len())];
        let [common, cluster, self_weight] = self.weights;
        let parts = self.common.iter().zip(centre).zip(&own);
        let sum: Vec<f32> = parts
            .map(|((a, b), c)| common * a + cluster * b + self_weight * c)
            .collect();
        crate::code::normalised(&sum)
    }

    fn points(&mut self, count: usize) -> Vec<Point> {
        (0..count)
            .map(|number| Point {
                photo_id: PhotoId::generate(),
                vector: self.vector(),
                user_id: user(["most", "some"][usize::from(number % 10 < 2)]),
                taken_at: Some(Timestamp::from_second(number as i64).unwrap()),
                taken_at_local: None,
                tags: [["rare", "common"][usize::from(number % 50 != 0)].to_owned()].into(),
            })
            .collect()
    }
}

fn direction(random: &mut SmallRng) -> Vec<f32> {
    let vector: Vec<f32> = (0..DIMENSIONS)
        .map(|_| (0..6).map(|_| random.random_range(-1.0_f32..1.0)).sum())
        .collect();
    crate::code::normalised(&vector)
}

struct Place {
    catalog: Catalog,
    name: CollectionName,
    _folder: TempDir,
}

impl Place {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let catalog = Catalog::open(FlatConfig {
            path: folder.path().join("index"),
            collection: "photo_embeddings".to_owned(),
            search_threads: 2,
        })
        .unwrap();
        let name = CollectionName::new("photo_embeddings-a").unwrap();
        catalog.ensure(&name, DIMENSIONS).unwrap();
        Self {
            catalog,
            name,
            _folder: folder,
        }
    }

    fn write(&self, points: &[Point]) {
        let collection = self.catalog.get(&self.name).unwrap();
        for batch in points.chunks(2_000) {
            let batch = batch
                .iter()
                .map(|point| NewPoint::of(point, collection.encode(&point.vector)))
                .collect();
            let answer = self
                .catalog
                .writer
                .write(std::sync::Arc::clone(&collection), Write::Upsert(batch));
            answer.unwrap().blocking_recv().unwrap().unwrap();
        }
    }

    /// Waits until the sketches fit what is there.
    fn settle(&self) {
        let collection = self.catalog.get(&self.name).unwrap();
        let start = Instant::now();
        while collection.needs_sketch() {
            assert!(start.elapsed() < Duration::from_secs(60), "no sketches are made");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    fn recall(&self, points: &[Point], filter: &IndexFilter, query: &mut dyn FnMut() -> Vec<f32>) -> f64 {
        let collection = self.catalog.get(&self.name).unwrap();
        let matching: Vec<_> = points.iter().filter(|point| filter.matches(point)).collect();
        let mut found = 0;
        for _ in 0..QUERIES {
            let vector = query();
            let mut scored: Vec<_> = matching
                .iter()
                .map(|point| (dot(&point.vector, &vector), point.photo_id))
                .collect();
            scored.sort_by(|left, right| right.0.total_cmp(&left.0));
            let search = Search {
                collection: &collection,
                readers: &self.catalog.readers,
                threads: &self.catalog.threads,
                vector: &vector,
                filter,
                limit: HITS,
            };
            let hits = search.run().unwrap();
            assert_eq!(hits.len(), HITS);
            found += scored[..HITS]
                .iter()
                .filter(|(_, id)| hits.iter().any(|hit| hit.photo_id == *id))
                .count();
        }
        found as f64 / (QUERIES * HITS) as f64
    }
}

fn dot(left: &[f32], right: &[f32]) -> f32 {
    left.iter().zip(right).map(|(l, r)| l * r).sum()
}

/// One filter for each way: the bits of all, the bits of some, and codes alone.
fn filters() -> [IndexFilter; 4] {
    let of = |name: &str| IndexFilter {
        user_id: Some(user(name)),
        ..IndexFilter::default()
    };
    let rare = IndexFilter {
        tags: vec!["rare".to_owned()],
        ..IndexFilter::default()
    };
    [IndexFilter::default(), of("most"), of("some"), rare]
}

fn assert_finds_the_nearest(mut maker: Maker, mut query: impl FnMut(&mut Maker) -> Vec<f32>) {
    let place = Place::new();
    let points = maker.points(POINTS);
    place.write(&points);
    place.settle();
    let matching: Vec<_> = filters()
        .iter()
        .map(|filter| points.iter().filter(|point| filter.matches(point)).count())
        .collect();
    assert!(
        matching[1] > WITHOUT_BITS && matching[2] < WITHOUT_BITS,
        "{matching:?}"
    );
    for filter in filters() {
        let recall = place.recall(&points, &filter, &mut || query(&mut maker));
        assert!(recall >= RECALL, "{recall} with {filter:?}");
    }
}

#[test]
fn the_nearest_of_clustered_vectors_are_found() {
    assert_finds_the_nearest(Maker::clustered(1), Maker::vector);
}

#[test]
fn the_nearest_of_vectors_in_a_narrow_cone_are_found() {
    let mut maker = Maker::cone(2);
    let mean: f32 = (0..500)
        .map(|_| dot(&maker.vector(), &maker.vector()))
        .sum::<f32>()
        / 500.0;
    assert!((mean - 0.7).abs() < 0.05, "{mean}");
    assert_finds_the_nearest(maker, Maker::vector);
}

/// As the words of a query are, for models of photos and words.
#[test]
fn the_nearest_to_queries_that_are_far_from_all_vectors_are_found() {
    let mut random = SmallRng::seed_from_u64(3);
    assert_finds_the_nearest(Maker::cone(4), move |maker| {
        let near = maker.vector();
        let away = direction(&mut random);
        let sum: Vec<f32> = near.iter().zip(&away).map(|(n, a)| 0.3 * n + 0.95 * a).collect();
        crate::code::normalised(&sum)
    });
}

#[test]
fn the_nearest_are_found_after_the_vectors_have_moved_away_from_where_they_began() {
    let place = Place::new();
    let mut points = Maker::cone(5).points(20_000);
    place.write(&points);
    place.settle();
    let mut maker = Maker::cone(6);
    let later = maker.points(40_000);
    place.write(&later);
    place.settle();
    points.extend(later);
    for filter in filters() {
        let recall = place.recall(&points, &filter, &mut || maker.vector());
        assert!(recall >= RECALL, "{recall} with {filter:?}");
    }
}

/// A user's photos may be all of one kind, which hardly differ in their bits.
#[test]
fn the_nearest_of_many_points_that_are_all_alike_are_found() {
    let place = Place::new();
    let mut maker = Maker::clustered(7);
    let mut points = maker.points(20_000);
    for (number, point) in points.iter_mut().enumerate() {
        point.user_id = user("others");
        point.tags.clear();
        point.taken_at = Some(Timestamp::from_second(number as i64).unwrap());
    }
    let mut alike = Maker::new(8, [0.97, 0.18, 0.16]);
    points.extend(alike.points(20_000));
    place.write(&points);
    place.settle();
    for filter in filters() {
        let recall = place.recall(&points, &filter, &mut || alike.vector());
        assert!(recall >= RECALL, "{recall} with {filter:?}");
    }
}

/// Searches go on while sketches are made and points are written.
#[tokio::test(flavor = "multi_thread")]
async fn searches_find_every_point_while_sketches_are_made() {
    let folder = tempfile::tempdir().unwrap();
    let index = crate::FlatIndex::open(FlatConfig {
        path: folder.path().join("index"),
        collection: "photo_embeddings".to_owned(),
        search_threads: 2,
    })
    .await
    .unwrap();
    let name = CollectionName::new("photo_embeddings-a").unwrap();
    index.ensure(&name, DIMENSIONS).await.unwrap();
    let mut written: Vec<Point> = Vec::new();
    for seed in 0..30 {
        // Each batch has a mean of its own, so that the centre keeps moving.
        let batch = Maker::cone(100 + seed).points(1_000);
        index.upsert(&name, &batch).await.unwrap();
        written.extend(batch);
        for point in written.iter().step_by(701) {
            let hits = index
                .search(&name, &point.vector, &IndexFilter::default(), 1)
                .await
                .unwrap();
            assert_eq!(hits[0].photo_id, point.photo_id, "after {} points", written.len());
        }
    }
}
