//! The contract of [`MetadataStore`], continued: lists and filters.

use jiff::civil::DateTime;
use jiff::tz::Offset;
use jiff::{SignedDuration, Timestamp};
use lucida_core::{ErrorKind, MetadataStore, Order, Photo, PhotoFilter, PhotoId, PhotoQuery, PhotoState};

use super::metadata::{insert_new, micros};
use super::{Fixture, photo, user};

/// Makes `count` photos of one user whose ids are ascending, changes each, and inserts them in mixed order.
pub(super) async fn stored(
    store: &dyn MetadataStore,
    owner: &str,
    count: usize,
    mut change: impl FnMut(usize, &mut Photo),
) -> Vec<Photo> {
    let mut photos: Vec<_> = (0..count).map(|_| photo(&user(owner))).collect();
    assert!(photos.is_sorted_by_key(|photo| photo.id));
    for (number, photo) in photos.iter_mut().enumerate() {
        change(number, photo);
    }
    // 7 shares no divisor with the counts used here, so every photo has its turn.
    assert!(!count.is_multiple_of(7));
    for turn in 0..count {
        insert_new(store, &photos[(turn * 7 + 3) % count]).await;
    }
    photos
}

/// Reads one page.
async fn page(
    store: &dyn MetadataStore,
    filter: &PhotoFilter,
    order: Order,
    after: Option<PhotoId>,
    limit: usize,
) -> Vec<Photo> {
    let query = PhotoQuery {
        filter: filter.clone(),
        order,
        after,
        limit,
    };
    let page = store.list(&query).await.unwrap();
    assert!(page.len() <= limit, "{} are more than {limit}", page.len());
    page
}

/// Reads all that match in both orders, whole and in pages, and returns them the oldest first.
async fn all(store: &dyn MetadataStore, filter: &PhotoFilter) -> Vec<Photo> {
    let oldest = page(store, filter, Order::OldestFirst, None, 1_000).await;
    let mut newest = page(store, filter, Order::NewestFirst, None, 1_000).await;
    newest.reverse();
    assert_eq!(oldest, newest, "both orders give the same photos");
    assert!(
        oldest.iter().all(|photo| filter.matches(photo)),
        "one does not match"
    );
    oldest
}

fn utc(time: Timestamp) -> DateTime {
    Offset::UTC.to_datetime(time)
}

fn of_user(owner: &str) -> PhotoFilter {
    PhotoFilter {
        user_id: Some(user(owner)),
        ..PhotoFilter::default()
    }
}

fn picked(photos: &[Photo], numbers: impl IntoIterator<Item = usize>) -> Vec<Photo> {
    numbers.into_iter().map(|number| photos[number].clone()).collect()
}

/// The order is that of the ids, not of insertion.
pub async fn list_comes_in_the_order_of_ids_both_ways(fixture: Fixture<dyn MetadataStore>) {
    let store = &*fixture.part;
    let everything = PhotoFilter::default();
    assert_eq!(all(store, &everything).await, []);
    let photos = stored(store, "alice", 30, |_, _| {}).await;
    assert_eq!(all(store, &everything).await, photos);
    assert_eq!(Order::default(), Order::NewestFirst);
    let newest = page(store, &everything, Order::NewestFirst, None, 2).await;
    assert_eq!(newest, picked(&photos, [29, 28]));
    let oldest = page(store, &everything, Order::OldestFirst, None, 2).await;
    assert_eq!(oldest, picked(&photos, [0, 1]));
}

/// Going on after the last photo of each page gives every photo once.
pub async fn list_pages_join_without_a_gap(fixture: Fixture<dyn MetadataStore>) {
    let store = &*fixture.part;
    let photos = stored(store, "alice", 50, |_, _| {}).await;
    for order in [Order::OldestFirst, Order::NewestFirst] {
        for limit in [1, 7, 50] {
            let mut read = Vec::new();
            loop {
                let after = read.last().map(|photo: &Photo| photo.id);
                let next = page(store, &of_user("alice"), order, after, limit).await;
                if next.is_empty() {
                    break;
                }
                read.extend(next);
            }
            if order == Order::NewestFirst {
                read.reverse();
            }
            assert!(read == photos, "{order:?} in pages of {limit}");
        }
    }
}

