//! The contract of [`MetadataStore`], sentence by sentence: single photos. Named records are in
//! [`super::metadata_records`], lists in [`super::metadata_list`], counts in [`super::metadata_counts`], events in [`super::outbox`].

use std::sync::Arc;

use jiff::tz::Offset;
use jiff::{SignedDuration, Timestamp};
use lucida_core::{
    BlobKey, ContentHash, DerivedBlob, ErrorKind, Fingerprint, Inserted, MetadataStore, Photo, PhotoError,
    PhotoId, PhotoState, Result,
};
use serde_json::{Value, json};

use super::{Fixture, photo, user};

/// Makes the tests of [`MetadataStore`]'s contract from an async function that gives a new, empty store.
#[macro_export]
macro_rules! metadata_contract {
    ($fixture:ident) => {
        mod metadata_contract {
            $crate::contract_tests! { metadata, $fixture,
                an_inserted_photo_comes_back_with_version_one
                a_photo_keeps_every_field
                the_same_content_of_the_same_user_is_existing_in_any_state
                another_user_may_have_the_same_content
                of_sixteen_inserts_at_once_exactly_one_is_new
                an_id_taken_by_another_content_already_exists
                a_missing_photo_is_none
                get_many_gives_what_exists_in_the_order_asked
                find_by_hash_finds_only_the_users_own
                update_gives_the_next_version
                update_keeps_every_field
                update_of_another_version_is_a_conflict_and_changes_nothing
                update_of_a_missing_photo_is_not_found
                update_never_changes_whose_and_what_a_photo_is
                of_sixteen_updates_at_once_exactly_one_wins
                times_are_kept_to_the_microsecond
                delete_frees_the_content_and_the_id
                delete_of_a_missing_photo_is_fine
                ping_answers
            }
            $crate::contract_tests! { metadata_records, $fixture,
                a_record_counts_its_changes
                a_record_is_written_only_over_the_version_expected
                of_sixteen_writers_of_a_record_exactly_one_wins
                a_deleted_record_is_gone
                records_keep_their_names_and_values_apart
            }
            $crate::contract_tests! { outbox, $fixture,
                an_event_is_stored_with_the_change_it_is_about
                without_events_the_outbox_stays_empty
                a_refused_update_adds_no_event
                of_sixteen_changes_at_once_one_event_is_stored
                a_repeated_change_keeps_a_single_event
                a_deletion_adds_its_event_once
                events_of_two_subscribers_are_apart
                later_events_of_a_photo_wait_for_the_first
                an_id_that_is_used_again_keeps_the_order
                a_postponed_event_is_due_at_its_time
                waiting_events_take_no_place_of_those_due
                a_dead_event_holds_nothing_up
                events_are_counted_by_subscriber_and_state
                a_missing_event_stays_missing
            }
            $crate::contract_tests! { metadata_list, $fixture,
                list_comes_in_the_order_of_ids_both_ways
                list_pages_join_without_a_gap
                a_cursor_may_be_gone
                photos_that_come_and_go_between_pages_hide_no_other
                a_limit_of_zero_is_invalid_input
                list_by_user_gives_only_that_users
                list_by_state_gives_any_of_those
                list_by_time_includes_its_start_and_excludes_its_end
                list_by_local_time_goes_by_the_clock_where_a_photo_was_taken
                list_by_tags_needs_all_of_them
                tags_are_taken_literally
                list_by_last_change_gives_those_before
                conditions_hold_together
                a_filter_holds_across_pages
                a_changed_photo_is_listed_by_what_it_is_now
            }
            $crate::contract_tests! { metadata_counts, $fixture,
                counts_are_by_state_of_one_user_or_all
                counts_by_tag_come_with_the_most_frequent_first
                counts_by_tag_follow_every_change
            }
        }
    };
}

pub(super) async fn insert_new(store: &dyn MetadataStore, photo: &Photo) -> Photo {
    match store.insert(photo).await.unwrap() {
        Inserted::New(stored) => stored,
        Inserted::Existing(there) => panic!("{} is there as {}", photo.id, there.id),
    }
}

