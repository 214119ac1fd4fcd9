//! The plugin: what of each hook goes to the program, and what comes back.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use lucida_core::{
    DecodeSize, EnrichInput, Enrichment, Error, Event, Hit, Hook, NewBlob, OnFailure, Plugin, Result,
    SearchInput, SearchQuery, Upload,
};

use crate::config::RemoteConfig;
use crate::jpeg;
use crate::program::Program;
use crate::protocol::{
    BlobFile, Enrich, EnrichAnswer, EventCall, Inspect, InspectAnswer, PictureFile, QueryAnswer, QueryCall,
    RankedHit, Rerank, RerankAnswer,
};

/// How much longer than the program's own limit a hook may take: encoding the picture.
const SLACK: Duration = Duration::from_secs(10);

/// A plugin whose hooks a program answers.
pub struct RemotePlugin {
    config: RemoteConfig,
    program: Program,
}

impl RemotePlugin {
    /// The word in the configuration.
    pub const TYPE: &'static str = "remote";

    /// Prepares the calls; the program need not run yet.
    ///
    /// # Errors
    /// `ConfigInvalid` where the address can't be read.
    pub fn new(config: RemoteConfig) -> Result<Self> {
        Ok(Self {
            program: Program::new(&config)?,
            config,
        })
    }

    /// Makes the picture on a blocking thread; `None` where none is asked for.
    async fn picture(
        &self,
        make: impl FnOnce(u32) -> Result<PictureFile> + Send + 'static,
    ) -> Result<Option<PictureFile>> {
        let size = self.config.picture_pixels;
        if size == 0 {
            return Ok(None);
        }
        tokio::task::spawn_blocking(move || make(size).map(Some))
            .await
            .map_err(|error| Error::internal("encoding a picture failed").with_source(error))?
    }
}

/// Turns a program's refusal into the answer that the user gets.
fn refused(reason: Option<String>) -> Result<()> {
    match reason {
        Some(reason) => Err(Error::invalid(reason).with_code("refused_by_plugin")),
        None => Ok(()),
    }
}

fn blobs(files: BTreeMap<String, BlobFile>) -> Result<BTreeMap<String, NewBlob>> {
    files
        .into_iter()
        .map(|(name, file)| {
            let bytes = STANDARD.decode(file.base64).map_err(|error| {
                Error::internal(format!("the blob `{name}` of the program is not base64: {error}"))
            })?;
            let blob = NewBlob {
                content_type: file.content_type,
                bytes: bytes.into(),
            };
            Ok((name, blob))
        })
        .collect()
}

/// Applies the program's order to the hits.
fn ranked(hits: Vec<Hit>, order: Vec<RankedHit>) -> Result<Vec<Hit>> {
    let mut left: BTreeMap<_, _> = hits.into_iter().map(|hit| (hit.photo.id, hit)).collect();
    order
        .into_iter()
        .map(|RankedHit { id, score }| {
            let mut hit = left.remove(&id).ok_or_else(|| {
                Error::internal(format!(
                    "the program names the photo `{id}`, which is not among the hits or was named before"
                ))
            })?;
            hit.score = score.unwrap_or(hit.score);
            Ok(hit)
        })
        .collect()
}

#[async_trait]
impl Plugin for RemotePlugin {
    fn name(&self) -> &str {
        &self.config.name
    }

    fn hooks(&self) -> &[Hook] {
        &self.config.hooks
    }

    fn timeout(&self) -> Duration {
        Duration::from_secs(self.config.timeout_secs) + SLACK
    }

    fn decode_size(&self) -> DecodeSize {
        DecodeSize::long_side(self.config.picture_pixels)
    }

    fn on_failure(&self, _hook: Hook) -> OnFailure {
        self.config.on_failure
    }

    async fn inspect(&self, upload: &Upload) -> Result<()> {
        if !self.config.hooks.contains(&Hook::Inspect) {
            return Ok(());
        }
        let path = upload.path.clone();
        let picture = self.picture(move |size| jpeg::of_upload(&path, size)).await?;
        let call = Inspect::new(upload, picture);
        let answer: InspectAnswer = self.program.call(Hook::Inspect, call).await?;
        refused(answer.refuse)
    }

    async fn enrich(&self, input: &EnrichInput) -> Result<Enrichment> {
        if !self.config.hooks.contains(&Hook::Enrich) {
            return Ok(Enrichment::default());
        }
        let picture = Arc::clone(&input.picture);
        let call = Enrich {
            photo: (&input.photo).into(),
            picture: self.picture(move |size| jpeg::encoded(&picture, size)).await?,
        };
        let answer: EnrichAnswer = self.program.call(Hook::Enrich, call).await?;
        Ok(Enrichment {
            attributes: answer.attributes,
            tags: answer.tags.unwrap_or_default(),
            taken_at: answer.taken_at,
            blobs: blobs(answer.blobs.unwrap_or_default())?,
        })
    }

    async fn query(&self, mut query: SearchQuery) -> Result<SearchQuery> {
        if !self.config.hooks.contains(&Hook::Query) {
            return Ok(query);
        }
        let call = QueryCall {
            query: (&query).into(),
        };
        let answer: QueryAnswer = self.program.call(Hook::Query, call).await?;
        refused(answer.refuse)?;
        if let Some(text) = answer.text {
            query.input = SearchInput::Text(text);
        }
        if let Some(tags) = answer.tags {
            query.filter.tags = tags;
        }
        query.filter.taken_from = answer.taken_from.or(query.filter.taken_from);
        query.filter.taken_to = answer.taken_to.or(query.filter.taken_to);
        query.limit = answer
            .limit
            .map_or(query.limit, |limit| limit.clamp(1, query.limit));
        Ok(query)
    }

    async fn rerank(&self, query: &SearchQuery, hits: Vec<Hit>) -> Result<Vec<Hit>> {
        if !self.config.hooks.contains(&Hook::Rerank) || hits.is_empty() {
            return Ok(hits);
        }
        let answer: RerankAnswer = self.program.call(Hook::Rerank, Rerank::new(query, &hits)).await?;
        match answer.hits {
            Some(order) => ranked(hits, order),
            None => Ok(hits),
        }
    }

    async fn event(&self, event: &Event) -> Result<()> {
        if !self.config.hooks.contains(&Hook::Event) {
            return Ok(());
        }
        self.program.notify(Hook::Event, EventCall::from(event)).await
    }
}