/// A cursor names a place, not a photo that must exist.
pub async fn a_cursor_may_be_gone(fixture: Fixture<dyn MetadataStore>) {
    let store = &*fixture.part;
    let photos = stored(store, "alice", 10, |_, _| {}).await;
    store.delete(&photos[4].id).await.unwrap();
    let filter = of_user("alice");
    let later = page(store, &filter, Order::OldestFirst, Some(photos[4].id), 100).await;
    assert_eq!(later, picked(&photos, 5..10));
    let earlier = page(store, &filter, Order::NewestFirst, Some(photos[4].id), 100).await;
    assert_eq!(earlier, picked(&photos, [3, 2, 1, 0]));
    let never = PhotoId::generate();
    let later = page(store, &filter, Order::OldestFirst, Some(never), 100).await;
    assert_eq!(later, []);
}

/// Insertions and deletions between two pages neither repeat nor hide a photo that stays.
pub async fn photos_that_come_and_go_between_pages_hide_no_other(fixture: Fixture<dyn MetadataStore>) {
    let store = &*fixture.part;
    for order in [Order::OldestFirst, Order::NewestFirst] {
        let owner = format!("{order:?}");
        let photos = stored(store, &owner, 60, |_, _| {}).await;
        let goes = |number: usize| number.is_multiple_of(3);
        let mut read = Vec::new();
        let mut doomed = photos
            .iter()
            .enumerate()
            .filter(|(number, _)| goes(*number))
            .map(|(_, photo)| photo.id);
        loop {
            let after = read.last().copied();
            let next = page(store, &of_user(&owner), order, after, 4).await;
            if next.is_empty() {
                break;
            }
            read.extend(next.iter().map(|photo| photo.id));
            for id in doomed.by_ref().take(3) {
                store.delete(&id).await.unwrap();
            }
            if read.len() < 80 {
                insert_new(store, &photo(&user(&owner))).await;
            }
        }
        let mut once = read.clone();
        once.sort();
        once.dedup();
        assert_eq!(once.len(), read.len(), "{order:?}: a photo came twice");
        for (number, photo) in photos.iter().enumerate() {
            assert!(
                goes(number) || read.contains(&photo.id),
                "{order:?}: photo {number} was hidden"
            );
        }
    }
}

/// Nobody asks for nothing.
pub async fn a_limit_of_zero_is_invalid_input(fixture: Fixture<dyn MetadataStore>) {
    let query = PhotoQuery::default();
    assert_eq!(query.limit, 0);
    let error = fixture.part.list(&query).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
}

/// A user's list holds that user's photos alone; without a user it holds all.
pub async fn list_by_user_gives_only_that_users(fixture: Fixture<dyn MetadataStore>) {
    let store = &*fixture.part;
    let hers = stored(store, "alice", 6, |_, _| {}).await;
    let his = stored(store, "alice2", 5, |_, _| {}).await;
    assert_eq!(all(store, &of_user("alice")).await, hers);
    assert_eq!(all(store, &of_user("alice2")).await, his);
    assert_eq!(all(store, &of_user("ALICE")).await, []);
    assert_eq!(all(store, &PhotoFilter::default()).await, [hers, his].concat());
}

/// Several states mean any of them, none means all.
pub async fn list_by_state_gives_any_of_those(fixture: Fixture<dyn MetadataStore>) {
    let store = &*fixture.part;
    let photos = stored(store, "alice", 12, |number, photo| {
        photo.state = PhotoState::ALL[number % 4];
    })
    .await;
    for (states, numbers) in [
        (vec![PhotoState::Ready], vec![1, 5, 9]),
        (vec![PhotoState::Deleting], vec![3, 7, 11]),
        (
            vec![PhotoState::Failed, PhotoState::Pending],
            vec![0, 2, 4, 6, 8, 10],
        ),
        (vec![], (0..12).collect()),
    ] {
        let filter = PhotoFilter {
            states,
            ..of_user("alice")
        };
        assert_eq!(
            all(store, &filter).await,
            picked(&photos, numbers),
            "{:?}",
            filter.states
        );
    }
}