/// Makes a time of microseconds since 1970.
pub(super) fn micros(since_1970: i64) -> Timestamp {
    Timestamp::from_microsecond(since_1970).unwrap()
}

/// Fills every field with something that is easily spoilt.
fn elaborate(mut photo: Photo) -> Photo {
    photo.state = PhotoState::Failed;
    photo.filename = Some("Ünïcode \"quoted\" 'name' \\ %_ 照片 🏖️\n.jpeg".to_owned());
    photo.content_type = "image/webp".to_owned();
    photo.size_bytes = (1 << 40) + 7;
    photo.width = u32::MAX;
    photo.height = 1;
    photo.taken_at = Some(micros(1_720_000_000_123_457));
    photo.taken_at_local = Some("2024-07-03T23:46:40.123457".parse().unwrap());
    photo.tags = [
        "strand", "Straße", "海滩", "🏖️", "a,b", "\"q\"", "100%", " ", "x'; --",
    ]
    .map(str::to_owned)
    .into();
    photo.attributes = [
        (
            "exif".to_owned(),
            json!({"f_number": 2.8, "iso": 100, "nested": {"list": [1, null, "zwei", [true]]}, "empty": {}}),
        ),
        ("größe".to_owned(), json!(9_007_199_254_740_993_i64)),
        ("a.b$c".to_owned(), json!({"$set": {"x.y": 1}})),
        ("nothing".to_owned(), Value::Null),
        ("text".to_owned(), json!("💥\u{7f} \"\\")),
    ]
    .into();
    photo.fingerprint = Some(Fingerprint::derive("m", b"w", "1"));
    photo.attempts = 4_000_000_000;
    photo.error = Some(PhotoError {
        code: "corrupt_image".to_owned(),
        message: "the picture can't be decoded: \"bad\" marker".to_owned(),
        own_faults: 2,
    });
    photo.next_attempt_at = Some(micros(1_720_000_360_000_001));
    photo.derived = [(
        "thumbnail/320.jpg".to_owned(),
        DerivedBlob {
            key: BlobKey::derived(&photo.id, "thumbnail", "320.jpg").unwrap(),
            content_type: "image/jpeg".to_owned(),
            size_bytes: 4_321,
        },
    )]
    .into();
    photo
}

/// A new record comes back as it was given, with version 1 whatever the caller's copy said.
pub async fn an_inserted_photo_comes_back_with_version_one(fixture: Fixture<dyn MetadataStore>) {
    let store = &*fixture.part;
    let mut given = photo(&user("alice"));
    given.version = 17;
    let stored = insert_new(store, &given).await;
    given.version = 1;
    assert_eq!(stored, given);
    assert_eq!(store.get(&given.id).await.unwrap(), Some(given));
}

/// Every field comes back, those that are `None` and those full of odd characters.
pub async fn a_photo_keeps_every_field(fixture: Fixture<dyn MetadataStore>) {
    let store = &*fixture.part;
    let full = elaborate(photo(&user("alice@example.org")));
    let mut bare = photo(&user("alice@example.org"));
    bare.filename = None;
    for given in [full, bare] {
        assert_eq!(insert_new(store, &given).await, given);
        assert_eq!(store.get(&given.id).await.unwrap(), Some(given));
    }
}

/// The second insert of a content gives the first one's record and writes nothing.
pub async fn the_same_content_of_the_same_user_is_existing_in_any_state(fixture: Fixture<dyn MetadataStore>) {
    let store = &*fixture.part;
    for state in PhotoState::ALL {
        let mut first = photo(&user("alice"));
        first.state = state;
        let first = insert_new(store, &first).await;
        let mut second = photo(&user("alice"));
        second.hash = first.hash;
        second.filename = Some("another name.jpg".to_owned());
        let inserted = store.insert(&second).await.unwrap();
        assert_eq!(inserted, Inserted::Existing(first.clone()));
        assert_eq!(store.get(&second.id).await.unwrap(), None);
        // The very same record again is not an error either.
        assert_eq!(store.insert(&first).await.unwrap(), Inserted::Existing(first));
    }
}

