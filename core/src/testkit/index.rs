//! The contract of [`VectorIndex`], sentence by sentence.

use std::sync::Arc;

use jiff::Timestamp;

use super::{Fixture, collection, point, unit_vector, user};
use crate::error::{ErrorKind, Result};
use crate::id::PhotoId;
use crate::index::{CollectionName, IndexFilter, Point, ScoredId, VectorIndex};

/// Makes the tests of [`VectorIndex`]'s contract from an async function that gives a new, empty index.
#[macro_export]
macro_rules! index_contract {
    ($fixture:ident) => {
        mod index_contract {
            $crate::contract_tests! { index, $fixture,
                ensure_again_changes_nothing
                ensure_with_other_dimensions_is_a_conflict
                ensure_by_eight_at_once_makes_one_collection
                an_absent_collection_is_not_found
                the_nearest_come_first_with_their_cosine
                a_search_gives_as_many_as_asked_for_or_there_are
                a_users_few_are_found_among_many_nearer_ones_of_others
                a_search_by_time_includes_its_start_and_excludes_its_end
                a_search_by_tags_needs_all_of_them
                tags_are_taken_literally
                excluded_photos_make_room_for_others
                conditions_hold_together
                upsert_replaces_vector_and_payload
                upsert_of_nothing_is_fine
                a_vector_of_other_dimensions_is_invalid_and_nothing_is_written
                five_hundred_points_go_in_at_once
                a_vector_comes_back
                deleted_points_are_gone
                delete_of_what_is_absent_is_fine
                ids_come_in_ascending_order_in_pages
                collections_are_listed_and_kept_apart
                the_alias_moves_at_once
                the_alias_of_an_absent_collection_stays_as_it_was
                a_collection_under_the_alias_is_not_dropped
                a_dropped_collection_is_gone
                searches_go_on_during_writes
                ping_answers
            }
        }
    };
}

const DIMENSIONS: usize = 16;

/// Scores are cosines in f32, and an index may normalise a vector once more.
const SCORE_TOLERANCE: f32 = 1e-5;

async fn new_collection(index: &dyn VectorIndex) -> CollectionName {
    let name = collection(index, "main");
    index.ensure(&name, DIMENSIONS).await.unwrap();
    name
}

/// Makes points of one user with ascending ids and random vectors.
fn points(owner: &str, count: usize, seed: u64) -> Vec<Point> {
    (0..count)
        .map(|number| {
            let vector = unit_vector(DIMENSIONS, seed * 1_000_003 + number as u64);
            point(PhotoId::generate(), &user(owner), vector)
        })
        .collect()
}

fn dot(left: &[f32], right: &[f32]) -> f32 {
    left.iter().zip(right).map(|(l, r)| l * r).sum()
}

/// Makes a unit vector near another.
fn near(vector: &[f32], seed: u64, distance: f32) -> Vec<f32> {
    let away = unit_vector(vector.len(), seed);
    let moved: Vec<_> = vector.iter().zip(&away).map(|(v, a)| v + distance * a).collect();
    let norm = dot(&moved, &moved).sqrt();
    moved.into_iter().map(|x| x / norm).collect()
}

async fn found(
    index: &dyn VectorIndex,
    name: &CollectionName,
    vector: &[f32],
    filter: &IndexFilter,
) -> Vec<PhotoId> {
    let hits = index.search(name, vector, filter, 1_000).await.unwrap();
    let mut ids: Vec<_> = hits.into_iter().map(|hit| hit.photo_id).collect();
    ids.sort();
    ids
}

fn ids_of<'a>(points: impl IntoIterator<Item = &'a Point>) -> Vec<PhotoId> {
    let mut ids: Vec<_> = points.into_iter().map(|point| point.photo_id).collect();
    ids.sort();
    ids
}

fn kind<T>(result: Result<T>) -> ErrorKind {
    match result {
        Ok(_) => panic!("it succeeded"),
        Err(error) => error.kind(),
    }
}

