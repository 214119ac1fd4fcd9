//! The settings of `embedder.remote`.

use std::path::PathBuf;
use std::time::Duration;

use lucida_core::config::{check_range, local};
use lucida_core::{BuildContext, Error, Result, Secret, Settings};
use lucida_models::BatchOptions;
use reqwest::Url;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Vectors from another server: a Lucida on a machine with a GPU, a hosted API, an Immich machine-learning container.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RemoteConfig {
    /// The server's address: with `/v1` at the end for most servers with OpenAI's API, without a path for most others.
    #[schemars(example = &"http://gpu.internal:8080")]
    pub url: String,
    /// What the server speaks: `lucida`, `openai` (`/embeddings`), `tei` (text-embeddings-inference) or `immich` (Immich's
    /// machine learning). `tei` takes only texts, and `openai` too unless `openai_images` is set, so that they can serve
    /// `[[models]]` and not the library.
    #[schemars(example = &"lucida")]
    pub protocol: Protocol,
    /// The model by its name on the server. `lucida` and `tei` need none: the server's own is meant.
    #[schemars(example = &"ViT-B-32__openai")]
    pub model: Option<String>,
    /// The key, sent as `Authorization: Bearer`. The library can't open an earlier model with it after a change of the model;
    /// with `key_file` it can.
    #[schemars(example = &"sk-…")]
    pub key: Option<Secret>,
    /// A file that holds the key, instead of `key`.
    #[schemars(example = &"/run/secrets/embedder-key")]
    pub key_file: Option<PathBuf>,
    /// The length of the vectors: checked, and with `openai` asked for, of models that can give shorter ones.
    #[schemars(example = 512)]
    pub dimensions: Option<usize>,
    /// Whether the server takes pictures through OpenAI's API, as `data:` URLs with `"modality": "image"`, as infinity does.
    pub openai_images: bool,
    /// Whether vectors without unit length are scaled to it. Otherwise they are refused at start: their length may have a
    /// meaning.
    pub normalize: bool,
    /// The most inputs in one request, 1 to 2048. Immich takes one picture or text at a time in any case.
    #[schemars(example = 16, range(min = 1, max = 2048))]
    pub batch_items: usize,
    /// The most requests at once for pictures, and as many for texts, 1 to 256.
    #[schemars(example = 4, range(min = 1, max = 256))]
    pub concurrent_requests: usize,
    /// The most inputs that wait in each lane of each tower; more are answered with 429.
    #[schemars(example = 256)]
    pub queue_items: usize,
    /// The longest text in bytes; a Lucida's own limit counts too.
    #[schemars(example = 8_192)]
    pub max_text_bytes: usize,
    /// The short side in pixels to which larger pictures are scaled before they are sent, 64 to 4096; at least what the model
    /// sees.
    #[schemars(example = 512, range(min = 64, max = 4096))]
    pub image_short_side_pixels: u32,
    /// The format in which pictures are sent: `jpeg` (quality 95, full colour resolution) or `png` (exact, about five times
    /// the bytes).
    #[schemars(example = &"jpeg")]
    pub image_format: PictureFormat,
    /// How long connecting may take, in milliseconds.
    #[schemars(example = 5_000, range(min = 1))]
    pub connect_timeout_ms: u64,
    /// How long one request may take, in milliseconds.
    #[schemars(example = 30_000, range(min = 1))]
    pub request_timeout_ms: u64,
    /// After how many seconds of use a probe checks again that the model is still the same one. After a failure, and on each
    /// new connection, it is checked in any case.
    #[schemars(example = 60, range(min = 1))]
    pub check_interval_secs: u64,
}

/// What a server speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// Lucida's own API.
    Lucida,
    /// OpenAI's embeddings.
    Openai,
    /// That of text-embeddings-inference.
    Tei,
    /// That of Immich's machine-learning service.
    Immich,
}

/// The format in which pictures are sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum PictureFormat {
    /// JPEG of quality 95 with full colour resolution.
    Jpeg,
    /// PNG, exact.
    Png,
}

