//! The tools as agents see them: name, description, schema of the arguments, and who may call them.

use lucida_core::{Scope, SearchLimits};
use rmcp::model::{JsonObject, Tool as Definition, ToolAnnotations};
use schemars::generate::SchemaSettings;
use schemars::transform::RecursiveTransform;
use schemars::{JsonSchema, Schema};
use serde_json::{Value, json};

use crate::arguments::{GetPhoto, LibraryStats, ListTags, SearchPhotos, SimilarPhotos, TagPhoto};

/// How many tags are listed when the agent doesn't say.
pub(crate) const DEFAULT_TAGS: usize = 100;

/// The most tags that are listed.
pub(crate) const MAX_LISTED_TAGS: usize = 1000;

/// The picture that `get_photo` shows when the agent doesn't say, in pixels of the longer side: of the previews that are
/// made by default the one with details.
pub(crate) const DEFAULT_PREVIEW_PIXELS: usize = 1024;

/// The largest picture that can be asked for.
pub(crate) const MAX_PREVIEW_PIXELS: usize = 8192;

/// What an agent can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tool {
    SearchPhotos,
    SimilarPhotos,
    GetPhoto,
    ListTags,
    LibraryStats,
    TagPhoto,
}

impl Tool {
    pub(crate) const ALL: [Self; 6] = [
        Self::SearchPhotos,
        Self::SimilarPhotos,
        Self::GetPhoto,
        Self::ListTags,
        Self::LibraryStats,
        Self::TagPhoto,
    ];

    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|tool| tool.name() == name)
    }

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::SearchPhotos => "search_photos",
            Self::SimilarPhotos => "similar_photos",
            Self::GetPhoto => "get_photo",
            Self::ListTags => "list_tags",
            Self::LibraryStats => "library_stats",
            Self::TagPhoto => "tag_photo",
        }
    }

    /// Returns what the caller's key must be allowed to do.
    pub(crate) const fn scope(self) -> Scope {
        match self {
            Self::SearchPhotos
            | Self::SimilarPhotos
            | Self::GetPhoto
            | Self::ListTags
            | Self::LibraryStats => Scope::Read,
            Self::TagPhoto => Scope::Write,
        }
    }

    /// Returns whether the tool changes photos.
    pub(crate) const fn changes(self) -> bool {
        matches!(self.scope(), Scope::Write)
    }

    const fn title(self) -> &'static str {
        match self {
            Self::SearchPhotos => "Search photos by words",
            Self::SimilarPhotos => "Find similar photos",
            Self::GetPhoto => "Look at a photo",
            Self::ListTags => "List tags",
            Self::LibraryStats => "Count photos",
            Self::TagPhoto => "Change a photo's tags",
        }
    }

    const fn description(self) -> &'static str {
        match self {
            Self::SearchPhotos => {
                "Finds photos by what is to be seen in them, best first: `id`, `score`, `filename`, `taken`, size in pixels \
                 and `tags` of each. Every search has results, also where nothing fits: compare the scores of one search with \
                 each other, and look at a photo with `get_photo` before you rely on it."
            }
            Self::SimilarPhotos => {
                "Finds photos that look like a given one, best first, in the form of `search_photos`."
            }
            Self::GetPhoto => {
                "Returns everything that is known of one photo (state, file, size, `taken_at`, `taken_at_local`, tags, and \
                 `attributes` such as camera and location under `exif`), and the picture itself."
            }
            Self::ListTags => {
                "Lists the tags of the photos with the number of photos that have each, the most frequent first. Use it \
                 before you filter by tags."
            }
            Self::LibraryStats => {
                "Counts the photos: `ready` ones are found by searches, `pending` ones are not yet, and `failed` ones can't be \
                 read. Names the model that searches use."
            }
            Self::TagPhoto => "Adds tags to a photo and removes others; returns the photo as it is then.",
        }
    }

    /// Describes the tool; `limits` are those of searches.
    pub(crate) fn definition(self, limits: SearchLimits) -> Definition {
        let mut schema = match self {
            Self::SearchPhotos => schema_of::<SearchPhotos>(),
            Self::SimilarPhotos => schema_of::<SimilarPhotos>(),
            Self::GetPhoto => schema_of::<GetPhoto>(),
            Self::ListTags => schema_of::<ListTags>(),
            Self::LibraryStats => schema_of::<LibraryStats>(),
            Self::TagPhoto => schema_of::<TagPhoto>(),
        };
        match self {
            Self::SearchPhotos | Self::SimilarPhotos => {
                bound(&mut schema, "limit", 1, limits.max, limits.default);
            }
            Self::GetPhoto => {
                let (most, default) = (MAX_PREVIEW_PIXELS, DEFAULT_PREVIEW_PIXELS);
                bound(&mut schema, "preview_pixels", 0, most, default);
            }
            Self::ListTags => bound(&mut schema, "limit", 1, MAX_LISTED_TAGS, DEFAULT_TAGS),
            Self::LibraryStats | Self::TagPhoto => {}
        }
        let annotations = ToolAnnotations::with_title(self.title())
            .read_only(!self.changes())
            // A tag that is removed is gone, and can be added again.
            .destructive(self.changes())
            .idempotent(true)
            .open_world(false);
        Definition::new(self.name(), self.description(), schema)
            .with_title(self.title())
            .with_annotations(annotations)
    }
}

