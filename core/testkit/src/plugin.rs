//! What every [`Plugin`] keeps to, sentence by sentence.

use std::collections::BTreeSet;
use std::time::Duration;

use bytes::Bytes;
use lucida_core::{BlobKey, EnrichInput, Event, Hit, Hook, IndexFilter, Plugin, SearchInput, SearchQuery};

use super::{Fixture, jpeg, photo, picture, user};

/// Makes the tests that every plugin passes from an async function that gives a plugin.
#[macro_export]
macro_rules! plugin_contract {
    ($fixture:ident) => {
        mod plugin_contract {
            $crate::contract_tests! { plugin, $fixture,
                its_name_fits_into_a_blob_key
                it_names_each_hook_once
                its_subscription_names_each_kind_once
                enriching_again_gives_the_same
                enriching_copes_with_any_picture_and_any_bytes
                names_of_its_blobs_fit_into_blob_keys
                hooks_it_does_not_name_change_nothing
            }
        }
    };
}

fn inputs() -> Vec<EnrichInput> {
    let whole = jpeg(64, 48, [200, 40, 40]);
    let originals = [
        whole.clone(),
        whole.slice(..whole.len() / 2),
        Bytes::new(),
        Bytes::from_static(b"\xff\xd8\xff\xe1\xff\xffExif\0\0MM\0*\xff\xff\xff\xff"),
        Bytes::from(vec![0xff; 5_000]),
    ];
    let pictures = [
        picture(64, 48, [200, 40, 40]),
        picture(1, 1, [0, 0, 0]),
        picture(1, 900, [255, 255, 255]),
        picture(900, 1, [9, 9, 9]),
    ];
    let mut inputs = Vec::new();
    for original in &originals {
        for picture in &pictures {
            let mut photo = photo(&user("alice"));
            photo.width = picture.width();
            photo.height = picture.height();
            photo.size_bytes = original.len() as u64;
            inputs.push(EnrichInput {
                photo,
                picture: picture.clone(),
                original: original.clone(),
            });
        }
    }
    inputs
}

fn enriches(plugin: &dyn Plugin) -> bool {
    plugin.hooks().contains(&Hook::Enrich)
}

/// The name is the key of attributes and a segment of blob keys.
pub async fn its_name_fits_into_a_blob_key(fixture: Fixture<dyn Plugin>) {
    let name = fixture.part.name();
    assert!(BlobKey::new(name).is_ok(), "{name:?}");
    assert!(!name.contains('/'), "{name:?}");
}

/// A plugin takes part in something, and has time for it.
pub async fn it_names_each_hook_once(fixture: Fixture<dyn Plugin>) {
    let hooks = fixture.part.hooks();
    let distinct: BTreeSet<_> = hooks.iter().collect();
    assert_eq!(distinct.len(), hooks.len(), "{hooks:?}");
    assert!(fixture.part.timeout() > Duration::ZERO);
}

/// A plugin that takes events takes some, and tries at least once.
pub async fn its_subscription_names_each_kind_once(fixture: Fixture<dyn Plugin>) {
    let Some(subscription) = fixture.part.subscription() else {
        return;
    };
    let distinct: BTreeSet<_> = subscription.kinds.iter().collect();
    assert_eq!(distinct.len(), subscription.kinds.len(), "{subscription:?}");
    assert!(
        !distinct.is_empty() && subscription.max_attempts > 0,
        "{subscription:?}"
    );
    let backoff = subscription.backoff;
    assert!(
        !backoff.min.is_zero() && backoff.min <= backoff.max,
        "{backoff:?}"
    );
}

/// A photo may be enriched again after a crash: the outcome is the same.
pub async fn enriching_again_gives_the_same(fixture: Fixture<dyn Plugin>) {
    if !enriches(&*fixture.part) {
        return;
    }
    let input = &inputs()[0];
    let first = fixture.part.enrich(input).await.unwrap();
    assert_eq!(fixture.part.enrich(input).await.unwrap(), first);
}

/// Whatever comes, a plugin answers; what it says may be an error, never a panic.
pub async fn enriching_copes_with_any_picture_and_any_bytes(fixture: Fixture<dyn Plugin>) {
    if !enriches(&*fixture.part) {
        return;
    }
    for input in inputs() {
        // An error is an answer too; a panic fails the test.
        drop(fixture.part.enrich(&input).await);
    }
}

/// Blobs can be kept under the names that the plugin gives them.
pub async fn names_of_its_blobs_fit_into_blob_keys(fixture: Fixture<dyn Plugin>) {
    if !enriches(&*fixture.part) {
        return;
    }
    let input = &inputs()[0];
    let enrichment = fixture.part.enrich(input).await.unwrap();
    for (name, blob) in &enrichment.blobs {
        BlobKey::derived(&input.photo.id, fixture.part.name(), name).unwrap();
        assert!(!name.contains('/'), "{name}");
        assert!(
            blob.content_type.contains('/'),
            "{} is not a media type",
            blob.content_type
        );
    }
}

/// The hooks that a plugin leaves out pass things on as they are.
pub async fn hooks_it_does_not_name_change_nothing(fixture: Fixture<dyn Plugin>) {
    let plugin = &*fixture.part;
    let query = SearchQuery {
        user_id: user("alice"),
        input: SearchInput::Text("red".to_owned()),
        filter: IndexFilter::default(),
        limit: 7,
    };
    let hits = vec![Hit {
        score: 0.5,
        photo: photo(&user("alice")),
    }];
    if !plugin.hooks().contains(&Hook::Query) {
        assert_eq!(plugin.query(query.clone()).await.unwrap(), query);
    }
    if !plugin.hooks().contains(&Hook::Rerank) {
        assert_eq!(plugin.rerank(&query, hits.clone()).await.unwrap(), hits);
    }
    if !plugin.hooks().contains(&Hook::Event) {
        plugin.event(&Event::Ready(photo(&user("alice")))).await.unwrap();
    }
}