impl Default for RemoteConfig {
    fn default() -> Self {
        Self {
            url: "http://127.0.0.1:8081".to_owned(),
            protocol: Protocol::Lucida,
            model: None,
            key: None,
            key_file: None,
            dimensions: None,
            openai_images: false,
            normalize: false,
            batch_items: 16,
            concurrent_requests: 4,
            queue_items: 256,
            max_text_bytes: 8_192,
            image_short_side_pixels: 512,
            image_format: PictureFormat::Jpeg,
            connect_timeout_ms: 5_000,
            request_timeout_ms: 30_000,
            check_interval_secs: 60,
        }
    }
}

impl Settings for RemoteConfig {
    fn validate(&self) -> Result<()> {
        parse_url(&self.url)?;
        if self.key.is_some() && self.key_file.is_some() {
            let message = "is set beside key: leave one of them out";
            return Err(Error::config("key_file", message));
        }
        if let Some(key) = &self.key {
            check_key("key", key)?;
        }
        match (&self.model, self.protocol) {
            (Some(model), _) if model.trim().is_empty() => {
                return Err(Error::config(
                    "model",
                    "is empty: name a model, or leave the key out",
                ));
            }
            (None, Protocol::Openai | Protocol::Immich) => {
                let message =
                    "is not set, and this protocol needs it: set it to the model's name on the server";
                return Err(Error::config("model", message));
            }
            (Some(_) | None, _) => {}
        }
        if self.openai_images && self.protocol != Protocol::Openai {
            let message = "only applies to protocol = \"openai\": leave it out";
            return Err(Error::config("openai_images", message));
        }
        if let Some(dimensions) = self.dimensions {
            check_range("dimensions", dimensions, &(1..=65_536))?;
        }
        check_range("batch_items", self.batch_items, &(1..=2_048))?;
        check_range("concurrent_requests", self.concurrent_requests, &(1..=256))?;
        check_range("queue_items", self.queue_items, &(1..=1_000_000))?;
        check_range("max_text_bytes", self.max_text_bytes, &(64..=1 << 20))?;
        check_range(
            "image_short_side_pixels",
            self.image_short_side_pixels,
            &(64..=4_096),
        )?;
        check_range("connect_timeout_ms", self.connect_timeout_ms, &(1..=600_000))?;
        check_range("request_timeout_ms", self.request_timeout_ms, &(1..=3_600_000))?;
        check_range("check_interval_secs", self.check_interval_secs, &(1..=86_400))
    }

    fn check_local(&self, _: &BuildContext) -> Vec<Error> {
        let file = self.key_file.iter();
        file.filter_map(|file| local::readable_file("key_file", file).err())
            .collect()
    }
}

impl RemoteConfig {
    /// Returns how inputs are queued: a batch is what the concurrent requests take together.
    pub(crate) fn batch_options(&self) -> BatchOptions {
        let batch = self.batch_items.saturating_mul(self.concurrent_requests);
        BatchOptions {
            image_batch_cost: batch,
            text_batch_cost: batch,
            queue_items: self.queue_items,
            // Preparing is scaling and writing JPEGs, which is computed here.
            preparation_threads: std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
            preload: true,
            idle_unload: None,
        }
    }

    pub(crate) const fn connect_timeout(&self) -> Duration {
        Duration::from_millis(self.connect_timeout_ms)
    }

    pub(crate) const fn request_timeout(&self) -> Duration {
        Duration::from_millis(self.request_timeout_ms)
    }

    pub(crate) const fn check_interval(&self) -> Duration {
        Duration::from_secs(self.check_interval_secs)
    }

    /// Reads the key, from its file where there is one.
    ///
    /// # Errors
    /// `ConfigInvalid` for a key that can't be sent; those of reading the file.
    pub(crate) async fn find_key(&self) -> Result<Option<Secret>> {
        let Some(file) = &self.key_file else {
            return Ok(self.key.clone());
        };
        let text = tokio::fs::read_to_string(file).await.map_err(|error| {
            let message = format!("{} can't be read", file.display());
            Error::config("key_file", message).with_source(error)
        })?;
        let key = Secret::new(text.trim());
        check_key("key_file", &key)?;
        Ok(Some(key))
    }
}