/// Making sure of a collection twice keeps what is in it.
pub async fn ensure_again_changes_nothing(fixture: Fixture<dyn VectorIndex>) {
    let index = &*fixture.part;
    let name = new_collection(index).await;
    index.upsert(&name, &points("alice", 3, 1)).await.unwrap();
    index.ensure(&name, DIMENSIONS).await.unwrap();
    assert_eq!(index.count(&name).await.unwrap(), 3);
    assert_eq!(index.collections().await.unwrap(), [name]);
}

/// A collection keeps the dimensions it was made with.
pub async fn ensure_with_other_dimensions_is_a_conflict(fixture: Fixture<dyn VectorIndex>) {
    let index = &*fixture.part;
    let name = new_collection(index).await;
    let stored = points("alice", 3, 1);
    index.upsert(&name, &stored).await.unwrap();
    for other in [DIMENSIONS - 1, DIMENSIONS * 2] {
        assert_eq!(kind(index.ensure(&name, other).await), ErrorKind::Conflict);
    }
    let left = found(index, &name, &stored[0].vector, &IndexFilter::default()).await;
    assert_eq!(left, ids_of(&stored));
}

/// Several processes may start at the same moment.
pub async fn ensure_by_eight_at_once_makes_one_collection(fixture: Fixture<dyn VectorIndex>) {
    let name = collection(&*fixture.part, "main");
    let tasks: Vec<_> = (0..8)
        .map(|_| {
            let (index, name) = (Arc::clone(&fixture.part), name.clone());
            tokio::spawn(async move { index.ensure(&name, DIMENSIONS).await })
        })
        .collect();
    for task in tasks {
        task.await.unwrap().unwrap();
    }
    assert_eq!(fixture.part.count(&name).await.unwrap(), 0);
    assert_eq!(fixture.part.collections().await.unwrap(), [name]);
}

/// Reads and writes of a collection that was never made are `NotFound`, and make none.
pub async fn an_absent_collection_is_not_found(fixture: Fixture<dyn VectorIndex>) {
    let index = &*fixture.part;
    let name = collection(index, "absent");
    let some = points("alice", 1, 1);
    let vector = &some[0].vector;
    let filter = IndexFilter::default();
    assert_eq!(kind(index.upsert(&name, &some).await), ErrorKind::NotFound);
    assert_eq!(
        kind(index.search(&name, vector, &filter, 5).await),
        ErrorKind::NotFound
    );
    assert_eq!(
        kind(index.vector(&name, &some[0].photo_id).await),
        ErrorKind::NotFound
    );
    assert_eq!(kind(index.count(&name).await), ErrorKind::NotFound);
    assert_eq!(kind(index.ids(&name, None, 5).await), ErrorKind::NotFound);
    assert_eq!(kind(index.set_alias(&name).await), ErrorKind::NotFound);
    assert_eq!(index.collections().await.unwrap(), []);
    assert_eq!(index.alias().await.unwrap(), None);
}

/// Hits are ordered by the cosine, which is their score.
pub async fn the_nearest_come_first_with_their_cosine(fixture: Fixture<dyn VectorIndex>) {
    let index = &*fixture.part;
    let name = new_collection(index).await;
    let stored = points("alice", 200, 2);
    index.upsert(&name, &stored).await.unwrap();
    for seed in 0..10 {
        let query = unit_vector(DIMENSIONS, 77 + seed);
        let hits = index
            .search(&name, &query, &IndexFilter::default(), 10)
            .await
            .unwrap();
        let mut expected: Vec<_> = stored
            .iter()
            .map(|point| ScoredId {
                photo_id: point.photo_id,
                score: dot(&query, &point.vector),
            })
            .collect();
        expected.sort_by(|left, right| right.score.total_cmp(&left.score));
        assert_eq!(hits.len(), 10);
        for (hit, expected) in hits.iter().zip(&expected) {
            assert_eq!(hit.photo_id, expected.photo_id, "{hits:?}");
            let off = (hit.score - expected.score).abs();
            assert!(off < SCORE_TOLERANCE, "{hit:?} is not {expected:?}");
        }
    }
    // The opposite of a vector is as far as can be.
    let opposite: Vec<_> = stored[0].vector.iter().map(|x| -x).collect();
    let hits = index
        .search(&name, &opposite, &IndexFilter::default(), 200)
        .await
        .unwrap();
    let last = hits.last().unwrap();
    assert_eq!(last.photo_id, stored[0].photo_id);
    assert!((last.score + 1.0).abs() < SCORE_TOLERANCE, "{last:?}");
}