/// From is inclusive, to is exclusive, to the microsecond; photos without a time are in no span.
pub async fn list_by_time_includes_its_start_and_excludes_its_end(fixture: Fixture<dyn MetadataStore>) {
    let store = &*fixture.part;
    let noon = 1_720_008_000_000_000;
    // From before 1970, so that the sign is kept as well.
    let taken = [
        None,
        Some(-5_000_000_000_001),
        Some(noon - 1),
        Some(noon),
        Some(noon + 1),
        Some(noon + 250_000),
    ];
    let photos = stored(store, "alice", taken.len(), |number, photo| {
        photo.taken_at = taken[number].map(micros);
    })
    .await;
    for (from, to, numbers) in [
        (Some(noon), None, vec![3, 4, 5]),
        (Some(noon + 1), None, vec![4, 5]),
        (None, Some(noon), vec![1, 2]),
        (None, Some(noon + 1), vec![1, 2, 3]),
        (Some(noon - 1), Some(noon + 1), vec![2, 3]),
        (Some(noon + 1), Some(noon + 250_000), vec![4]),
        (Some(-5_000_000_000_001), Some(-5_000_000_000_000), vec![1]),
        (Some(noon), Some(noon), vec![]),
        (Some(noon + 1), Some(noon), vec![]),
        (None, None, vec![0, 1, 2, 3, 4, 5]),
    ] {
        let filter = PhotoFilter {
            taken_from: from.map(micros),
            taken_to: to.map(micros),
            ..of_user("alice")
        };
        let expected = picked(&photos, numbers);
        assert_eq!(all(store, &filter).await, expected, "{from:?} to {to:?}");
    }
}

/// A day begins and ends by the clock where a photo was taken; where that is unknown, by UTC.
pub async fn list_by_local_time_goes_by_the_clock_where_a_photo_was_taken(
    fixture: Fixture<dyn MetadataStore>,
) {
    let store = &*fixture.part;
    let evening: Timestamp = "2025-10-01T03:45:00Z".parse().unwrap();
    let local = |text: &str| Some(text.parse::<DateTime>().unwrap());
    let taken = [
        (None, None),
        (Some(evening), local("2025-09-30T23:45:00")),
        (Some(evening), None),
        (Some(evening), local("2025-10-01T17:45:00")),
        // Before 1970, so that the sign is kept as well.
        (
            Some("1969-12-31T23:30:00Z".parse().unwrap()),
            local("1970-01-01T00:30:00"),
        ),
        (
            Some("1970-01-01T00:30:00Z".parse().unwrap()),
            local("1969-12-31T23:30:00.000001"),
        ),
    ];
    let photos = stored(store, "alice", taken.len(), |number, photo| {
        (photo.taken_at, photo.taken_at_local) = taken[number];
    })
    .await;
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
        (local("2025-09-30T23:45:00"), None, vec![1, 2, 3]),
        (local("2025-09-30T23:45:00.000000001"), None, vec![2, 3]),
        (None, local("2025-09-30T23:45:00"), vec![4, 5]),
        (
            local("1970-01-01T00:00:00"),
            local("1970-01-02T00:00:00"),
            vec![4],
        ),
        (
            local("1969-12-31T23:30:00.000001"),
            local("1969-12-31T23:30:00.000002"),
            vec![5],
        ),
        (local("2025-10-01T00:00:00"), local("2025-09-30T00:00:00"), vec![]),
        (None, local("9999-12-31T23:59:59"), vec![1, 2, 3, 4, 5]),
        (None, None, vec![0, 1, 2, 3, 4, 5]),
    ] {
        let filter = PhotoFilter {
            local_from: from,
            local_to: to,
            ..of_user("alice")
        };
        assert_eq!(
            all(store, &filter).await,
            picked(&photos, numbers),
            "{from:?} to {to:?}"
        );
    }
    let both = PhotoFilter {
        taken_from: Some(evening),
        local_to: local("2025-10-01T12:00:00"),
        ..of_user("alice")
    };
    assert_eq!(all(store, &both).await, picked(&photos, [1, 2]));
    let mut moved = photos[1].clone();
    (moved.taken_at, moved.taken_at_local) = (Some(evening), local("2025-10-02T03:45:00"));
    let moved = store.update(&moved).await.unwrap();
    let filter = PhotoFilter {
        local_from: local("2025-10-02T00:00:00"),
        ..PhotoFilter::default()
    };
    assert_eq!(all(store, &filter).await, [moved]);
}

