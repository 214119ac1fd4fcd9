//! The alias, and what else may have its name.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use lucida_core::{ErrorKind, IndexFilter, PhotoId, VectorIndex};
use lucida_testkit::{collection, point, unit_vector, user};
use qdrant_client::qdrant::{CreateAliasBuilder, CreateCollectionBuilder, Distance, VectorParamsBuilder};

use crate::support::Place;

const DIMENSIONS: usize = 8;

#[tokio::test(flavor = "multi_thread")]
async fn searches_never_fail_while_the_alias_moves() {
    for place in Place::all() {
        let index = Arc::new(place.open().await);
        let vector = unit_vector(DIMENSIONS, 1);
        let names = [collection(&*index, "old"), collection(&*index, "new")];
        for name in &names {
            index.ensure(name, DIMENSIONS).await.unwrap();
            let stored = point(PhotoId::generate(), &user("alice"), vector.clone());
            index.upsert(name, &[stored]).await.unwrap();
        }
        index.set_alias(&names[0]).await.unwrap();
        let moved = Arc::new(AtomicBool::new(false));
        let searches: Vec<_> = (0..3)
            .map(|_| {
                let (index, moved, vector) = (Arc::clone(&index), Arc::clone(&moved), vector.clone());
                tokio::spawn(async move {
                    let mut searches = 0;
                    while !moved.load(Ordering::Relaxed) {
                        let current = index.alias().await.unwrap().expect("there is always an alias");
                        let hits = index.search(&current, &vector, &IndexFilter::default(), 5).await;
                        assert_eq!(hits.unwrap().len(), 1);
                        searches += 1;
                    }
                    searches
                })
            })
            .collect();
        let other = place.open().await;
        for turn in 0..100 {
            other.set_alias(&names[turn % 2]).await.unwrap();
        }
        moved.store(true, Ordering::Relaxed);
        for searched in searches {
            assert!(searched.await.unwrap() > 0);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collection_of_the_aliass_name_is_told_with_the_way_out() {
    for place in Place::all() {
        let request = CreateCollectionBuilder::new(place.alias.as_str())
            .vectors_config(VectorParamsBuilder::new(8, Distance::Cosine));
        place.client().create_collection(request).await.unwrap();
        let index = place.open().await;
        let name = collection(&index, "main");
        index.ensure(&name, DIMENSIONS).await.unwrap();
        for error in [
            index.alias().await.unwrap_err(),
            index.set_alias(&name).await.unwrap_err(),
        ] {
            assert_eq!(error.kind(), ErrorKind::Conflict, "{error}");
            for word in [&place.alias, "index.qdrant.collection", "lucida adopt"] {
                assert!(error.to_string().contains(word), "{error}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn somebody_elses_alias_is_not_taken_from_them() {
    for place in Place::all() {
        let theirs = format!("{}_v1", place.alias);
        let request = CreateCollectionBuilder::new(theirs.as_str())
            .vectors_config(VectorParamsBuilder::new(8, Distance::Cosine));
        place.client().create_collection(request).await.unwrap();
        let request = CreateAliasBuilder::new(theirs.as_str(), place.alias.as_str());
        place.client().create_alias(request).await.unwrap();
        let index = place.open().await;
        let name = collection(&index, "main");
        index.ensure(&name, DIMENSIONS).await.unwrap();
        for error in [
            index.alias().await.unwrap_err(),
            index.set_alias(&name).await.unwrap_err(),
        ] {
            assert_eq!(error.kind(), ErrorKind::Conflict, "{error}");
            assert!(error.to_string().contains(&theirs), "{error}");
        }
        let aliases = place.client().list_aliases().await.unwrap().aliases;
        let alias = aliases.into_iter().find(|alias| alias.alias_name == place.alias);
        assert_eq!(alias.unwrap().collection_name, theirs);
        // What isn't under the alias can be dropped.
        index.drop_collection(&name).await.unwrap();
    }
}
