//! The embedder: asks the server what its model is, and puts queues in front of it.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use lucida_core::{
    BuildContext, DecodeSize, EmbeddedText, Embedder, EmbedderInfo, Embedding, Error, Fingerprint, Lane,
    Picture, Result, TextOptions, TowerKind,
};
use lucida_models::Batched;
use tracing::warn;

use crate::client::Client;
use crate::config::RemoteConfig;
use crate::greeting::{Greeting, GreetingFile, may_come_back};
use crate::probe::{check, probe_picture, similarity_hash};
use crate::protocol::{Vector, speaker};
use crate::runtime::OwnRuntime;
use crate::tower::{Link, RemoteTowers};
use crate::watch::Watch;

/// Changes when fingerprints are made in another way.
const FINGERPRINT_VERSION: &str = "remote-probe-1";

/// How long the last sight of the server answers for a ping: a readiness check comes every few seconds, and a hosted API counts
/// its calls.
const PING_FRESH: Duration = Duration::from_secs(15);

/// A model on another server.
pub struct Remote {
    batched: Batched<RemoteTowers>,
    link: Arc<Link>,
    watches: Vec<Arc<Watch>>,
}

impl Remote {
    /// Asks the server what its model is, embeds a probe with each tower, and starts the queues. While the server is
    /// unavailable, what it said last is used.
    ///
    /// # Errors
    /// `Unavailable` for a server that doesn't answer and never has, or that refuses the key; `ConfigInvalid` for a model that
    /// it doesn't have, that takes no pictures where a library needs them, or whose vectors are not what the settings say.
    pub async fn open(config: RemoteConfig, context: &BuildContext) -> Result<Self> {
        let key = config.find_key().await?;
        let client = Client::new(&config, key.as_ref())?;
        let speaker = speaker(&config, client.clone());
        let runtime = OwnRuntime::start()?;
        let probe = probe_picture()?;
        let asked = {
            let (speaker, probe) = (Arc::clone(&speaker), probe.clone());
            let asking = async move { Greeting::ask(&*speaker, &probe).await };
            runtime.run(asking).await
        };
        let file = GreetingFile::of(&config, &client, context);
        let (greeting, is_new) = match asked {
            Ok(greeting) => (greeting, true),
            Err(error) if may_come_back(&error) => {
                let Some(greeting) = file.read().await else {
                    return Err(error);
                };
                let server = client.server();
                warn!(%error, server, model = greeting.model.name, "starting with what the remote server said last");
                (greeting, false)
            }
            Err(error) => return Err(error),
        };
        if !greeting.model.modalities.image && context.served_as.is_none() {
            let message = format!(
                "the model `{}` takes only texts, and a library embeds pictures: use it in [[models]], or set another one",
                greeting.model.name
            );
            return Err(Error::config("model", message));
        }
        let info = describe(&config, &greeting, context)?;
        if is_new {
            file.keep(&greeting).await;
        }
        let link = Arc::new(Link::new(
            &config,
            runtime,
            Arc::clone(&speaker),
            greeting.model.max_items,
        ));
        let watch = |tower, vector: Vector| {
            let parts = (Arc::clone(&speaker), client.clone());
            Arc::new(Watch::new(
                tower,
                parts,
                probe.clone(),
                vector,
                config.check_interval(),
            ))
        };
        let images = greeting.image.map(|vector| watch(TowerKind::Image, vector));
        let texts = greeting.text.map(|vector| watch(TowerKind::Text, vector));
        let watches = images.iter().chain(&texts).cloned().collect();
        let model = RemoteTowers {
            info,
            link: Arc::clone(&link),
            images,
            texts,
            short_side_pixels: config.image_short_side_pixels,
            format: config.image_format,
        };
        Ok(Self {
            batched: Batched::start(model, &config.batch_options())?,
            link,
            watches,
        })
    }
}

fn describe(config: &RemoteConfig, greeting: &Greeting, context: &BuildContext) -> Result<EmbedderInfo> {
    let Greeting { model, image, text } = greeting;
    let mut probed = Vec::new();
    let mut dimensions = config.dimensions;
    for vector in image.iter().chain(text) {
        check(vector, dimensions, config.normalize)?;
        dimensions = Some(vector.len());
    }
    for vector in [image, text] {
        let hash = vector.as_ref().map_or(0, |vector| similarity_hash(vector));
        probed.extend_from_slice(&hash.to_le_bytes());
    }
    let Some(dimensions) = dimensions else {
        return Err(Error::unavailable(
            "the server's model takes neither pictures nor texts",
        ));
    };
    let version = format!("{FINGERPRINT_VERSION} {dimensions}");
    let fingerprint = model
        .fingerprint
        .clone()
        .unwrap_or_else(|| Fingerprint::derive(&model.identity, &probed, &version));
    let longest = config.max_text_bytes;
    Ok(EmbedderInfo {
        model: context.served_as.clone().unwrap_or_else(|| model.name.clone()),
        fingerprint,
        dimensions,
        modalities: model.modalities,
        max_text_bytes: model.max_text_bytes.map_or(longest, |most| most.min(longest)),
        texts: model.texts.clone(),
        decode_size: DecodeSize::short_side(config.image_short_side_pixels),
    })
}

#[async_trait]
impl Embedder for Remote {
    fn describe(&self) -> &EmbedderInfo {
        self.batched.describe()
    }

    async fn embed_images(&self, pictures: Vec<Arc<Picture>>, lane: Lane) -> Vec<Result<Embedding>> {
        self.batched.embed_images(pictures, lane).await
    }

    async fn embed_texts(
        &self,
        texts: Vec<String>,
        options: &TextOptions,
        lane: Lane,
    ) -> Vec<Result<EmbeddedText>> {
        self.batched.embed_texts(texts, options, lane).await
    }

    async fn ping(&self) -> Result<()> {
        for watch in &self.watches {
            let watch = Arc::clone(watch);
            self.link
                .runtime
                .run(async move { watch.check_within(PING_FRESH).await })
                .await?;
        }
        Ok(())
    }
}
