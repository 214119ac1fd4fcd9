//! The core of Lucida: the traits that backends and plugins implement, and the types they share.
//!
//! No web framework, no configuration library, no backend: those depend on this crate, never the other way. What is built
//! on the traits is in `lucida-library`.

mod backoff;
pub mod config;
mod deadline;
pub mod durable;
mod embedder;
mod embeddings;
#[cfg(feature = "http")]
mod endpoint;
mod error;
mod fetch;
mod foreign;
mod id;
mod image_format;
mod index;
mod lane_semaphore;
mod library;
mod memory_release;
mod metadata;
pub mod metrics;
mod outbox;
pub mod panics;
mod photo;
mod picture;
mod plugin;
mod queue;
mod scope;
mod search;
mod storage;
mod tags;
mod taken;
mod text;

pub use backoff::Backoff;
pub use config::{BuildContext, Factory, Secret, Settings};
pub use deadline::Deadline;
pub use embedder::{
    EmbeddedText, Embedder, EmbedderInfo, Embedding, Lane, Modalities, Token, TowerKind, embed_image,
    embed_text, embed_text_with, embed_texts, no_tokenizer,
};
pub use embeddings::{EmbeddedPicture, Embeddings};
#[cfg(feature = "http")]
pub use endpoint::{Access, BodyKind, BodyLimit, Endpoint, Failure, KeyPlace, Refusal};
pub use error::{Error, ErrorKind, Result, ResultExt};
pub use fetch::{Fetched, Fetcher};
pub use foreign::{ForeignCollection, ForeignPage, ForeignPoint};
pub use id::{ContentHash, Fingerprint, PhotoId, UserId};
pub use image_format::ImageFormat;
pub use index::{CollectionName, IndexFilter, Point, ScoredId, VectorIndex};
pub use lane_semaphore::LaneSemaphore;
pub use library::{Library, Preview, Stats, TagList};
pub use memory_release::{limit_arenas, release_free_memory};
pub use metadata::{
    Inserted, MetadataStore, Order, PhotoFilter, PhotoQuery, Record, TagCount, first_microsecond_from,
};
pub use outbox::{EventId, EventKind, Outbox, OutboxCounts, OutboxEvent, Revision, Subscription};
pub use photo::{DerivedBlob, Photo, PhotoError, PhotoState, StateCounts};
pub use picture::{ColourProfile, DecodeSize, Layers, Picture};
pub use plugin::{
    Caller, EnrichInput, Enrichment, Event, Hook, NewBlob, OnFailure, Plugin, PluginHost, Upload,
};
pub use queue::{DeadLetter, Delivery, Job, JobQueue, QueueCounts};
pub use scope::Scope;
pub use search::{Hit, SearchInput, SearchLimits, SearchQuery, SearchResult};
pub use storage::{Blob, BlobKey, BlobStat, ByteStream, Storage, stream_of};
pub use tags::{MAX_TAG_BYTES, MAX_TAGS, clean_tag, clean_tags, tag_from_name};
pub use taken::{
    TakenAt, cut_local, first_local_microsecond_from, local_from_microsecond, local_microsecond,
};
pub use text::{Matryoshka, Prompt, PromptFields, TextInfo, TextOptions};