/// Contents are unique per user only.
pub async fn another_user_may_have_the_same_content(fixture: Fixture<dyn MetadataStore>) {
    let store = &*fixture.part;
    let hers = insert_new(store, &photo(&user("alice"))).await;
    let mut his = photo(&user("bob"));
    his.hash = hers.hash;
    let his = insert_new(store, &his).await;
    assert_eq!(store.get(&hers.id).await.unwrap(), Some(hers));
    assert_eq!(store.get(&his.id).await.unwrap(), Some(his));
}

/// Of many inserts at once for one user and hash exactly one is new, and all others give its record.
pub async fn of_sixteen_inserts_at_once_exactly_one_is_new(fixture: Fixture<dyn MetadataStore>) {
    for round in 0..5 {
        let hash = ContentHash::of(&[round]);
        let tasks: Vec<_> = (0..16)
            .map(|_| {
                let store = Arc::clone(&fixture.part);
                let mut mine = photo(&user("alice"));
                mine.hash = hash;
                tokio::spawn(async move { store.insert(&mine).await })
            })
            .collect();
        let mut new = Vec::new();
        let mut existing = Vec::new();
        for task in tasks {
            match task.await.unwrap().unwrap() {
                Inserted::New(photo) => new.push(photo),
                Inserted::Existing(photo) => existing.push(photo),
            }
        }
        assert_eq!((new.len(), existing.len()), (1, 15));
        assert!(existing.iter().all(|photo| *photo == new[0]));
    }
}

/// An id belongs to one content.
pub async fn an_id_taken_by_another_content_already_exists(fixture: Fixture<dyn MetadataStore>) {
    let store = &*fixture.part;
    let first = insert_new(store, &photo(&user("alice"))).await;
    for owner in ["alice", "bob"] {
        let mut second = photo(&user(owner));
        second.id = first.id;
        let error = store.insert(&second).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::AlreadyExists);
        let found = store.find_by_hash(&user(owner), &second.hash).await.unwrap();
        assert_eq!(found, None);
    }
    assert_eq!(store.get(&first.id).await.unwrap(), Some(first));
}

/// What is missing is `None`, not an error.
pub async fn a_missing_photo_is_none(fixture: Fixture<dyn MetadataStore>) {
    let store = &*fixture.part;
    let missing = photo(&user("alice"));
    assert_eq!(store.get(&missing.id).await.unwrap(), None);
    assert_eq!(store.get_many(&[missing.id]).await.unwrap(), []);
    assert_eq!(store.get_many(&[]).await.unwrap(), []);
    let found = store.find_by_hash(&missing.user_id, &missing.hash).await;
    assert_eq!(found.unwrap(), None);
}

/// Many records come in the caller's order; those that are gone leave no gap. Thousands at once work.
pub async fn get_many_gives_what_exists_in_the_order_asked(fixture: Fixture<dyn MetadataStore>) {
    let store = &*fixture.part;
    let mut stored = Vec::new();
    for _ in 0..20 {
        stored.push(insert_new(store, &photo(&user("alice"))).await);
    }
    stored.swap(0, 13);
    stored.swap(4, 7);
    stored.reverse();
    let mut asked: Vec<_> = stored.iter().map(|photo| photo.id).collect();
    for at in (0..20).rev() {
        asked.splice(at..at, (0..100).map(|_| PhotoId::generate()));
    }
    assert_eq!(asked.len(), 2_020);
    assert_eq!(store.get_many(&asked).await.unwrap(), stored);
}

/// A content is looked up among the photos of one user.
pub async fn find_by_hash_finds_only_the_users_own(fixture: Fixture<dyn MetadataStore>) {
    let store = &*fixture.part;
    let hers = insert_new(store, &photo(&user("alice"))).await;
    insert_new(store, &photo(&user("alice"))).await;
    let found = store.find_by_hash(&user("alice"), &hers.hash).await.unwrap();
    assert_eq!(found, Some(hers.clone()));
    assert_eq!(store.find_by_hash(&user("bob"), &hers.hash).await.unwrap(), None);
}