/// The limit is the most that comes back.
pub async fn a_search_gives_as_many_as_asked_for_or_there_are(fixture: Fixture<dyn VectorIndex>) {
    let index = &*fixture.part;
    let name = new_collection(index).await;
    let query = unit_vector(DIMENSIONS, 1);
    let everything = IndexFilter::default();
    let none = index.search(&name, &query, &everything, 10).await.unwrap();
    assert_eq!(none, []);
    index.upsert(&name, &points("alice", 30, 3)).await.unwrap();
    for (limit, expected) in [(1, 1), (30, 30), (500, 30)] {
        let hits = index.search(&name, &query, &everything, limit).await.unwrap();
        assert_eq!(hits.len(), expected);
    }
}

/// The filter goes before the search: nearer points that it excludes take no place among the hits.
pub async fn a_users_few_are_found_among_many_nearer_ones_of_others(fixture: Fixture<dyn VectorIndex>) {
    let index = &*fixture.part;
    let name = new_collection(index).await;
    let query = unit_vector(DIMENSIONS, 5);
    let others: Vec<_> = (0..3_000_u64)
        .map(|seed| {
            let vector = near(&query, seed, 0.2);
            point(PhotoId::generate(), &user("bob"), vector)
        })
        .collect();
    let opposite: Vec<_> = query.iter().map(|x| -x).collect();
    let hers: Vec<_> = (0..7_u64)
        .map(|seed| {
            let vector = near(&opposite, seed, 0.5);
            point(PhotoId::generate(), &user("alice"), vector)
        })
        .collect();
    for batch in others.chunks(500) {
        index.upsert(&name, batch).await.unwrap();
    }
    index.upsert(&name, &hers).await.unwrap();
    let filter = IndexFilter {
        user_id: Some(user("alice")),
        ..IndexFilter::default()
    };
    let hits = index.search(&name, &query, &filter, 5).await.unwrap();
    assert_eq!(hits.len(), 5);
    assert_eq!(found(index, &name, &query, &filter).await, ids_of(&hers));
    let nobody = IndexFilter {
        user_id: Some(user("carol")),
        ..IndexFilter::default()
    };
    assert_eq!(found(index, &name, &query, &nobody).await, []);
}

/// From is inclusive, to is exclusive, finer than a second; photos without a time are in no span.
pub async fn a_search_by_time_includes_its_start_and_excludes_its_end(fixture: Fixture<dyn VectorIndex>) {
    let index = &*fixture.part;
    let name = new_collection(index).await;
    let noon = 1_720_008_000_000_i64;
    let millis = |since_1970: i64| Timestamp::from_millisecond(since_1970).unwrap();
    let taken = [
        None,
        Some(-5_000_000_001),
        Some(noon - 1),
        Some(noon),
        Some(noon + 1),
        Some(noon + 250),
        Some(noon + 86_400_000),
    ];
    let mut stored = points("alice", taken.len(), 4);
    for (point, taken) in stored.iter_mut().zip(taken) {
        point.taken_at = taken.map(millis);
    }
    index.upsert(&name, &stored).await.unwrap();
    for (from, to, numbers) in [
        (Some(noon), None, vec![3, 4, 5, 6]),
        (Some(noon + 1), None, vec![4, 5, 6]),
        (None, Some(noon), vec![1, 2]),
        (None, Some(noon + 1), vec![1, 2, 3]),
        (Some(noon - 1), Some(noon + 1), vec![2, 3]),
        (Some(noon + 1), Some(noon + 250), vec![4]),
        (Some(-5_000_000_001), Some(-5_000_000_000), vec![1]),
        (Some(noon), Some(noon), vec![]),
        (None, None, vec![0, 1, 2, 3, 4, 5, 6]),
    ] {
        let filter = IndexFilter {
            taken_from: from.map(millis),
            taken_to: to.map(millis),
            ..IndexFilter::default()
        };
        let hits = found(index, &name, &stored[0].vector, &filter).await;
        let expected = ids_of(numbers.into_iter().map(|number| &stored[number]));
        assert_eq!(hits, expected, "{from:?} to {to:?}");
    }
}