/// Returns the schema of a tool's arguments, whole in one piece and without words that are not JSON Schema's: some clients
/// know only its simplest part.
fn schema_of<T: JsonSchema>() -> JsonObject {
    let settings = SchemaSettings::draft2020_12()
        .with(|settings| {
            settings.inline_subschemas = true;
            settings.meta_schema = None;
        })
        .with_transform(RecursiveTransform(|schema: &mut Schema| {
            // Of numbers, such as `uint`.
            schema.remove("format");
            // An argument that is absent needs no words.
            if schema.get("default") == Some(&Value::Null) {
                schema.remove("default");
            }
        }));
    let schema = settings.into_generator().into_root_schema_for::<T>();
    let mut object = match schema.to_value() {
        Value::Object(object) => object,
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
            JsonObject::new()
        }
    };
    // They are about the type, not about the tool.
    object.remove("title");
    object.remove("description");
    object.entry("properties").or_insert_with(|| json!({}));
    object
}

/// States the bounds of a number.
fn bound(schema: &mut JsonObject, name: &str, least: usize, most: usize, default: usize) {
    let property = schema
        .get_mut("properties")
        .and_then(|properties| properties.get_mut(name));
    if let Some(Value::Object(property)) = property {
        property.insert("minimum".to_owned(), least.into());
        property.insert("maximum".to_owned(), most.into());
        property.insert("default".to_owned(), default.into());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: SearchLimits = SearchLimits {
        default: 20,
        max: 200,
    };

    fn schema(tool: Tool) -> Value {
        let definition = serde_json::to_value(tool.definition(LIMITS)).unwrap();
        definition["inputSchema"].clone()
    }

    #[test]
    fn every_argument_is_described_in_a_schema_without_references() {
        for tool in Tool::ALL {
            let schema = schema(tool);
            assert_eq!(schema["type"], "object", "{tool:?}");
            assert_eq!(schema["additionalProperties"], false, "{tool:?}");
            for (name, property) in schema["properties"].as_object().unwrap() {
                assert!(property["description"].is_string(), "{tool:?} {name}: {property}");
            }
            let text = schema.to_string();
            for word in ["$ref", "$defs", "\"format\"", "$schema"] {
                assert!(!text.contains(word), "{tool:?} has {word}: {text}");
            }
        }
    }

    #[test]
    fn limits_are_those_of_the_server() {
        for tool in [Tool::SearchPhotos, Tool::SimilarPhotos] {
            let limit = &schema(tool)["properties"]["limit"];
            assert_eq!(
                (&limit["minimum"], &limit["maximum"], &limit["default"]),
                (&json!(1), &json!(200), &json!(20)),
                "{tool:?}"
            );
        }
        assert_eq!(schema(Tool::SearchPhotos)["required"], json!(["text"]));
    }

    #[test]
    fn only_the_tool_that_changes_tags_needs_more_than_reading() {
        for tool in Tool::ALL {
            let definition = serde_json::to_value(tool.definition(LIMITS)).unwrap();
            assert_eq!(tool.changes(), tool == Tool::TagPhoto);
            assert_eq!(definition["annotations"]["readOnlyHint"], !tool.changes());
            assert_eq!(Tool::named(tool.name()), Some(tool));
        }
    }
}
