//! The contract of [`VectorIndex`], continued: searches and their filters.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::Offset;
use lucida_core::{IndexFilter, PhotoId, ScoredId, VectorIndex};

use super::index::{DIMENSIONS, SCORE_TOLERANCE, found, ids_of, new_collection, points};
use super::{Fixture, point, unit_vector, user};

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

/// A day begins and ends by the clock where a photo was taken; where that is unknown, by UTC.
pub async fn a_search_by_local_time_goes_by_the_clock_where_a_photo_was_taken(
    fixture: Fixture<dyn VectorIndex>,
) {
    let index = &*fixture.part;
    let name = new_collection(index).await;
    let evening: Timestamp = "2025-10-01T03:45:00Z".parse().unwrap();
    let local = |text: &str| Some(text.parse::<DateTime>().unwrap());
    let taken = [
        (None, None),
        (Some(evening), local("2025-09-30T23:45:00")),
        (Some(evening), None),
        (Some(evening), local("2025-10-01T17:45:00.25")),
        // Before 1970, so that the sign is kept as well.
        (
            Some("1969-12-31T23:30:00Z".parse().unwrap()),
            local("1970-01-01T00:30:00"),
        ),
        (
            Some("1970-01-01T00:30:00Z".parse().unwrap()),
            local("1969-12-31T23:30:00"),
        ),
    ];
    let mut stored = points("alice", taken.len(), 14);
    for (point, taken) in stored.iter_mut().zip(taken) {
        (point.taken_at, point.taken_at_local) = taken;
    }
    index.upsert(&name, &stored).await.unwrap();
    for (from, to, numbers) in [
        (
            local("2025-09-30T00:00:00"),
            local("2025-10-01T00:00:00"),
            vec![1],
        ),
        (
            local("2025-10-01T00:00:00"),
            local("2025-10-02T00:00:00"),
            vec![2, 3],
        ),
        (local("2025-10-01T17:45:00.25"), None, vec![3]),
        (local("2025-10-01T17:45:00.26"), None, vec![]),
        (None, local("2025-09-30T23:45:00"), vec![4, 5]),
        (
            local("1970-01-01T00:00:00"),
            local("1970-01-02T00:00:00"),
            vec![4],
        ),
        (local("2025-10-01T00:00:00"), local("2025-09-30T00:00:00"), vec![]),
        (None, local("9999-12-31T23:59:59"), vec![1, 2, 3, 4, 5]),
        (None, None, vec![0, 1, 2, 3, 4, 5]),
    ] {
        let filter = IndexFilter {
            local_from: from,
            local_to: to,
            ..IndexFilter::default()
        };
        let hits = found(index, &name, &stored[0].vector, &filter).await;
        let expected = ids_of(numbers.into_iter().map(|number| &stored[number]));
        assert_eq!(hits, expected, "{from:?} to {to:?}");
    }
    // Written again, the point goes by its new time.
    stored[1].taken_at_local = None;
    index.upsert(&name, &stored[1..2]).await.unwrap();
    let filter = IndexFilter {
        local_from: local("2025-10-01T00:00:00"),
        taken_from: Some(evening),
        local_to: local("2025-10-01T12:00:00"),
        ..IndexFilter::default()
    };
    let hits = found(index, &name, &stored[0].vector, &filter).await;
    assert_eq!(hits, ids_of(&stored[1..3]));
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

/// A filter that leaves fewer points than the limit, as many, or one more: all that fit come back, and no others.
pub async fn filters_that_leave_about_as_many_as_asked_for_find_each_of_them(
    fixture: Fixture<dyn VectorIndex>,
) {
    const LIMIT: usize = 10;
    let index = &*fixture.part;
    let name = new_collection(index).await;
    let query = unit_vector(DIMENSIONS, 9);
    let second = |number: usize| Timestamp::from_second(1_720_000_000 + number as i64).unwrap();
    let counts = [0, 1, LIMIT - 1, LIMIT, LIMIT + 1];
    // Nearer than all that the filters leave.
    let mut stored: Vec<_> = (0..300)
        .map(|seed| point(PhotoId::generate(), &user("many"), near(&query, seed, 0.2)))
        .collect();
    for count in counts {
        let label = format!("few-{count}");
        for (number, mut point) in points(&label, count, 10 + count as u64).into_iter().enumerate() {
            point.tags.insert(label.clone());
            point.taken_at = Some(second(100 * count + number));
            stored.push(point);
        }
    }
    index.upsert(&name, &stored).await.unwrap();
    for count in counts {
        let label = format!("few-{count}");
        let of_user = IndexFilter {
            user_id: Some(user(&label)),
            ..IndexFilter::default()
        };
        let tagged = IndexFilter {
            tags: vec![label],
            ..IndexFilter::default()
        };
        let taken = IndexFilter {
            taken_from: Some(second(100 * count)),
            taken_to: Some(second(100 * count + 100)),
            ..IndexFilter::default()
        };
        let not_excluded = IndexFilter {
            exclude: ids_of(&stored[count..]),
            ..IndexFilter::default()
        };
        for filter in [of_user, tagged, taken, not_excluded] {
            let mut expected: Vec<_> = stored.iter().filter(|point| filter.matches(point)).collect();
            assert_eq!(expected.len(), count, "{filter:?}");
            expected.sort_by(|left, right| dot(&right.vector, &query).total_cmp(&dot(&left.vector, &query)));
            expected.truncate(LIMIT);
            let hits = index.search(&name, &query, &filter, LIMIT).await.unwrap();
            let ids: Vec<_> = hits.iter().map(|hit| hit.photo_id).collect();
            let expected: Vec<_> = expected.iter().map(|point| point.photo_id).collect();
            assert_eq!(ids, expected, "{count} match {filter:?}");
        }
    }
}

/// All conditions that are set hold at once: the answer is that of [`IndexFilter::matches`].
pub async fn conditions_hold_together(fixture: Fixture<dyn VectorIndex>) {
    let index = &*fixture.part;
    let name = new_collection(index).await;
    let seconds = |number: usize| Timestamp::from_second(1_720_000_000 + number as i64).unwrap();
    let local_seconds = |number: usize| Offset::UTC.to_datetime(seconds(number));
    let mut stored = points("alice", 60, 8);
    for (number, point) in stored.iter_mut().enumerate() {
        if number.is_multiple_of(4) {
            point.user_id = user("bob");
        }
        point.taken_at = (!number.is_multiple_of(5)).then(|| seconds(number % 9));
        let ahead = number % 3;
        let known = !number.is_multiple_of(5) && number % 7 < 4;
        point.taken_at_local = known.then(|| local_seconds(number % 9 + ahead));
        for (divisor, tag) in [(2, "two"), (3, "three")] {
            if number.is_multiple_of(divisor) {
                point.tags.insert(tag.to_owned());
            }
        }
    }
    index.upsert(&name, &stored).await.unwrap();
    let mut hits = 0;
    for number in 0..128 {
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
            local_from: chosen(5).then(|| local_seconds(3)),
            local_to: chosen(6).then(|| local_seconds(8)),
        };
        let expected = ids_of(stored.iter().filter(|point| filter.matches(point)));
        hits += expected.len();
        assert_eq!(
            found(index, &name, &stored[0].vector, &filter).await,
            expected,
            "{filter:?}"
        );
    }
    assert!(hits > 400, "the filters are no test when they find nothing");
}