/// A photo is found when it has every tag asked for.
pub async fn a_search_by_tags_needs_all_of_them(fixture: Fixture<dyn VectorIndex>) {
    let index = &*fixture.part;
    let name = new_collection(index).await;
    let tags: [&[&str]; 5] = [
        &[],
        &["sea"],
        &["sea", "summer"],
        &["summer", "sea", "2024"],
        &["seaside"],
    ];
    let mut stored = points("alice", tags.len(), 5);
    for (point, tags) in stored.iter_mut().zip(tags) {
        point.tags = tags.iter().map(|tag| (*tag).to_owned()).collect();
    }
    index.upsert(&name, &stored).await.unwrap();
    for (asked, numbers) in [
        (vec!["sea"], vec![1, 2, 3]),
        (vec!["sea", "summer"], vec![2, 3]),
        (vec!["summer", "2024", "sea"], vec![3]),
        (vec!["seaside"], vec![4]),
        (vec!["sea", "seaside"], vec![]),
        (vec!["Sea"], vec![]),
        (vec![], vec![0, 1, 2, 3, 4]),
    ] {
        let filter = IndexFilter {
            tags: asked.iter().map(|tag| (*tag).to_owned()).collect(),
            ..IndexFilter::default()
        };
        let hits = found(index, &name, &stored[0].vector, &filter).await;
        let expected = ids_of(numbers.into_iter().map(|number| &stored[number]));
        assert_eq!(hits, expected, "{asked:?}");
    }
}

/// No character of a tag means anything but itself.
pub async fn tags_are_taken_literally(fixture: Fixture<dyn VectorIndex>) {
    let index = &*fixture.part;
    let name = new_collection(index).await;
    let tags = [
        "100%", "1000", "Straße", "海滩", "🏖️", "a,b", "a", "\"", "'", "\\", " a", "é", "e\u{301}", "null",
        "5",
    ];
    let mut stored = points("alice", tags.len(), 6);
    for (point, tag) in stored.iter_mut().zip(tags) {
        point.tags.insert(tag.to_owned());
    }
    index.upsert(&name, &stored).await.unwrap();
    for (point, tag) in stored.iter().zip(tags) {
        let filter = IndexFilter {
            tags: vec![tag.to_owned()],
            ..IndexFilter::default()
        };
        let hits = found(index, &name, &stored[0].vector, &filter).await;
        assert_eq!(hits, [point.photo_id], "{tag:?}");
    }
}

/// Excluded photos do not count toward the limit.
pub async fn excluded_photos_make_room_for_others(fixture: Fixture<dyn VectorIndex>) {
    let index = &*fixture.part;
    let name = new_collection(index).await;
    let stored = points("alice", 50, 7);
    index.upsert(&name, &stored).await.unwrap();
    let query = &stored[20].vector;
    let all = index
        .search(&name, query, &IndexFilter::default(), 50)
        .await
        .unwrap();
    assert_eq!(all[0].photo_id, stored[20].photo_id);
    let mut exclude: Vec<_> = all[..10].iter().map(|hit| hit.photo_id).collect();
    exclude.push(PhotoId::generate());
    let filter = IndexFilter {
        exclude,
        ..IndexFilter::default()
    };
    let hits = index.search(&name, query, &filter, 10).await.unwrap();
    let ids: Vec<_> = hits.iter().map(|hit| hit.photo_id).collect();
    let expected: Vec<_> = all[10..20].iter().map(|hit| hit.photo_id).collect();
    assert_eq!(ids, expected);
}

