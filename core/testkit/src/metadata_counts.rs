//! The contract of [`MetadataStore`], continued: counts by state and by tag.

use lucida_core::{ErrorKind, MetadataStore, PhotoState, StateCounts, TagCount};

use super::metadata_list::stored;
use super::{Fixture, user};

/// Counts follow insertions, updates and deletions, for one user and for all.
pub async fn counts_are_by_state_of_one_user_or_all(fixture: Fixture<dyn MetadataStore>) {
    let store = &*fixture.part;
    let count = async |owner: Option<&str>| {
        let owner = owner.map(user);
        store.count_by_state(owner.as_ref()).await.unwrap()
    };
    assert_eq!(count(None).await, StateCounts::default());
    let hers = stored(store, "alice", 10, |number, photo| {
        photo.state = match number {
            0..=3 => PhotoState::Pending,
            4..=6 => PhotoState::Ready,
            7..=8 => PhotoState::Failed,
            _ => PhotoState::Deleting,
        };
    })
    .await;
    stored(store, "bob", 5, |_, photo| photo.state = PhotoState::Ready).await;
    let counts = |pending, ready, failed, deleting| StateCounts {
        pending,
        ready,
        failed,
        deleting,
    };
    assert_eq!(count(Some("alice")).await, counts(4, 3, 2, 1));
    assert_eq!(count(Some("bob")).await, counts(0, 5, 0, 0));
    assert_eq!(count(Some("carol")).await, StateCounts::default());
    assert_eq!(count(None).await, counts(4, 8, 2, 1));
    let mut done = hers[0].clone();
    done.state = PhotoState::Ready;
    store.update(&done).await.unwrap();
    store.delete(&hers[9].id).await.unwrap();
    assert_eq!(count(Some("alice")).await, counts(3, 4, 2, 0));
    assert_eq!(count(None).await, counts(3, 9, 2, 0));
}

/// Makes the counts of tags.
fn tag_counts<const N: usize>(counts: [(&str, u64); N]) -> Vec<TagCount> {
    let counts = counts.map(|(tag, photos)| TagCount {
        tag: tag.to_owned(),
        photos,
    });
    counts.into()
}

/// The tag of most photos comes first, and of tags with as many photos the one whose bytes sort first; a limit cuts the list. Tags
/// are counted as they are written, for their own user only.
pub async fn counts_by_tag_come_with_the_most_frequent_first(fixture: Fixture<dyn MetadataStore>) {
    let store = &*fixture.part;
    let alice = user("alice");
    assert_eq!(store.count_by_tag(&alice, 10).await.unwrap(), []);
    stored(store, "alice", 10, |number, photo| {
        let tags: &[&str] = match number {
            0..=4 => &["strand", "Ärger", "a,b"],
            5..=6 => &["strand", "zoo", "Zoo"],
            7 => &["\u{1F3D6}\u{FE0F}"],
            _ => &[],
        };
        photo.tags = tags.iter().map(|tag| (*tag).to_owned()).collect();
    })
    .await;
    stored(store, "bob", 3, |_, photo| {
        photo.tags = ["zoo".to_owned()].into();
    })
    .await;
    let expected = tag_counts([
        ("strand", 7),
        ("a,b", 5),
        ("Ärger", 5),
        ("Zoo", 2),
        ("zoo", 2),
        ("\u{1F3D6}\u{FE0F}", 1),
    ]);
    assert_eq!(store.count_by_tag(&alice, 1_000).await.unwrap(), expected);
    assert_eq!(store.count_by_tag(&alice, 6).await.unwrap(), expected);
    assert_eq!(store.count_by_tag(&alice, 3).await.unwrap(), expected[..3]);
    let bobs = store.count_by_tag(&user("bob"), usize::MAX).await.unwrap();
    assert_eq!(bobs, tag_counts([("zoo", 3)]));
    let error = store.count_by_tag(&alice, 0).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
}

/// Counts follow insertions, updates and deletions; a photo that is being deleted has no tags any more.
pub async fn counts_by_tag_follow_every_change(fixture: Fixture<dyn MetadataStore>) {
    let store = &*fixture.part;
    let photos = stored(store, "alice", 4, |number, photo| {
        photo.state = PhotoState::ALL[number % 3];
        photo.tags = ["all".to_owned(), format!("only {number}")].into();
    })
    .await;
    let count = async || store.count_by_tag(&user("alice"), 10).await.unwrap();
    assert_eq!(
        count().await,
        tag_counts([
            ("all", 4),
            ("only 0", 1),
            ("only 1", 1),
            ("only 2", 1),
            ("only 3", 1)
        ])
    );
    let mut edited = photos[0].clone();
    edited.tags = ["all".to_owned(), "only 1".to_owned()].into();
    store.update(&edited).await.unwrap();
    let mut leaving = photos[2].clone();
    leaving.state = PhotoState::Deleting;
    store.update(&leaving).await.unwrap();
    store.delete(&photos[3].id).await.unwrap();
    assert_eq!(count().await, tag_counts([("all", 2), ("only 1", 2)]));
    store.delete(&photos[2].id).await.unwrap();
    assert_eq!(count().await, tag_counts([("all", 2), ("only 1", 2)]));
}
