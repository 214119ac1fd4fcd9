//! A plain filter of photos, which random lists and counts of a metadata store are compared with.

use lucida_core::{MetadataStore, Order, Photo, PhotoFilter, PhotoQuery, StateCounts, UserId};

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

/// Checks that a store counts `photos` as they are, for each user and for all.
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
}
