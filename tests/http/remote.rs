//! A library whose model is on another Lucida, which may go away, come back, and be replaced.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use lucida_core::{
    BuildContext, Embedder, Fingerprint, Lane, Picture, Prompt, Scope, Secret, TextInfo, TextOptions,
    embed_image, embed_text, embed_text_with,
};
use lucida_remote::{PictureFormat, Remote, RemoteConfig};
use lucida_testkit::{Fixture, HashModel, eventually, jpeg};
use serde_json::json;

use crate::server::{Server, Setup, file_form, send};

const RED: [u8; 3] = [220, 30, 30];

fn context() -> BuildContext {
    BuildContext {
        cache_dir: Path::new(env!("CARGO_TARGET_TMPDIR")).join("cache"),
        served_as: None,
        inspection: None,
    }
}

fn config(server: &Server) -> RemoteConfig {
    RemoteConfig {
        url: format!("http://{}", server.address),
        // What the tests' servers take at a time.
        batch_items: 4,
        ..RemoteConfig::default()
    }
}

async fn open(config: RemoteConfig) -> Remote {
    Remote::open(config, &context()).await.unwrap()
}

/// Lucida's own API.
mod lucida_api {
    use super::*;

    async fn fixture() -> Fixture<dyn Embedder> {
        let server = Server::start().await;
        let remote: Arc<dyn Embedder> = Arc::new(open(config(&server)).await);
        Fixture::new(remote).keeping(server)
    }

    lucida_testkit::embedder_contract!(fixture);
}

/// The same server, by the doors that its plugins open.
#[cfg(feature = "plugin-api-immich")]
mod immich_api {
    use std::collections::BTreeMap;

    use lucida_plugin_api_immich::{ApiImmichConfig, ApiImmichPlugin};
    use lucida_remote::Protocol;

    use super::*;

    async fn fixture() -> Fixture<dyn Embedder> {
        let plugin = ApiImmichPlugin::new(ApiImmichConfig {
            models: BTreeMap::from([("ViT-B-32__openai".to_owned(), "hash".to_owned())]),
            ..ApiImmichConfig::default()
        });
        let server = Setup::new().plugin(plugin).start().await;
        let config = RemoteConfig {
            protocol: Protocol::Immich,
            model: Some("ViT-B-32__openai".to_owned()),
            ..config(&server)
        };
        let remote: Arc<dyn Embedder> = Arc::new(open(config).await);
        Fixture::new(remote).keeping(server)
    }

    lucida_testkit::embedder_contract!(fixture);
}

/// OpenAI's API, with pictures as infinity takes them.
#[cfg(feature = "plugin-api-openai")]
mod openai_api {
    use lucida_remote::Protocol;

    use super::*;

    async fn fixture() -> Fixture<dyn Embedder> {
        let server = Server::start().await;
        let config = RemoteConfig {
            url: format!("http://{}/v1", server.address),
            protocol: Protocol::Openai,
            model: Some("hash".to_owned()),
            openai_images: true,
            ..config(&server)
        };
        let remote: Arc<dyn Embedder> = Arc::new(open(config).await);
        Fixture::new(remote).keeping(server)
    }

