//! What a whole configuration may hold: the server's own sections, and a section for each role of the registry.

use lucida_core::config::{Part, Settings};
use lucida_core::{Embedder, JobQueue, MetadataStore, Plugin, Storage, VectorIndex};
use schemars::schema_for;

use super::settings::{
    AuthSettings, IngestSettings, LogSettings, ModelSettings, ResilienceSettings, SearchSettings,
    ServerSettings, WorkerSettings,
};
use crate::factories::Factories;
use crate::registry::Registry;
use crate::schema::{Field, Types, ValueKind, doc_of};

/// The list of further models.
pub(super) const MODELS: &str = "models";

/// Returns what a configuration of a registry's types may hold, in the order of the reference.
pub(crate) fn schema(registry: &Registry) -> ValueKind {
    let entries = |types| ValueKind::List(Box::new(ValueKind::Entry(types)));
    ValueKind::Table(vec![
        section::<ServerSettings>("server"),
        section::<AuthSettings>("auth"),
        section::<IngestSettings>("ingest"),
        section::<WorkerSettings>("worker"),
        section::<SearchSettings>("search"),
        section::<LogSettings>("log"),
        section::<ResilienceSettings>("resilience"),
        role::<dyn Storage>(
            &registry.storage,
            &["disk"],
            "Where the bytes of photos are stored.",
            ValueKind::Part,
        ),
        role::<dyn MetadataStore>(
            &registry.metadata,
            &["sqlite"],
            "The metadata store: the record of each photo.",
            ValueKind::Part,
        ),
        role::<dyn VectorIndex>(
            &registry.index,
            &["embedded"],
            "The index of all vectors.",
            ValueKind::Part,
        ),
        role::<dyn JobQueue>(
            &registry.queue,
            &["sqlite"],
            "The queue of photos to embed.",
            ValueKind::Part,
        ),
        role::<dyn Embedder>(
            &registry.embedder,
            &["onnx"],
            "The model that turns photos and texts into vectors.",
            ValueKind::Part,
        ),
        models(registry),
        role::<dyn Plugin>(
            &registry.plugins,
            &["exif", "thumbnail", "api-openai"],
            "Processing steps and APIs, run in the order of the list. A list in a later layer replaces the whole list.",
            entries,
        ),
    ])
}

fn models(registry: &Registry) -> Field {
    let common = ValueKind::of(&schema_for!(ModelSettings))
        .fields()
        .cloned()
        .collect();
    let types = registry.embedder.types(&[]).with_common(common);
    let doc = "Further models beside the library's own, which requests choose by name: `model` in `/embed` calls and \
               `/v1/embeddings`. Each is loaded when it is first asked. A list in a later layer replaces the whole list.";
    Field {
        required: false,
        ..field(
            MODELS,
            doc.to_owned(),
            ValueKind::List(Box::new(ValueKind::Entry(types))),
        )
    }
}

fn section<S: Settings>(name: &str) -> Field {
    let schema = schema_for!(S);
    field(name, doc_of(schema.as_value()), ValueKind::of(&schema))
}

fn role<P: Part + ?Sized>(
    factories: &Factories<P>,
    default: &'static [&'static str],
    doc: &str,
    kind: impl Fn(Types) -> ValueKind,
) -> Field {
    let field = field(P::ROLE, doc.to_owned(), kind(factories.types(default)));
    Field {
        required: matches!(field.kind, ValueKind::Part(_)),
        ..field
    }
}

fn field(name: &str, doc: String, kind: ValueKind) -> Field {
    Field {
        name: name.to_owned(),
        doc,
        kind,
        required: true,
        default: None,
        example: None,
    }
}