/// All conditions that are set hold at once: the answer is that of [`IndexFilter::matches`].
pub async fn conditions_hold_together(fixture: Fixture<dyn VectorIndex>) {
    let index = &*fixture.part;
    let name = new_collection(index).await;
    let seconds = |number: usize| Timestamp::from_second(1_720_000_000 + number as i64).unwrap();
    let mut stored = points("alice", 60, 8);
    for (number, point) in stored.iter_mut().enumerate() {
        if number.is_multiple_of(4) {
            point.user_id = user("bob");
        }
        point.taken_at = (!number.is_multiple_of(5)).then(|| seconds(number % 9));
        for (divisor, tag) in [(2, "two"), (3, "three")] {
            if number.is_multiple_of(divisor) {
                point.tags.insert(tag.to_owned());
            }
        }
    }
    index.upsert(&name, &stored).await.unwrap();
    let mut hits = 0;
    for number in 0..32 {
        let chosen = |bit: u32| number >> bit & 1 == 1;
        let filter = IndexFilter {
            user_id: chosen(0).then(|| user("alice")),
            taken_from: chosen(1).then(|| seconds(2)),
            taken_to: chosen(2).then(|| seconds(7)),
            tags: if chosen(3) { vec!["two".to_owned()] } else { vec![] },
            exclude: if chosen(4) {
                ids_of(&stored[10..30])
            } else {
                vec![]
            },
        };
        let expected = ids_of(stored.iter().filter(|point| filter.matches(point)));
        hits += expected.len();
        assert_eq!(
            found(index, &name, &stored[0].vector, &filter).await,
            expected,
            "{filter:?}"
        );
    }
    assert!(hits > 200, "the filters are no test when they find nothing");
}

/// A point replaces the one of the same photo whole: vector, owner, time and tags.
pub async fn upsert_replaces_vector_and_payload(fixture: Fixture<dyn VectorIndex>) {
    let index = &*fixture.part;
    let name = new_collection(index).await;
    let mut first = points("alice", 1, 9).remove(0);
    first.taken_at = Some(Timestamp::from_second(1_720_000_000).unwrap());
    first.tags = ["old".to_owned(), "both".to_owned()].into();
    index.upsert(&name, std::slice::from_ref(&first)).await.unwrap();
    let mut second = point(first.photo_id, &user("bob"), unit_vector(DIMENSIONS, 999));
    second.tags = ["new".to_owned(), "both".to_owned()].into();
    index.upsert(&name, std::slice::from_ref(&second)).await.unwrap();
    assert_eq!(index.count(&name).await.unwrap(), 1);
    let hits = index
        .search(&name, &second.vector, &IndexFilter::default(), 5)
        .await
        .unwrap();
    assert_eq!(hits.len(), 1);
    assert!((hits[0].score - 1.0).abs() < SCORE_TOLERANCE, "{hits:?}");
    let tagged = |tag: &str| IndexFilter {
        tags: vec![tag.to_owned()],
        ..IndexFilter::default()
    };
    let owned = |owner: &str| IndexFilter {
        user_id: Some(user(owner)),
        ..IndexFilter::default()
    };
    let timed = IndexFilter {
        taken_from: Some(Timestamp::from_second(0).unwrap()),
        ..IndexFilter::default()
    };
    for (filter, there) in [
        (tagged("old"), false),
        (tagged("new"), true),
        (tagged("both"), true),
        (owned("alice"), false),
        (owned("bob"), true),
        (timed, false),
    ] {
        let hits = found(index, &name, &first.vector, &filter).await;
        assert_eq!(hits.len(), usize::from(there), "{filter:?}");
    }
}

