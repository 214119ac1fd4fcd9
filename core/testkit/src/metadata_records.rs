//! The contract of [`MetadataStore`], continued: the server's own named records.

use std::collections::BTreeSet;
use std::sync::Arc;

use lucida_core::{ErrorKind, MetadataStore};
use serde_json::json;

use super::Fixture;
use super::metadata::only_winner;

/// A record begins with version 1, and each write counts.
pub async fn a_record_counts_its_changes(fixture: Fixture<dyn MetadataStore>) {
    let store = &*fixture.part;
    assert_eq!(store.record("lease").await.unwrap(), None);
    let mut expected = None;
    for version in 1..5_u64 {
        let value = json!({"holder": format!("node-{version}"), "until": [version, null, "spät"]});
        let written = store.put_record("lease", &value, expected).await.unwrap();
        assert_eq!(written, version);
        let record = store.record("lease").await.unwrap().unwrap();
        assert_eq!((record.version, record.value), (version, value));
        expected = Some(version);
    }
}

/// A writer that expects another version than is there gets a conflict, and nothing is written.
pub async fn a_record_is_written_only_over_the_version_expected(fixture: Fixture<dyn MetadataStore>) {
    let store = &*fixture.part;
    let conflict = async |expected| {
        let put = store.put_record("lease", &json!("wrong"), expected).await;
        assert_eq!(
            put.unwrap_err().kind(),
            ErrorKind::Conflict,
            "expected {expected:?}"
        );
    };
    conflict(Some(1)).await;
    assert_eq!(store.record("lease").await.unwrap(), None);
    store.put_record("lease", &json!("first"), None).await.unwrap();
    store
        .put_record("lease", &json!("second"), Some(1))
        .await
        .unwrap();
    for expected in [None, Some(0), Some(1), Some(3)] {
        conflict(expected).await;
    }
    let record = store.record("lease").await.unwrap().unwrap();
    assert_eq!((record.version, record.value), (2, json!("second")));
}

/// Of many writers at once exactly one wins, for a new record and for an existing one.
pub async fn of_sixteen_writers_of_a_record_exactly_one_wins(fixture: Fixture<dyn MetadataStore>) {
    let mut expected = None;
    for version in 1..6_u64 {
        let tasks: Vec<_> = (0..16)
            .map(|number| {
                let store = Arc::clone(&fixture.part);
                tokio::spawn(async move {
                    let written = store.put_record("lease", &json!(number), expected).await;
                    written.map(|version| (version, number))
                })
            })
            .collect();
        let mut results = Vec::new();
        for task in tasks {
            results.push(task.await.unwrap());
        }
        let (written, number) = only_winner(results);
        assert_eq!(written, version);
        let record = fixture.part.record("lease").await.unwrap().unwrap();
        assert_eq!((record.version, record.value), (version, json!(number)));
        expected = Some(version);
    }
}

/// A deleted record can be made anew; deleting an absent one is fine.
pub async fn a_deleted_record_is_gone(fixture: Fixture<dyn MetadataStore>) {
    let store = &*fixture.part;
    store.delete_record("lease").await.unwrap();
    store.put_record("lease", &json!(1), None).await.unwrap();
    store.delete_record("lease").await.unwrap();
    store.delete_record("lease").await.unwrap();
    assert_eq!(store.record("lease").await.unwrap(), None);
    let error = store.put_record("lease", &json!(2), Some(1)).await;
    assert_eq!(error.unwrap_err().kind(), ErrorKind::Conflict);
    assert_eq!(store.put_record("lease", &json!(3), None).await.unwrap(), 1);
}

/// Names and values are taken as they are.
pub async fn records_keep_their_names_and_values_apart(fixture: Fixture<dyn MetadataStore>) {
    let store = &*fixture.part;
    let values = [
        ("a", json!(null)),
        ("A", json!([])),
        ("a.b", json!({"$x": {"y.z": -1.5}})),
        ("a/b:c d", json!("text")),
        ("ä'\"%_$", json!(9_007_199_254_740_993_i64)),
    ];
    for (name, value) in &values {
        assert_eq!(store.put_record(name, value, None).await.unwrap(), 1);
    }
    for (name, value) in &values {
        assert_eq!(store.record(name).await.unwrap().unwrap().value, *value);
    }
    let names: BTreeSet<_> = values.iter().map(|(name, _)| name).collect();
    assert_eq!(names.len(), values.len());
}
