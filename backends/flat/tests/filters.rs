//! Searches find what meets the filter, all of it and nothing else, however little that is, and the nearest first.

#![expect(clippy::unwrap_used, reason = "what fails here fails the test")]

mod support;

use std::collections::HashSet;

use jiff::Timestamp;
use lucida_core::{CollectionName, IndexFilter, PhotoId, Point, VectorIndex};
use lucida_flat::FlatIndex;
use lucida_testkit::{unit_vector, user};
use support::config;

const DIMENSIONS: usize = 48;
/// Enough for every way to search.
const POINTS: usize = 40_000;
const LIMIT: usize = 10;
/// What the index promises; neighbours whose scores differ in the last digit may swap besides.
const RECALL: f64 = 0.995;
const SCORE_TOLERANCE: f32 = 1e-5;

fn name() -> CollectionName {
    CollectionName::new("photo_embeddings-a").unwrap()
}

/// The points; of each kind of condition, some leave 0, 1, 9, 10 and 11.
fn points() -> Vec<Point> {
    let few = [("one", 1), ("nine", 9), ("ten", 10), ("eleven", 11)];
    (0..POINTS)
        .map(|number| {
            let mut left = number;
            let word = few
                .iter()
                .find(|(_, count)| {
                    let fits = left < *count;
                    left = left.wrapping_sub(*count);
                    fits
                })
                .map_or(if number % 2 == 0 { "even" } else { "odd" }, |(word, _)| *word);
            Point {
                photo_id: PhotoId::generate(),
                vector: unit_vector(DIMENSIONS, number as u64),
                user_id: user(word),
                taken_at: Some(Timestamp::from_second(number as i64).unwrap()),
                taken_at_local: None,
                tags: [word.to_owned(), format!("of-{}", number % 7)].into(),
            }
        })
        .collect()
}

fn dot(left: &[f32], right: &[f32]) -> f32 {
    left.iter().zip(right).map(|(l, r)| l * r).sum()
}

async fn assert_finds(index: &FlatIndex, points: &[Point], filter: &IndexFilter, matching: Option<usize>) {
    let query = unit_vector(DIMENSIONS, 1_000_000);
    let mut expected: Vec<_> = points.iter().filter(|point| filter.matches(point)).collect();
    if let Some(matching) = matching {
        assert_eq!(expected.len(), matching, "{filter:?}");
    }
    expected.sort_by(|left, right| dot(&right.vector, &query).total_cmp(&dot(&left.vector, &query)));
    for limit in [1, LIMIT, LIMIT + 1, 700] {
        let hits = index.search(&name(), &query, filter, limit).await.unwrap();
        let found: HashSet<_> = hits.iter().map(|hit| hit.photo_id).collect();
        let nearest = &expected[..limit.min(expected.len())];
        assert_eq!(found.len(), nearest.len(), "limit {limit}, {filter:?}");
        assert!(hits.is_sorted_by(|left, right| left.score >= right.score));
        let hit = nearest
            .iter()
            .filter(|point| found.contains(&point.photo_id))
            .count();
        assert!(
            hit as f64 >= RECALL * nearest.len() as f64,
            "{hit} of {}, limit {limit}, {filter:?}",
            nearest.len()
        );
        for hit in &hits {
            let point = expected.iter().find(|point| point.photo_id == hit.photo_id);
            let point = point.unwrap_or_else(|| panic!("{hit:?} does not meet {filter:?}"));
            assert!(
                (hit.score - dot(&point.vector, &query)).abs() < SCORE_TOLERANCE,
                "{hit:?}"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn filters_that_leave_few_points_find_each_of_them() {
    let folder = tempfile::tempdir().unwrap();
    let index = FlatIndex::open(config(folder.path())).await.unwrap();
    index.ensure(&name(), DIMENSIONS).await.unwrap();
    let points = points();
    for batch in points.chunks(1_000) {
        index.upsert(&name(), batch).await.unwrap();
    }
    let words = [
        ("nobody", 0),
        ("one", 1),
        ("nine", 9),
        ("ten", 10),
        ("eleven", 11),
    ];
    for (word, matching) in words {
        let of_user = IndexFilter {
            user_id: Some(user(word)),
            ..IndexFilter::default()
        };
        let tagged = IndexFilter {
            tags: vec![word.to_owned()],
            ..IndexFilter::default()
        };
        let taken = IndexFilter {
            taken_from: Some(Timestamp::from_second(500).unwrap()),
            taken_to: Some(Timestamp::from_second(500 + matching as i64).unwrap()),
            ..IndexFilter::default()
        };
        let not_excluded = IndexFilter {
            exclude: points[matching..].iter().map(|point| point.photo_id).collect(),
            ..IndexFilter::default()
        };
        for filter in [of_user, tagged, taken, not_excluded] {
            assert_finds(&index, &points, &filter, Some(matching)).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn filters_that_leave_many_points_find_the_nearest_of_them() {
    let folder = tempfile::tempdir().unwrap();
    let index = FlatIndex::open(config(folder.path())).await.unwrap();
    index.ensure(&name(), DIMENSIONS).await.unwrap();
    let mut points = points();
    for batch in points.chunks(1_000) {
        index.upsert(&name(), batch).await.unwrap();
    }
    let even = IndexFilter {
        user_id: Some(user("even")),
        ..IndexFilter::default()
    };
    let several = IndexFilter {
        user_id: Some(user("odd")),
        tags: vec!["odd".to_owned(), "of-3".to_owned()],
        taken_from: Some(Timestamp::from_second(5_000).unwrap()),
        ..IndexFilter::default()
    };
    for filter in [IndexFilter::default(), even.clone(), several.clone()] {
        assert_finds(&index, &points, &filter, None).await;
    }
    // A third is deleted, a third changes hands, and some come back in the places of others.
    let (gone, left): (Vec<_>, Vec<_>) = points
        .drain(..)
        .enumerate()
        .partition(|(number, _)| number % 3 == 0);
    let ids: Vec<_> = gone.iter().map(|(_, point)| point.photo_id).collect();
    for batch in ids.chunks(2_000) {
        index.delete(&name(), batch).await.unwrap();
    }
    points = left.into_iter().map(|(_, point)| point).collect();
    let changed: HashSet<_> = points.iter().step_by(2).map(|point| point.photo_id).collect();
    for point in &mut points {
        if changed.contains(&point.photo_id) {
            point.user_id = user("even");
            point.vector.reverse();
        }
    }
    points.extend(gone.into_iter().take(5_000).map(|(_, mut point)| {
        point.photo_id = PhotoId::generate();
        point
    }));
    for batch in points.chunks(1_000) {
        index.upsert(&name(), batch).await.unwrap();
    }
    assert_eq!(index.count(&name()).await.unwrap(), points.len() as u64);
    for filter in [IndexFilter::default(), even.clone(), several.clone()] {
        assert_finds(&index, &points, &filter, None).await;
    }
    // The same after opening, where the free places are found again.
    drop(index);
    let index = FlatIndex::open(config(folder.path())).await.unwrap();
    for filter in [IndexFilter::default(), even, several] {
        assert_finds(&index, &points, &filter, None).await;
    }
}