/// An empty batch is fine.
pub async fn upsert_of_nothing_is_fine(fixture: Fixture<dyn VectorIndex>) {
    let index = &*fixture.part;
    let name = new_collection(index).await;
    index.upsert(&name, &[]).await.unwrap();
    index.delete(&name, &[]).await.unwrap();
    assert_eq!(index.count(&name).await.unwrap(), 0);
}

/// One wrong vector in a batch leaves the whole batch out.
pub async fn a_vector_of_other_dimensions_is_invalid_and_nothing_is_written(
    fixture: Fixture<dyn VectorIndex>,
) {
    let index = &*fixture.part;
    let name = new_collection(index).await;
    let filter = IndexFilter::default();
    for wrong in [0, 1, DIMENSIONS - 1, DIMENSIONS + 1] {
        let mut batch = points("alice", 10, 10);
        batch[7].vector = vec![0.5; wrong];
        assert_eq!(kind(index.upsert(&name, &batch).await), ErrorKind::InvalidInput);
        assert_eq!(index.count(&name).await.unwrap(), 0);
        let searched = index.search(&name, &vec![0.5; wrong], &filter, 5).await;
        assert_eq!(kind(searched), ErrorKind::InvalidInput);
    }
}

/// A large batch goes in whole.
pub async fn five_hundred_points_go_in_at_once(fixture: Fixture<dyn VectorIndex>) {
    let index = &*fixture.part;
    let name = new_collection(index).await;
    let stored = points("alice", 500, 11);
    index.upsert(&name, &stored).await.unwrap();
    assert_eq!(index.count(&name).await.unwrap(), 500);
    assert_eq!(index.ids(&name, None, 1_000).await.unwrap(), ids_of(&stored));
    for point in stored.iter().step_by(50) {
        let hits = index
            .search(&name, &point.vector, &IndexFilter::default(), 1)
            .await
            .unwrap();
        assert_eq!(hits[0].photo_id, point.photo_id);
    }
}

/// The vector of a photo can be read, so that photos like it can be searched for.
pub async fn a_vector_comes_back(fixture: Fixture<dyn VectorIndex>) {
    let index = &*fixture.part;
    let name = new_collection(index).await;
    let stored = points("alice", 3, 12);
    index.upsert(&name, &stored).await.unwrap();
    for point in &stored {
        let vector = index.vector(&name, &point.photo_id).await.unwrap().unwrap();
        assert_eq!(vector.len(), DIMENSIONS);
        for (got, given) in vector.iter().zip(&point.vector) {
            assert!((got - given).abs() < SCORE_TOLERANCE, "{got} is not {given}");
        }
    }
    let missing = index.vector(&name, &PhotoId::generate()).await.unwrap();
    assert_eq!(missing, None);
}

/// Deleted points are neither found nor counted nor listed.
pub async fn deleted_points_are_gone(fixture: Fixture<dyn VectorIndex>) {
    let index = &*fixture.part;
    let name = new_collection(index).await;
    let stored = points("alice", 40, 13);
    index.upsert(&name, &stored).await.unwrap();
    let (gone, left) = stored.split_at(15);
    index.delete(&name, &ids_of(gone)).await.unwrap();
    assert_eq!(index.count(&name).await.unwrap(), 25);
    assert_eq!(index.ids(&name, None, 100).await.unwrap(), ids_of(left));
    let vector = index.vector(&name, &gone[0].photo_id).await.unwrap();
    assert_eq!(vector, None);
    let hits = found(index, &name, &gone[0].vector, &IndexFilter::default()).await;
    assert_eq!(hits, ids_of(left));
    // A deleted photo can come back.
    index.upsert(&name, &gone[..1]).await.unwrap();
    let hits = index
        .search(&name, &gone[0].vector, &IndexFilter::default(), 1)
        .await
        .unwrap();
    assert_eq!(hits[0].photo_id, gone[0].photo_id);
}

