//! The configuration: layers, later ones winning, checked against the types that the registry knows.
//!
//! Each layer is a figment `Provider`: the defaults of the settings types, the file given with `--config`, those that a
//! custom binary adds, variables such as `LUCIDA_STORAGE__DISK__ROOT`, and flags. Each is checked by itself, so that an
//! error names the line or the variable it came from, then `Figment` merges them. Nothing here opens a socket or a file
//! besides the config file.
//!
//! The arrows point one way: `load` → `reading` → `check`, `show`, `defaults` → `root` → the registry → the schema.

mod assignment;
mod check;
mod defaults;
mod finding;
mod literal;
mod load;
mod loaded;
mod local;
mod merged;
mod missing;
mod place;
mod reading;
mod reference;
mod root;
mod settings;
mod sharing;
mod show;
mod text;
mod toml;

pub use assignment::Flag;
pub use defaults::defaults;
pub use finding::{Finding, Findings};
pub use load::Sources;
pub use loaded::{Config, ModelSelection};
pub use reference::reference;
pub use settings::{
    AuthKey, AuthSettings, CallSettings, IngestSettings, Listen, LogFormat, LogSettings, ModelSettings,
    ResilienceSettings, SearchSettings, ServerSettings, WorkerSettings,
};

#[cfg(all(
    test,
    feature = "storage-disk",
    feature = "storage-s3",
    feature = "metadata-sqlite",
    feature = "metadata-mongodb",
    feature = "index-embedded",
    feature = "index-qdrant",
    feature = "queue-sqlite",
    feature = "queue-rabbitmq",
    feature = "embedder-onnx",
    feature = "embedder-candle",
    feature = "plugin-api-immich",
    feature = "plugin-api-ollama",
    feature = "plugin-api-openai",
    feature = "plugin-api-tei",
    feature = "plugin-api-weaviate",
    feature = "plugin-exif",
    feature = "plugin-mcp",
    feature = "plugin-thumbnail"
))]
mod tests {
    use super::*;
    use crate::registry::Registry;
    use crate::schema::{Field, ValueKind, join};

    #[test]
    fn the_files_beside_the_readme_are_current() {
        let registry = Registry::default();
        for (file, written, current) in [
            (
                "README.md",
                include_str!("../config/README.md"),
                reference(&registry),
            ),
            (
                "default.toml",
                include_str!("../config/default.toml"),
                defaults(&registry),
            ),
        ] {
            assert!(
                written == current,
                "config/{file} is out of date: run `cargo xtask generate`"
            );
        }
    }

    fn check_field(field: &Field, path: &str, wrong: &mut Vec<String>) {
        let path = join(path, &field.name);
        if field.doc.is_empty() {
            wrong.push(format!("{path} has no doc comment"));
        }
        let is_table = matches!(field.kind, ValueKind::Table(_));
        let is_secret = field.kind == (ValueKind::Text { secret: true });
        if !is_table && !is_secret && field.default.is_none() && field.example.is_none() {
            wrong.push(format!("{path} has neither a default nor an example"));
        }
        for inner in field.kind.fields() {
            check_field(inner, &path, wrong);
        }
    }

    #[test]
    fn every_key_is_documented_and_has_a_default_or_an_example() {
        let mut wrong = Vec::new();
        for section in root::schema(&Registry::default()).fields() {
            let kind: &ValueKind = if let ValueKind::List(item) = &section.kind {
                item
            } else {
                &section.kind
            };
            let (ValueKind::Part(types) | ValueKind::Entry(types)) = kind else {
                kind.fields()
                    .for_each(|field| check_field(field, &section.name, &mut wrong));
                continue;
            };
            for built in &types.built {
                let path = join(&section.name, built.name);
                built
                    .kind
                    .fields()
                    .for_each(|field| check_field(field, &path, &mut wrong));
            }
        }
        assert_eq!(wrong, Vec::<String>::new());
    }
}
