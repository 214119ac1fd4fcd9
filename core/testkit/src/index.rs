//! The contract of [`VectorIndex`], sentence by sentence: points, collections, the alias. Searches are in
//! [`super::index_search`].

use std::sync::Arc;

use jiff::Timestamp;
use lucida_core::{CollectionName, ErrorKind, IndexFilter, PhotoId, Point, Result, VectorIndex};

use super::{Fixture, collection, point, unit_vector, user};

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
            $crate::contract_tests! { index_search, $fixture,
                the_nearest_come_first_with_their_cosine
                a_search_gives_as_many_as_asked_for_or_there_are
                a_users_few_are_found_among_many_nearer_ones_of_others
                a_search_by_time_includes_its_start_and_excludes_its_end
                a_search_by_local_time_goes_by_the_clock_where_a_photo_was_taken
                a_search_by_tags_needs_all_of_them
                tags_are_taken_literally
                excluded_photos_make_room_for_others
                filters_that_leave_about_as_many_as_asked_for_find_each_of_them
                conditions_hold_together
            }
        }
    };
}

pub(super) const DIMENSIONS: usize = 16;

/// Scores are cosines in f32, and an index may normalise a vector once more.
pub(super) const SCORE_TOLERANCE: f32 = 1e-5;

pub(super) async fn new_collection(index: &dyn VectorIndex) -> CollectionName {
    let name = collection(index, "main");
    index.ensure(&name, DIMENSIONS).await.unwrap();
    name
}

/// Makes points of one user with ascending ids and random vectors.
pub(super) fn points(owner: &str, count: usize, seed: u64) -> Vec<Point> {
    (0..count)
        .map(|number| {
            let vector = unit_vector(DIMENSIONS, seed * 1_000_003 + number as u64);
            point(PhotoId::generate(), &user(owner), vector)
        })
        .collect()
}

pub(super) async fn found(
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

pub(super) fn ids_of<'a>(points: impl IntoIterator<Item = &'a Point>) -> Vec<PhotoId> {
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
    // The alias is not a collection.
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
