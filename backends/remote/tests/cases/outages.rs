//! What users see when the server of the model fails, refuses, or is replaced.

use std::sync::Arc;
use std::time::Duration;

use lucida_core::{
    BuildContext, Embedder, Error, ErrorKind, Lane, Picture, Result, Secret, embed_image, embed_text,
    embed_texts,
};
use lucida_remote::{Protocol, Remote, RemoteConfig};
use lucida_testkit::eventually;

use crate::stand_in::{PATIENCE, Refuse, Shape, StandIn, context};

async fn embed(remote: &Remote, text: &str) -> Result<Vec<f32>> {
    let embedding = embed_text(remote, text.to_owned(), Lane::Interactive);
    tokio::time::timeout(PATIENCE, embedding).await.unwrap()
}

async fn refusal(config: RemoteConfig, context: &BuildContext) -> Error {
    Remote::open(config, context).await.err().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_with_a_time_to_wait_is_passed_on() {
    let server = StandIn::start(Shape::Tei).await;
    let remote = server.embedder().await;
    embed(&remote, "dog").await.unwrap();
    for (status, kind) in [(429, ErrorKind::Overloaded), (503, ErrorKind::Unavailable)] {
        server.refuse(Some(Refuse {
            status,
            retry_after: Some("7"),
        }));
        let error = embed(&remote, "dog").await.unwrap_err();
        assert_eq!(
            (error.kind(), error.retry_after()),
            (kind, Some(Duration::from_secs(7))),
            "{error}"
        );
        assert!(error.to_string().contains("not now"), "{error}");
    }
    server.refuse(None);
    embed(&remote, "dog").await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_comes_back_with_the_same_model_is_used_again() {
    let server = StandIn::start(Shape::Immich).await;
    let remote = server.embedder().await;
    let before = embed(&remote, "dog").await.unwrap();
    let address = server.stop().await;
    eventually("the outage is noticed", async || {
        embed(&remote, "dog").await.is_err()
    })
    .await;
    let error = embed(&remote, "dog").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    assert!(error.to_string().contains(&address.to_string()), "{error}");
    assert!(remote.ping().await.is_err());
    let _server = StandIn::serve(Shape::Immich, "hash", 1.0, address).await;
    assert_eq!(embed(&remote, "dog").await.unwrap(), before);
    remote.ping().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn no_vector_of_a_model_that_took_the_place_of_another_one_gets_out() {
    for shape in [Shape::Immich, Shape::Openai, Shape::Tei] {
        let server = StandIn::start(shape).await;
        let remote = server.embedder().await;
        let before = embed(&remote, "dog").await.unwrap();
        let address = server.stop().await;
        let server = StandIn::serve(shape, "other", 1.0, address).await;
        // Connections of the earlier server may live for a moment.
        eventually("the change is noticed", async || {
            match embed(&remote, "dog").await {
                Ok(vector) => {
                    assert_eq!(vector, before);
                    false
                }
                Err(error) => error.code() == "remote_model_changed",
            }
        })
        .await;
        for _ in 0..3 {
            let error = embed(&remote, "dog").await.unwrap_err();
            assert_eq!(
                (error.kind(), error.code()),
                (ErrorKind::Unavailable, "remote_model_changed")
            );
            if shape != Shape::Tei {
                let picture = Arc::new(Picture::gradient(90, 70));
                let error = embed_image(&remote, picture, Lane::Background).await.unwrap_err();
                assert_eq!(error.code(), "remote_model_changed");
            }
        }
        assert_eq!(remote.ping().await.unwrap_err().code(), "remote_model_changed");
        // The earlier model is welcome.
        let address = server.stop().await;
        let _server = StandIn::serve(shape, "hash", 1.0, address).await;
        eventually("the earlier model is used again", async || {
            embed(&remote, "dog").await.is_ok_and(|vector| vector == before)
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_while_the_server_is_unavailable_waits_for_the_model_of_before() {
    for shape in [Shape::Immich, Shape::Openai, Shape::Tei] {
        let cache = tempfile::tempdir().unwrap();
        let context = BuildContext {
            cache_dir: cache.path().to_owned(),
            ..context(shape)
        };
        let server = StandIn::start(shape).await;
        let config = server.config();
        let remote = Remote::open(config.clone(), &context).await.unwrap();
        let info = remote.describe().clone();
        let before = embed(&remote, "dog").await.unwrap();
        drop(remote);
        let address = server.stop().await;

        let remote = Remote::open(config.clone(), &context).await.unwrap();
        assert_eq!(remote.describe(), &info, "{shape:?}");
        let error = embed(&remote, "dog").await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
        assert!(remote.ping().await.is_err());
        // Another model in its place gives no vector, and this process stays with the one that it started with.
        let server = StandIn::serve(shape, "other", 1.0, address).await;
        let error = embed(&remote, "dog").await.unwrap_err();
        assert_eq!(error.code(), "remote_model_changed", "{error}");
        let address = server.stop().await;
        let server = StandIn::serve(shape, "hash", 1.0, address).await;
        eventually("the earlier model is used", async || {
            embed(&remote, "dog").await.is_ok_and(|vector| vector == before)
        })
        .await;
        remote.ping().await.unwrap();
        drop(remote);

        // What it said is said by this server, of this model, and to this key.
        server.refuse(Some(Refuse {
            status: 401,
            retry_after: None,
        }));
        let error = refusal(config.clone(), &context).await;
        assert!(error.message().contains("refuses the key"), "{error}");
        server.stop().await;
        let of_another = RemoteConfig {
            model: Some("org/another".to_owned()),
            ..config.clone()
        };
        let error = refusal(of_another, &context).await;
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
        for file in std::fs::read_dir(cache.path().join("remote")).unwrap() {
            std::fs::write(file.unwrap().path(), "{\"model\":").unwrap();
        }
        let error = refusal(config, &context).await;
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cache_that_can_not_be_written_to_costs_nothing_while_the_server_answers() {
    let cache = tempfile::NamedTempFile::new().unwrap();
    let context = BuildContext {
        cache_dir: cache.path().to_owned(),
        ..context(Shape::Immich)
    };
    let server = StandIn::start(Shape::Immich).await;
    let remote = Remote::open(server.config(), &context).await.unwrap();
    embed(&remote, "dog").await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_fingerprint_is_the_models_and_not_the_servers() {
    let fingerprint = async |shape, model: &str| {
        let server = StandIn::serve(shape, model, 1.0, "127.0.0.1:0".parse().unwrap()).await;
        server.embedder().await.describe().fingerprint.clone()
    };
    for shape in [Shape::Immich, Shape::Openai, Shape::Tei] {
        let first = fingerprint(shape, "hash").await;
        assert_eq!(fingerprint(shape, "hash").await, first, "{shape:?}");
        assert_ne!(fingerprint(shape, "other").await, first, "{shape:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_input_that_the_server_fails_on_does_not_fail_its_neighbours() {
    let server = StandIn::start(Shape::Tei).await;
    let remote = server.embedder().await;
    server.poison("cat");
    let texts = ["dog", "cat", "bird", "fish", "cow"].map(str::to_owned);
    let results = embed_texts(&remote, texts.into(), Lane::Interactive).await;
    let failed: Vec<_> = results.iter().map(Result::is_err).collect();
    assert_eq!(failed, [false, true, false, false, false]);
    let error = results[1].as_ref().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Internal, "{error}");
    assert!(error.to_string().contains("the model panicked"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn inputs_share_requests() {
    let server = StandIn::start(Shape::Openai).await;
    let remote = server.embedder().await;
    embed(&remote, "dog").await.unwrap();
    let before = server.calls();
    let texts = (0..64).map(|number| format!("photo {number}")).collect();
    let results = embed_texts(&remote, texts, Lane::Interactive).await;
    assert!(results.iter().all(Result::is_ok));
    let calls = server.calls() - before;
    // 4 full ones, a few that began before all were there, and a probe for each new connection.
    assert!(calls < 32, "{calls} requests for 64 texts");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_key_is_sent_and_read_from_its_file() {
    let server = StandIn::start(Shape::Immich).await;
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("key");
    std::fs::write(&file, "hunter2\n").unwrap();
    for (key, key_file) in [(Some(Secret::new("hunter2")), None), (None, Some(file))] {
        let config = RemoteConfig {
            key,
            key_file,
            ..server.config()
        };
        Remote::open(config, &context(Shape::Immich)).await.unwrap();
        assert_eq!(server.authorization().as_deref(), Some("Bearer hunter2"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_can_not_work_is_said_at_start_with_the_setting() {
    let server = StandIn::start(Shape::Tei).await;
    let words = context(Shape::Tei);
    let library = context(Shape::Immich);
    let error = refusal(server.config(), &library).await;
    assert_eq!(
        (error.kind(), error.field()),
        (ErrorKind::ConfigInvalid, Some("model")),
        "{error}"
    );
    assert!(error.message().contains("takes only texts"), "{error}");
    let wrong = |change: fn(&mut RemoteConfig)| {
        let mut config = server.config();
        change(&mut config);
        config
    };
    let error = refusal(
        wrong(|config| config.model = Some("org/other".to_owned())),
        &words,
    )
    .await;
    assert_eq!(error.field(), Some("model"), "{error}");
    assert!(error.message().contains("`org/model`"), "{error}");
    let error = refusal(wrong(|config| config.dimensions = Some(63)), &words).await;
    assert_eq!(error.field(), Some("dimensions"), "{error}");
    let error = refusal(wrong(|config| config.protocol = Protocol::Immich), &words).await;
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(
        error.message().contains("/predict") && error.message().contains("protocol"),
        "{error}"
    );
    let address = server.stop().await;
    let config = RemoteConfig {
        url: format!("http://{address}"),
        ..RemoteConfig::default()
    };
    let error = refusal(config, &library).await;
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(error.message().contains(&address.to_string()), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn vectors_without_unit_length_are_refused_unless_their_length_has_no_meaning() {
    let server = StandIn::serve(Shape::Openai, "hash", 3.0, "127.0.0.1:0".parse().unwrap()).await;
    let error = refusal(server.config(), &context(Shape::Openai)).await;
    assert_eq!(error.field(), Some("normalize"), "{error}");
    let config = RemoteConfig {
        normalize: true,
        ..server.config()
    };
    let remote = Remote::open(config, &context(Shape::Openai)).await.unwrap();
    let vector = embed(&remote, "dog").await.unwrap();
    let length = vector.iter().map(|x| x * x).sum::<f32>().sqrt();
    assert!((length - 1.0).abs() < 1e-5, "{length}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ping_asks_the_server_now_and_then_only() {
    let server = StandIn::start(Shape::Tei).await;
    let remote = server.embedder().await;
    embed(&remote, "dog").await.unwrap();
    let before = server.calls();
    for _ in 0..20 {
        remote.ping().await.unwrap();
    }
    assert!(server.calls() - before <= 1, "{}", server.calls() - before);
}