/// A photo is listed when it has every tag asked for.
pub async fn list_by_tags_needs_all_of_them(fixture: Fixture<dyn MetadataStore>) {
    let store = &*fixture.part;
    let tags: [&[&str]; 5] = [
        &[],
        &["sea"],
        &["sea", "summer"],
        &["summer", "sea", "2024"],
        &["seaside"],
    ];
    let photos = stored(store, "alice", tags.len(), |number, photo| {
        photo.tags = tags[number].iter().map(|tag| (*tag).to_owned()).collect();
    })
    .await;
    for (asked, numbers) in [
        (vec!["sea"], vec![1, 2, 3]),
        (vec!["sea", "summer"], vec![2, 3]),
        (vec!["summer", "2024", "sea"], vec![3]),
        (vec!["sea", "sea"], vec![1, 2, 3]),
        (vec!["seaside"], vec![4]),
        (vec!["sea", "seaside"], vec![]),
        (vec!["Sea"], vec![]),
    ] {
        let filter = PhotoFilter {
            tags: asked.iter().map(|tag| (*tag).to_owned()).collect(),
            ..of_user("alice")
        };
        assert_eq!(all(store, &filter).await, picked(&photos, numbers), "{asked:?}");
    }
}

/// No character of a tag means anything but itself.
pub async fn tags_are_taken_literally(fixture: Fixture<dyn MetadataStore>) {
    let store = &*fixture.part;
    let tags = [
        "100%", "1000", "a_b", "axb", "Straße", "STRASSE", "海滩", "🏖️", "a,b", "a", "b", "\"", "'", "\\",
        "[\"a\"]", " a", "é", "e\u{301}", "null", "$in",
    ];
    let photos = stored(store, "alice", tags.len(), |number, photo| {
        photo.tags = [tags[number].to_owned()].into();
    })
    .await;
    for (number, tag) in tags.iter().enumerate() {
        let filter = PhotoFilter {
            tags: vec![(*tag).to_owned()],
            ..of_user("alice")
        };
        assert_eq!(all(store, &filter).await, picked(&photos, [number]), "{tag:?}");
    }
}

/// The condition on the last change is strict.
pub async fn list_by_last_change_gives_those_before(fixture: Fixture<dyn MetadataStore>) {
    let store = &*fixture.part;
    let start = 1_720_000_000_000_000;
    let photos = stored(store, "alice", 5, |number, photo| {
        photo.updated_at = micros(start + i64::try_from(number).unwrap());
    })
    .await;
    for (before, numbers) in [
        (start, 0..0),
        (start + 1, 0..1),
        (start + 3, 0..3),
        (start + 9, 0..5),
    ] {
        let filter = PhotoFilter {
            updated_before: Some(micros(before)),
            ..PhotoFilter::default()
        };
        assert_eq!(
            all(store, &filter).await,
            picked(&photos, numbers),
            "before {before}"
        );
    }
}

