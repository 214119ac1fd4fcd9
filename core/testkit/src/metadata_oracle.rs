//! A plain filter of photos, which random lists and counts of a metadata store are compared with.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use lucida_core::{
    MetadataStore, Order, Photo, PhotoFilter, PhotoQuery, PhotoState, StateCounts, TagCount, UserId,
};

/// Checks that a store lists what a plain filter of `photos` gives, which are in the order of their ids: up to three pages.
///
/// # Panics
/// When it lists anything else.
pub async fn lists_as_a_plain_filter(
    store: &dyn MetadataStore,
    photos: &[Photo],
    filter: &PhotoFilter,
    order: Order,
    limit: usize,
) {
    let mut expected: Vec<&Photo> = photos.iter().filter(|photo| filter.matches(photo)).collect();
    if order == Order::NewestFirst {
        expected.reverse();
    }
    let mut after = None;
    for page in expected.chunks(limit).chain([&[][..]]).take(3) {
        let query = PhotoQuery {
            filter: filter.clone(),
            order,
            after,
            limit,
        };
        let listed = store.list(&query).await.unwrap();
        assert!(listed.iter().eq(page.iter().copied()), "{query:?}");
        after = listed.last().map(|photo| photo.id).or(after);
    }
}

/// Checks that a store counts `photos` as they are by state, for each user and for all, and by tag for each user.
///
/// # Panics
/// When it counts anything else.
pub async fn counts_as_a_plain_filter(store: &dyn MetadataStore, photos: &[Photo], users: &[UserId]) {
    for user in users.iter().map(Some).chain([None]) {
        let mut expected = StateCounts::default();
        for photo in photos
            .iter()
            .filter(|photo| user.is_none_or(|user| photo.user_id == *user))
        {
            *expected.get_mut(photo.state) += 1;
        }
        assert_eq!(store.count_by_state(user).await.unwrap(), expected);
    }
    for user in users {
        let mut counts: BTreeMap<&str, u64> = BTreeMap::new();
        let shown = |photo: &&Photo| photo.user_id == *user && photo.state != PhotoState::Deleting;
        for tag in photos.iter().filter(shown).flat_map(|photo| &photo.tags) {
            *counts.entry(tag).or_default() += 1;
        }
        let counts = counts.into_iter().map(|(tag, photos)| TagCount {
            tag: tag.to_owned(),
            photos,
        });
        let mut expected: Vec<_> = counts.collect();
        expected.sort_by_key(|count| Reverse(count.photos));
        assert_eq!(store.count_by_tag(user, 1_000).await.unwrap(), expected);
    }
}