/// Deleting absent points, or from an absent collection, is fine and makes none.
pub async fn delete_of_what_is_absent_is_fine(fixture: Fixture<dyn VectorIndex>) {
    let index = &*fixture.part;
    let name = new_collection(index).await;
    let stored = points("alice", 2, 14);
    index.upsert(&name, &stored).await.unwrap();
    let mixed = [PhotoId::generate(), stored[0].photo_id];
    index.delete(&name, &mixed).await.unwrap();
    index.delete(&name, &mixed).await.unwrap();
    assert_eq!(index.count(&name).await.unwrap(), 1);
    let absent = collection(index, "absent");
    index.delete(&absent, &mixed).await.unwrap();
    assert_eq!(index.collections().await.unwrap(), [name]);
}

/// Ids are walked through in pages, each going on after the last; a cursor need not exist.
pub async fn ids_come_in_ascending_order_in_pages(fixture: Fixture<dyn VectorIndex>) {
    let index = &*fixture.part;
    let name = new_collection(index).await;
    assert_eq!(index.ids(&name, None, 10).await.unwrap(), []);
    let mut stored = points("alice", 53, 15);
    let expected = ids_of(&stored);
    // Written in another order than that of the ids.
    stored.sort_by(|left, right| left.vector[0].total_cmp(&right.vector[0]));
    for batch in stored.chunks(10) {
        index.upsert(&name, batch).await.unwrap();
    }
    for limit in [1, 10, 53, 100] {
        let mut read: Vec<PhotoId> = Vec::new();
        loop {
            let next = index.ids(&name, read.last(), limit).await.unwrap();
            assert!(next.len() <= limit);
            if next.is_empty() {
                break;
            }
            read.extend(next);
        }
        assert_eq!(read, expected, "in pages of {limit}");
    }
    index.delete(&name, &expected[9..=10]).await.unwrap();
    let after_gone = index.ids(&name, Some(&expected[9]), 2).await.unwrap();
    assert_eq!(after_gone, expected[11..13]);
}

/// Collections share nothing: not their points, not their dimensions.
pub async fn collections_are_listed_and_kept_apart(fixture: Fixture<dyn VectorIndex>) {
    let index = &*fixture.part;
    assert_eq!(index.collections().await.unwrap(), []);
    let first = new_collection(index).await;
    let second = collection(index, "second");
    index.ensure(&second, 3).await.unwrap();
    let mut names = vec![first.clone(), second.clone()];
    names.sort();
    assert_eq!(index.collections().await.unwrap(), names);
    let stored = points("alice", 4, 16);
    index.upsert(&first, &stored).await.unwrap();
    let small = point(stored[0].photo_id, &user("alice"), vec![0.0, 1.0, 0.0]);
    index.upsert(&second, &[small]).await.unwrap();
    assert_eq!(index.count(&first).await.unwrap(), 4);
    assert_eq!(index.count(&second).await.unwrap(), 1);
    index.delete(&second, &ids_of(&stored)).await.unwrap();
    assert_eq!(index.count(&first).await.unwrap(), 4);
    assert_eq!(index.count(&second).await.unwrap(), 0);
}

/// The alias is none at first, then what it was last set to.
pub async fn the_alias_moves_at_once(fixture: Fixture<dyn VectorIndex>) {
    let index = &*fixture.part;
    assert!(
        CollectionName::new(index.alias_name()).is_ok(),
        "{:?}",
        index.alias_name()
    );
    assert_eq!(index.alias().await.unwrap(), None);
    let first = new_collection(index).await;
    let second = collection(index, "second");
    index.ensure(&second, DIMENSIONS).await.unwrap();
    assert_eq!(index.alias().await.unwrap(), None);
    for name in [&first, &second, &second, &first] {
        index.set_alias(name).await.unwrap();
        assert_eq!(index.alias().await.unwrap().as_ref(), Some(name));
    }
    // The alias is no collection.
    assert_eq!(index.collections().await.unwrap().len(), 2);
}