/// Reads the server's address. The refusal leaves it out: it may hold a password.
///
/// # Errors
/// `ConfigInvalid` for `url`.
pub(crate) fn parse_url(text: &str) -> Result<Url> {
    let refuse = |message: &str| Err(Error::config("url", message));
    let Ok(mut url) = Url::parse(text) else {
        return refuse("is not a URL; expected one like `http://gpu.internal:8080`");
    };
    if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
        return refuse("is not a URL of a server; expected one like `http://gpu.internal:8080`");
    }
    if !url.username().is_empty() || url.password().is_some() {
        return refuse("contains a user or a password: set key or key_file instead");
    }
    if url.query().is_some() || url.fragment().is_some() {
        return refuse("has something after the path: leave out what begins with `?` or `#`");
    }
    let path = url.path().trim_end_matches('/').to_owned();
    url.set_path(&path);
    Ok(url)
}

/// Checks a key, which goes with each request as a header.
fn check_key(field: &str, key: &Secret) -> Result<()> {
    let fits = key.expose().bytes().all(|byte| byte.is_ascii_graphic());
    if fits && !key.expose().is_empty() {
        return Ok(());
    }
    let message = "is not a key: it is empty, or has blanks or characters outside ASCII";
    Err(Error::config(field, message))
}

#[cfg(test)]
mod tests {
    use lucida_core::config::parse;
    use serde_json::{Value, json};

    use super::*;

    fn settings(changes: Value) -> Result<RemoteConfig> {
        let mut settings = json!({ "url": "http://gpu:8080", "protocol": "lucida" });
        let all = settings.as_object_mut().unwrap();
        all.extend(changes.as_object().unwrap().clone());
        parse(&settings)
    }

    #[test]
    fn a_value_that_can_not_be_is_refused_by_its_key_without_a_secret() {
        for (changes, field) in [
            (json!({ "url": "gpu:8080" }), "url"),
            (json!({ "url": "/embed" }), "url"),
            (json!({ "url": "http://me:hunter2@gpu" }), "url"),
            (json!({ "url": "http://gpu/?key=hunter2" }), "url"),
            (json!({ "protocol": "openai" }), "model"),
            (json!({ "protocol": "immich" }), "model"),
            (json!({ "model": " " }), "model"),
            (json!({ "key": "hunter2", "key_file": "/k" }), "key_file"),
            (json!({ "key": "hunter2 ä" }), "key"),
            (json!({ "openai_images": true }), "openai_images"),
            (json!({ "batch_items": 0 }), "batch_items"),
            (json!({ "concurrent_requests": 0 }), "concurrent_requests"),
            (json!({ "queue_items": 0 }), "queue_items"),
            (json!({ "image_short_side_pixels": 8 }), "image_short_side_pixels"),
            (json!({ "request_timeout_ms": 0 }), "request_timeout_ms"),
            (json!({ "check_interval_secs": 0 }), "check_interval_secs"),
            (json!({ "dimensions": 0 }), "dimensions"),
        ] {
            let error = settings(changes.clone()).unwrap_err();
            assert_eq!(error.field().unwrap_or_default(), field, "{changes}: {error}");
            assert!(!format!("{error} {error:?}").contains("hunter2"), "{error}");
        }
        let config = settings(json!({ "key": "hunter2" })).unwrap();
        assert!(!format!("{config:?}").contains("hunter2"));
    }

    #[test]
    fn an_address_may_have_a_path_and_a_slash_at_its_end() {
        for (text, joined) in [
            ("http://gpu:8080", "http://gpu:8080/"),
            ("http://gpu:8080/", "http://gpu:8080/"),
            ("https://api.example.com/v1/", "https://api.example.com/v1"),
        ] {
            assert_eq!(parse_url(text).unwrap().as_str(), joined);
        }
    }
}