/// Every update counts the version up, and names the time the caller set.
pub async fn update_gives_the_next_version(fixture: Fixture<dyn MetadataStore>) {
    let store = &*fixture.part;
    let mut current = insert_new(store, &photo(&user("alice"))).await;
    for version in 2..6_u64 {
        current.attempts += 1;
        current.updated_at += SignedDuration::from_micros(1_000_001);
        let updated = store.update(&current).await.unwrap();
        current.version = version;
        assert_eq!(updated, current);
        assert_eq!(store.get(&current.id).await.unwrap().as_ref(), Some(&current));
    }
}

/// An update can set every field and unset it again.
pub async fn update_keeps_every_field(fixture: Fixture<dyn MetadataStore>) {
    let store = &*fixture.part;
    let bare = insert_new(store, &photo(&user("alice"))).await;
    let full = store.update(&elaborate(bare.clone())).await.unwrap();
    let mut expected = elaborate(bare.clone());
    expected.version = 2;
    assert_eq!(full, expected);
    assert_eq!(store.get(&bare.id).await.unwrap(), Some(expected));
    let mut back = bare.clone();
    back.version = 2;
    store.update(&back).await.unwrap();
    back.version = 3;
    assert_eq!(store.get(&bare.id).await.unwrap(), Some(back));
}

/// Who read an older version, or claims a newer one, has to read again.
pub async fn update_of_another_version_is_a_conflict_and_changes_nothing(
    fixture: Fixture<dyn MetadataStore>,
) {
    let store = &*fixture.part;
    let first = insert_new(store, &photo(&user("alice"))).await;
    let mut changed = first.clone();
    changed.state = PhotoState::Ready;
    let current = store.update(&changed).await.unwrap();
    for version in [0, 1, 3, 1_000] {
        let mut stale = first.clone();
        stale.version = version;
        stale.state = PhotoState::Failed;
        let error = store.update(&stale).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Conflict, "version {version}");
    }
    assert_eq!(store.get(&first.id).await.unwrap(), Some(current));
}

/// A record that was deleted does not come back by an update.
pub async fn update_of_a_missing_photo_is_not_found(fixture: Fixture<dyn MetadataStore>) {
    let store = &*fixture.part;
    let never = photo(&user("alice"));
    let gone = insert_new(store, &photo(&user("alice"))).await;
    store.delete(&gone.id).await.unwrap();
    for missing in [never, gone] {
        let error = store.update(&missing).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound);
        assert_eq!(store.get(&missing.id).await.unwrap(), None);
    }
}

/// Owner, content and the time of upload stay, whatever an update says.
pub async fn update_never_changes_whose_and_what_a_photo_is(fixture: Fixture<dyn MetadataStore>) {
    let store = &*fixture.part;
    let first = insert_new(store, &photo(&user("alice"))).await;
    let mut other = first.clone();
    other.user_id = user("bob");
    other.hash = ContentHash::of(b"other");
    other.created_at = micros(1);
    other.state = PhotoState::Ready;
    store.update(&other).await.unwrap();
    let now = store.get(&first.id).await.unwrap().unwrap();
    assert_eq!(now.state, PhotoState::Ready);
    assert_eq!(
        (&now.user_id, now.hash, now.created_at),
        (&first.user_id, first.hash, first.created_at)
    );
    let found = store.find_by_hash(&user("alice"), &first.hash).await.unwrap();
    assert_eq!(found, Some(now));
    let found = store.find_by_hash(&user("bob"), &other.hash).await.unwrap();
    assert_eq!(found, None);
}