    lucida_testkit::embedder_contract!(fixture);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_there_is_the_same_model_as_here() {
    let server = Server::start().await;
    let here = HashModel::new().start();
    let there = open(RemoteConfig {
        image_format: PictureFormat::Png,
        ..config(&server)
    })
    .await;
    let info = there.describe();
    assert_eq!(info.fingerprint, Fingerprint::derive("hash", b"hash", "1"));
    assert_eq!(
        (info.model.as_str(), info.dimensions),
        ("hash", here.describe().dimensions)
    );
    let text = "a red and blue flag";
    assert_eq!(
        embed_text(&there, text.to_owned(), Lane::Interactive)
            .await
            .unwrap(),
        embed_text(&here, text.to_owned(), Lane::Interactive)
            .await
            .unwrap()
    );
    let picture = Arc::new(Picture::gradient(300, 200));
    assert_eq!(
        embed_image(&there, Arc::clone(&picture), Lane::Background)
            .await
            .unwrap(),
        embed_image(&here, picture, Lane::Background).await.unwrap()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_there_with_a_default_prompt_is_asked_without_it_and_with_any_other() {
    let texts = TextInfo {
        prompts: BTreeMap::from([
            ("query".to_owned(), "asked ".to_owned()),
            ("passage".to_owned(), "told ".to_owned()),
        ]),
        default_prompt: Some("query".to_owned()),
        ..TextInfo::default()
    };
    let here = HashModel::named("e5").with_texts(texts.clone()).start();
    let server = Setup::new()
        .model(Arc::new(HashModel::named("e5").with_texts(texts).start()))
        .start()
        .await;
    let there = open(RemoteConfig {
        model: Some("e5".to_owned()),
        ..config(&server)
    })
    .await;
    let ask = async |embedder: &dyn Embedder, prompt: Prompt| {
        let options = TextOptions {
            prompt,
            ..TextOptions::default()
        };
        let embedded = embed_text_with(embedder, "red".to_owned(), &options, Lane::Interactive).await;
        embedded.unwrap().embedding
    };
    let mut seen = Vec::new();
    for prompt in [
        Prompt::None,
        Prompt::Default,
        Prompt::Document,
        Prompt::Text("photo of ".to_owned()),
    ] {
        let vector = ask(&there, prompt.clone()).await;
        assert_eq!(vector, ask(&here, prompt).await);
        assert!(!seen.contains(&vector));
        seen.push(vector);
    }
}

#[cfg(feature = "plugin-api-openai")]
#[tokio::test(flavor = "multi_thread")]
async fn a_prompt_is_put_before_the_text_here_where_the_server_there_takes_none() {
    let server = Server::start().await;
    let there = open(RemoteConfig {
        url: format!("http://{}/v1", server.address),
        protocol: lucida_remote::Protocol::Openai,
        model: Some("hash".to_owned()),
        openai_images: true,
        ..config(&server)
    })
    .await;
    let options = TextOptions {
        prompt: Prompt::Text("photo of ".to_owned()),
        ..TextOptions::default()
    };
    let embedded = embed_text_with(&there, "red".to_owned(), &options, Lane::Interactive).await;
    let whole = embed_text(&there, "photo of red".to_owned(), Lane::Interactive).await;
    assert_eq!(embedded.unwrap().embedding, whole.unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_further_model_there_is_asked_by_its_name_with_a_key() {
    let other = HashModel::named("other").start();
    let server = Setup::new()
        .key("hunter2-hunter2", "gpu", &[Scope::Embed])
        .model(Arc::new(other))
        .start()
        .await;
    let with = |model: &str, key: &str| RemoteConfig {
        model: Some(model.to_owned()),
        key: Some(Secret::new(key)),
        ..config(&server)
    };
    let remote = open(with("other", "hunter2-hunter2")).await;
    assert_eq!(
        remote.describe().fingerprint,
        Fingerprint::derive("other", b"hash", "1")
    );
    embed_text(&remote, "red".to_owned(), Lane::Interactive)
        .await
        .unwrap();
    let refusal = async |config| Remote::open(config, &context()).await.err().unwrap();
    let error = refusal(with("nobody", "hunter2-hunter2")).await;
    assert_eq!(error.field(), Some("model"));
    assert!(error.message().contains("`hash`, `other`"), "{error}");
    let error = refusal(with("other", "wrong-wrong")).await;
    assert!(error.to_string().contains("refuses the key"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_import_during_which_the_far_server_is_stopped_fails_no_photo() {
    let far = Server::start().await;
    let remote = open(config(&far)).await;
    let library = Setup::new().embedder(Arc::new(remote)).start().await;
    let upload = async |number: u8| {
        // Far enough apart for a JPEG to tell.
        let photo = jpeg(200, 150, [220, 30, number * 12]);
        let reply = send(library.post("/v1/photos").multipart(file_form(&photo, "a.jpg"))).await;
        assert_eq!(reply.status, 202, "{}", reply.text());
    };
    let count = async |state: &str| send(library.get("/v1/stats")).await.json()["photos"][state].clone();
    for number in 0..8 {
        upload(number).await;
    }
    eventually("a photo is ready", async || count("ready").await != 0).await;
    let address = far.stop().await;
    for number in 8..16 {
        upload(number).await;
    }
    eventually("a photo was tried meanwhile, and waits", async || {
        let page = send(library.get("/v1/photos?state=pending")).await.json();
        let mut photos = page["photos"].as_array().unwrap().iter();
        photos.any(|photo| photo["attempts"] != 0 && photo["error"]["code"] == "unavailable")
    })
    .await;
    // Longer than the tries that a photo has which fails for its own sake.
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(count("failed").await, 0);
    let error = library.post_json("/v1/search", json!({"text": "red"})).await;
    assert_eq!(error.status, 503, "{}", error.text());
    let ready = async || send(library.get("/readyz")).await.status;
    eventually("the server says that it is not ready", async || {
        ready().await == 503
    })
    .await;

    let _far = Setup::new().listen(&address).start().await;
    eventually("all photos are ready", async || count("ready").await == 16).await;
    assert_eq!(count("failed").await, 0);
    let hits = library
        .post_json("/v1/search", json!({"text": "red"}))
        .await
        .json();
    assert_eq!(hits["hits"].as_array().unwrap().len(), 16, "{hits}");
    eventually("the server is ready again", async || ready().await == 200).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_library_starts_while_its_far_server_is_unavailable_and_catches_up() {
    let cache = tempfile::tempdir().unwrap();
    let context = BuildContext {
        cache_dir: cache.path().to_owned(),
        ..context()
    };
    let far = Server::start().await;
    let config = config(&far);
    drop(Remote::open(config.clone(), &context).await.unwrap());
    let address = far.stop().await;
    let remote = Remote::open(config, &context).await.unwrap();
    let library = Setup::new().embedder(Arc::new(remote)).start().await;
    let form = file_form(&jpeg(64, 64, RED), "red.jpg");
    let reply = send(library.post("/v1/photos").multipart(form)).await;
    assert_eq!(reply.status, 202, "{}", reply.text());
    assert_eq!(send(library.get("/readyz")).await.status, 503);
    let search = async || library.post_json("/v1/search", json!({"text": "red"})).await;
    assert_eq!(search().await.status, 503);
    let _far = Setup::new().listen(&address).start().await;
    eventually("the photo is found", async || {
        let found = search().await;
        found.status == 200
            && found.json()["hits"]
                .as_array()
                .is_some_and(|hits| hits.len() == 1)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn photos_wait_while_the_far_server_has_another_model() {
    let far = Server::start().await;
    let remote = open(config(&far)).await;
    let library = Setup::new().embedder(Arc::new(remote)).start().await;
    let red = library.add(&jpeg(64, 64, RED), json!({})).await;
    let address = far.stop().await;
    let other = HashModel::named("other").start();
    let far = Setup::new()
        .embedder(Arc::new(other))
        .listen(&address)
        .start()
        .await;
    let form = file_form(&jpeg(64, 64, [30, 50, 220]), "blue.jpg");
    let blue = send(library.post("/v1/photos").multipart(form)).await.json()["id"]
        .as_str()
        .unwrap()
        .to_owned();
    eventually("the photo waits, and says why", async || {
        let photo = library.photo(&blue).await;
        photo["state"] == "pending" && photo["error"]["code"] == "remote_model_changed"
    })
    .await;
    let reply = library.post_json("/v1/search", json!({"text": "red"})).await;
    reply.problem(503, "remote_model_changed");
    far.stop().await;
    let _far = Setup::new().listen(&address).start().await;
    eventually("the photo is ready", async || {
        library.photo(&blue).await["state"] == "ready"
    })
    .await;
    let hits = library
        .post_json("/v1/search", json!({"text": "red"}))
        .await
        .json();
    assert_eq!(hits["hits"][0]["photo"]["id"], red.as_str(), "{hits}");
}