/// All conditions that are set hold at once: the answer is that of [`PhotoFilter::matches`].
pub async fn conditions_hold_together(fixture: Fixture<dyn MetadataStore>) {
    let store = &*fixture.part;
    let start = 1_720_000_000_000_000;
    let change = |number: usize, photo: &mut Photo| {
        photo.state = PhotoState::ALL[number % 4];
        photo.taken_at =
            (!number.is_multiple_of(5)).then(|| micros(start + i64::try_from(number % 9).unwrap()));
        let ahead = SignedDuration::from_micros(i64::try_from(number % 3).unwrap());
        photo.taken_at_local = photo
            .taken_at
            .filter(|_| number % 7 < 4)
            .map(|taken| utc(taken + ahead));
        photo.updated_at = micros(start + i64::try_from(number % 8).unwrap());
        for (divisor, tag) in [(2, "two"), (3, "three")] {
            if number.is_multiple_of(divisor) {
                photo.tags.insert(tag.to_owned());
            }
        }
    };
    let mut photos = stored(store, "alice", 60, change).await;
    photos.extend(stored(store, "bob", 30, change).await);
    let mut found = 0;
    for number in 0..256 {
        let chosen = |bit: u32| number >> bit & 1 == 1;
        let filter = PhotoFilter {
            user_id: chosen(0).then(|| user("alice")),
            states: if chosen(1) {
                vec![PhotoState::Pending, PhotoState::Failed]
            } else {
                vec![]
            },
            taken_from: chosen(2).then(|| micros(start + 2)),
            taken_to: chosen(3).then(|| micros(start + 7)),
            tags: if chosen(4) { vec!["two".to_owned()] } else { vec![] },
            updated_before: chosen(5).then(|| micros(start + 6)),
            local_from: chosen(6).then(|| utc(micros(start + 3))),
            local_to: chosen(7).then(|| utc(micros(start + 8))),
        };
        let mut expected = photos.clone();
        expected.retain(|photo| filter.matches(photo));
        found += expected.len();
        assert_eq!(all(store, &filter).await, expected, "{filter:?}");
    }
    assert!(found > 1_000, "the filters are no test when they find nothing");
}

/// A page is full as long as there are more that match, however rare they are.
pub async fn a_filter_holds_across_pages(fixture: Fixture<dyn MetadataStore>) {
    let store = &*fixture.part;
    let photos = stored(store, "alice", 100, |number, photo| {
        if number % 10 == 9 {
            photo.tags.insert("rare".to_owned());
        }
    })
    .await;
    let filter = PhotoFilter {
        tags: vec!["rare".to_owned()],
        ..of_user("alice")
    };
    let first = page(store, &filter, Order::OldestFirst, None, 4).await;
    assert_eq!(first, picked(&photos, [9, 19, 29, 39]));
    let second = page(store, &filter, Order::OldestFirst, Some(first[3].id), 4).await;
    assert_eq!(second, picked(&photos, [49, 59, 69, 79]));
    let last = page(store, &filter, Order::OldestFirst, Some(second[3].id), 4).await;
    assert_eq!(last, picked(&photos, [89, 99]));
    let newest = page(store, &filter, Order::NewestFirst, Some(photos[50].id), 4).await;
    assert_eq!(newest, picked(&photos, [49, 39, 29, 19]));
}

/// Filters see what the last update wrote.
pub async fn a_changed_photo_is_listed_by_what_it_is_now(fixture: Fixture<dyn MetadataStore>) {
    let store = &*fixture.part;
    let time = micros(1_720_000_000_000_000);
    let mut changed = insert_new(store, &photo(&user("alice"))).await;
    changed.tags = ["old".to_owned()].into();
    changed.taken_at = Some(time);
    let mut changed = store.update(&changed).await.unwrap();
    changed.tags = ["new".to_owned()].into();
    changed.taken_at = Some(time + SignedDuration::from_hours(24));
    changed.state = PhotoState::Ready;
    let changed = store.update(&changed).await.unwrap();
    let old = [
        PhotoFilter {
            tags: vec!["old".to_owned()],
            ..of_user("alice")
        },
        PhotoFilter {
            taken_to: Some(time + SignedDuration::from_secs(1)),
            ..of_user("alice")
        },
        PhotoFilter {
            states: vec![PhotoState::Pending],
            ..of_user("alice")
        },
    ];
    for filter in old {
        assert_eq!(all(store, &filter).await, [], "{filter:?}");
    }
    let new = PhotoFilter {
        tags: vec!["new".to_owned()],
        taken_from: Some(time + SignedDuration::from_secs(1)),
        states: vec![PhotoState::Ready],
        ..of_user("alice")
    };
    assert_eq!(all(store, &new).await, [changed]);
}