/// Of many updates of one version exactly one is taken, and it is what is read afterwards.
pub async fn of_sixteen_updates_at_once_exactly_one_wins(fixture: Fixture<dyn MetadataStore>) {
    let mut current = insert_new(&*fixture.part, &photo(&user("alice"))).await;
    for _ in 0..5 {
        let tasks: Vec<_> = (0..16)
            .map(|number| {
                let store = Arc::clone(&fixture.part);
                let mut mine = current.clone();
                mine.filename = Some(format!("{number}.jpg"));
                tokio::spawn(async move { store.update(&mine).await })
            })
            .collect();
        let mut results = Vec::new();
        for task in tasks {
            results.push(task.await.unwrap());
        }
        let version = current.version + 1;
        current = only_winner(results);
        assert_eq!(current.version, version);
        let there = fixture.part.get(&current.id).await.unwrap();
        assert_eq!(there.as_ref(), Some(&current));
    }
}

/// Checks that one call succeeded and all others met a conflict, and returns what the one gave.
pub(super) fn only_winner<T>(results: Vec<Result<T>>) -> T {
    let mut won = Vec::new();
    for result in results {
        match result {
            Ok(value) => won.push(value),
            Err(error) => assert_eq!(error.kind(), ErrorKind::Conflict, "{error}"),
        }
    }
    assert_eq!(won.len(), 1, "so many have won");
    won.remove(0)
}

/// Times long ago and far ahead come back to the microsecond; what is finer may be lost, but no more.
pub async fn times_are_kept_to_the_microsecond(fixture: Fixture<dyn MetadataStore>) {
    let store = &*fixture.part;
    for time in [
        "1826-06-01T12:00:00.000001Z",
        "1969-12-31T23:59:59.999999Z",
        "1970-01-01T00:00:00Z",
        "2024-02-29T23:59:59.123456Z",
        "2999-12-31T00:00:00.654321Z",
    ] {
        let time: Timestamp = time.parse().unwrap();
        let mut given = photo(&user("alice"));
        given.created_at = time;
        given.updated_at = time;
        given.taken_at = Some(time);
        given.taken_at_local = Some(Offset::constant(-4).to_datetime(time));
        given.next_attempt_at = Some(time);
        insert_new(store, &given).await;
        assert_eq!(store.get(&given.id).await.unwrap(), Some(given));
    }
    let mut fine = photo(&user("alice"));
    let given = Timestamp::new(1_720_000_000, 123_456_789).unwrap();
    fine.taken_at = Some(given);
    fine.taken_at_local = Some(Offset::constant(14).to_datetime(given));
    insert_new(store, &fine).await;
    let stored = store.get(&fine.id).await.unwrap().unwrap();
    let moment = stored.taken_at.unwrap();
    let lost = given.duration_since(moment).unsigned_abs();
    assert!(lost.as_nanos() < 1_000, "{moment} is not {given}");
    assert_eq!(
        stored.taken_at_local.unwrap(),
        Offset::constant(14).to_datetime(moment)
    );
}

/// After a deletion nothing is left: the same content and the same id can be inserted anew.
pub async fn delete_frees_the_content_and_the_id(fixture: Fixture<dyn MetadataStore>) {
    let store = &*fixture.part;
    let first = insert_new(store, &photo(&user("alice"))).await;
    let kept = insert_new(store, &photo(&user("alice"))).await;
    store.delete(&first.id).await.unwrap();
    assert_eq!(store.get(&first.id).await.unwrap(), None);
    assert_eq!(
        store.find_by_hash(&user("alice"), &first.hash).await.unwrap(),
        None
    );
    assert_eq!(store.get(&kept.id).await.unwrap(), Some(kept));
    let mut again = photo(&user("alice"));
    again.hash = first.hash;
    insert_new(store, &again).await;
    store.delete(&again.id).await.unwrap();
    assert_eq!(insert_new(store, &first).await, first);
}

/// Deleting what is missing is fine, once and again.
pub async fn delete_of_a_missing_photo_is_fine(fixture: Fixture<dyn MetadataStore>) {
    let store = &*fixture.part;
    store.delete(&PhotoId::generate()).await.unwrap();
    let there = insert_new(store, &photo(&user("alice"))).await;
    store.delete(&there.id).await.unwrap();
    store.delete(&there.id).await.unwrap();
}

/// A healthy store says so.
pub async fn ping_answers(fixture: Fixture<dyn MetadataStore>) {
    fixture.part.ping().await.unwrap();
}
