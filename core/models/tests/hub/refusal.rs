//! What a hub refuses or should not have said, and who gets to see the token.

use axum::http::StatusCode;
use bytes::Bytes;
use lucida_core::{ErrorKind, Secret};

use crate::server::{FIRST_COMMIT, Fault, REPO, Seen};
use crate::{TOKEN, WEIGHTS, assert_whole, files, subject, weights};

#[tokio::test]
async fn refusals_say_what_to_do() {
    for (status, code, kind, says) in [
        (401, "GatedRepo", ErrorKind::PermissionDenied, "hub.token"),
        (403, "GatedRepo", ErrorKind::PermissionDenied, "accept its terms"),
        (404, "RepoNotFound", ErrorKind::NotFound, "check the model's name"),
        (404, "RevisionNotFound", ErrorKind::NotFound, "no revision `main`"),
        (429, "", ErrorKind::Unavailable, "wait a while"),
        (500, "", ErrorKind::Unavailable, "500"),
    ] {
        let subject = subject().await;
        subject.hub.refuse(StatusCode::from_u16(status).unwrap(), code);
        let error = subject.fetch_error().await;
        assert_eq!(error.kind(), kind, "{error}");
        for says in [says, REPO, &subject.hub.endpoint] {
            assert!(error.to_string().contains(says), "{says}: {error}");
        }
        let tries = if kind == ErrorKind::Unavailable { 3 } else { 1 };
        assert_eq!(subject.hub.take_seen().len(), tries, "{status}");
    }
}

#[tokio::test]
async fn a_store_that_is_down_is_no_matter_of_the_token() {
    let subject = subject().await;
    subject.hub.fail(Fault::Down);
    let error = subject.fetch_error().await;
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(
        error.to_string().contains(WEIGHTS) && error.to_string().contains("503"),
        "{error}"
    );
    assert!(!error.to_string().contains("signature"), "{error}");
}

#[tokio::test]
async fn the_token_goes_to_the_hub_and_never_to_its_store() {
    let mut subject = subject().await;
    subject.hub.require(TOKEN);
    subject.options.token = Some(Secret::new(TOKEN));
    assert_whole(&subject.fetch().await.unwrap());
    let seen = subject.hub.take_seen();
    let (store, hub): (Vec<Seen>, Vec<Seen>) = seen.into_iter().partition(|seen| seen.by_store);
    assert!(!store.is_empty() && !hub.is_empty());
    for seen in hub {
        assert_eq!(
            seen.authorization.as_deref(),
            Some("Bearer hf_hush"),
            "{}",
            seen.path
        );
    }
    for seen in store {
        assert_eq!(seen.authorization, None);
    }
}

#[tokio::test]
async fn a_wrong_token_is_refused_without_being_told() {
    let mut subject = subject().await;
    subject.hub.require("another");
    for token in [TOKEN, "hf_hush\nwith a line break"] {
        subject.options.token = Some(Secret::new(token));
        let error = subject.fetch_error().await;
        assert!(
            error.to_string().contains("hub.token") || error.field() == Some("hub.token"),
            "{error}"
        );
        let told = format!("{error} {error:?} {:?}", subject.options);
        assert!(!told.contains("hush"), "{told}");
    }
}

#[tokio::test]
async fn a_revision_that_leads_out_of_the_cache_is_refused() {
    let mut subject = subject().await;
    subject.options.revision = "../../main".to_owned();
    let error = subject.fetch_error().await;
    assert_eq!(error.field(), Some("hub.revision"));
}

#[tokio::test]
async fn a_file_name_that_leads_out_of_the_cache_is_refused() {
    let subject = subject().await;
    let mut evil = files();
    evil.push(("../../../evil.json", Bytes::from_static(b"{}")));
    subject.hub.push(FIRST_COMMIT, evil);
    let error = subject.fetch_error().await;
    assert!(error.to_string().contains("evil.json"), "{error}");
    assert!(!subject.folder().join("snapshots").exists());
}

#[tokio::test]
async fn a_repository_without_weights_is_no_model() {
    let subject = subject().await;
    subject.hub.push(
        FIRST_COMMIT,
        vec![
            ("config.json", Bytes::from_static(b"{}")),
            ("tf_model.h5", weights()),
        ],
    );
    let error = subject.fetch_error().await;
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    assert!(error.to_string().contains("model.safetensors"), "{error}");
}