/// Pointing the alias to nothing is refused.
pub async fn the_alias_of_an_absent_collection_stays_as_it_was(fixture: Fixture<dyn VectorIndex>) {
    let index = &*fixture.part;
    let absent = collection(index, "absent");
    assert_eq!(kind(index.set_alias(&absent).await), ErrorKind::NotFound);
    assert_eq!(index.alias().await.unwrap(), None);
    let name = new_collection(index).await;
    index.set_alias(&name).await.unwrap();
    assert_eq!(kind(index.set_alias(&absent).await), ErrorKind::NotFound);
    assert_eq!(index.alias().await.unwrap(), Some(name));
}

/// What is being served can't be dropped; what was served before can.
pub async fn a_collection_under_the_alias_is_not_dropped(fixture: Fixture<dyn VectorIndex>) {
    let index = &*fixture.part;
    let first = new_collection(index).await;
    index.upsert(&first, &points("alice", 2, 17)).await.unwrap();
    index.set_alias(&first).await.unwrap();
    assert_eq!(kind(index.drop_collection(&first).await), ErrorKind::Conflict);
    assert_eq!(index.count(&first).await.unwrap(), 2);
    assert_eq!(index.alias().await.unwrap(), Some(first.clone()));
    let second = collection(index, "second");
    index.ensure(&second, DIMENSIONS).await.unwrap();
    index.set_alias(&second).await.unwrap();
    index.drop_collection(&first).await.unwrap();
    assert_eq!(index.collections().await.unwrap(), [second]);
}

/// A dropped collection can be made anew, empty, with other dimensions; dropping an absent one is fine.
pub async fn a_dropped_collection_is_gone(fixture: Fixture<dyn VectorIndex>) {
    let index = &*fixture.part;
    let name = new_collection(index).await;
    index.upsert(&name, &points("alice", 5, 18)).await.unwrap();
    index.drop_collection(&name).await.unwrap();
    index.drop_collection(&name).await.unwrap();
    assert_eq!(kind(index.count(&name).await), ErrorKind::NotFound);
    assert_eq!(index.collections().await.unwrap(), []);
    index.ensure(&name, DIMENSIONS + 1).await.unwrap();
    assert_eq!(index.count(&name).await.unwrap(), 0);
}

/// Readers and writers at once: every search succeeds, and finds what was there before it began.
pub async fn searches_go_on_during_writes(fixture: Fixture<dyn VectorIndex>) {
    let name = new_collection(&*fixture.part).await;
    let steady = points("alice", 20, 19);
    fixture.part.upsert(&name, &steady).await.unwrap();
    let writers: Vec<_> = (0..4)
        .map(|writer| {
            let (index, name) = (Arc::clone(&fixture.part), name.clone());
            tokio::spawn(async move {
                for round in 0..10 {
                    let mine = points("bob", 10, 100 + writer * 10 + round);
                    index.upsert(&name, &mine).await.unwrap();
                    index.delete(&name, &ids_of(&mine[5..])).await.unwrap();
                }
            })
        })
        .collect();
    let filter = IndexFilter {
        user_id: Some(user("alice")),
        ..IndexFilter::default()
    };
    for point in steady.iter().cycle().take(60) {
        let hits = fixture
            .part
            .search(&name, &point.vector, &filter, 100)
            .await
            .unwrap();
        assert_eq!(hits.len(), 20);
        assert_eq!(hits[0].photo_id, point.photo_id);
        tokio::task::yield_now().await;
    }
    for writer in writers {
        writer.await.unwrap();
    }
    assert_eq!(fixture.part.count(&name).await.unwrap(), 20 + 4 * 10 * 5);
}

/// A healthy index says so.
pub async fn ping_answers(fixture: Fixture<dyn VectorIndex>) {
    fixture.part.ping().await.unwrap();
    assert_eq!(fixture.part.collections().await.unwrap(), []);
}
