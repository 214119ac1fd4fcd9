//! The bounds in the OpenAPI document, from the settings and constants that the handlers enforce.

use lucida_core::{BodyKind, MAX_TAG_BYTES, MAX_TAGS};
use serde_json::{Value, json};

use super::content::{DEFAULT_PREVIEW_PIXELS, MAX_PREVIEW_PIXELS};
use super::options::{HttpOptions, MAX_FORM_VALUE_BYTES};
use super::photos::{DEFAULT_LIMIT, MAX_LIMIT};
use super::tags::{DEFAULT_TAGS, MAX_LISTED_TAGS};

/// Writes the bounds of each field and parameter into a document. Bounds in bytes are given as `maxLength` too: a text
/// has no more characters than bytes.
///
/// # Panics
/// When the document has no such field: the two are written side by side, and a test reads the document.
pub(super) fn state(document: &mut Value, options: &HttpOptions, max_text_bytes: usize) {
    let text = json!({ "minLength": 1, "maxLength": max_text_bytes });
    let inputs = |items: &Value| {
        let mut list = json!({ "minItems": 1, "maxItems": options.max_embed_items });
        if !items.is_null() {
            list["items"] = items.clone();
        }
        list
    };
    let tags = json!({ "maxItems": MAX_TAGS, "items": { "minLength": 1, "maxLength": MAX_TAG_BYTES } });
    let hits = json!({
        "minimum": 1,
        "maximum": options.max_search_limit,
        "default": options.default_search_limit,
    });
    let fields = [
        ("TextRequest/properties/text", text.clone()),
        ("TextRequest/properties/texts", inputs(&text)),
        ("PictureForm/properties/file", inputs(&Value::Null)),
        ("SearchRequest/properties/text", text),
        ("SearchRequest/properties/limit", hits.clone()),
        ("SearchForm/properties/limit", hits),
        ("SearchFilter/properties/tags", tags.clone()),
        ("PhotoChanges/properties/tags", tags.clone()),
        ("PhotoChanges/properties/add_tags", tags.clone()),
        ("PhotoChanges/properties/remove_tags", tags.clone()),
        ("UploadMetadata/properties/tags", tags.clone()),
    ];
    for (field, bounds) in fields {
        merge(at(document, &format!("/components/schemas/{field}")), &bounds);
    }
    let parameters = [
        (
            "/v1/photos",
            "limit",
            json!({ "minimum": 1, "maximum": MAX_LIMIT, "default": DEFAULT_LIMIT }),
        ),
        ("/v1/photos", "tag", tags),
        (
            "/v1/tags",
            "limit",
            json!({ "minimum": 1, "maximum": MAX_LISTED_TAGS, "default": DEFAULT_TAGS }),
        ),
        (
            "/v1/photos/{id}/thumbnail",
            "size",
            json!({ "minimum": 1, "maximum": MAX_PREVIEW_PIXELS, "default": DEFAULT_PREVIEW_PIXELS }),
        ),
    ];
    for (path, name, bounds) in parameters {
        let path = path.replace('/', "~1");
        let list = at(document, &format!("/paths/{path}/get/parameters"));
        let parameter = list
            .as_array_mut()
            .and_then(|list| list.iter_mut().find(|parameter| parameter["name"] == name));
        merge(
            &mut parameter.expect("the handler documents its parameter")["schema"],
            &bounds,
        );
    }
}

/// Says how large a request's body may be.
pub(super) fn body_size(kind: &BodyKind, options: &HttpOptions) -> Option<String> {
    let json = format!(
        "JSON of at most {} bytes (`server.max_json_bytes`).",
        options.max_json_bytes
    );
    let form = format!(
        "A form of at most {} bytes (`server.max_upload_bytes`), its values that are not files of at most \
         {MAX_FORM_VALUE_BYTES}.",
        options.max_upload_bytes
    );
    match kind {
        BodyKind::None => None,
        BodyKind::Json | BodyKind::AnyJson => Some(json),
        BodyKind::Form => Some(form),
        BodyKind::JsonOrForm => Some(format!("{json} {form}")),
        BodyKind::Any(None) => Some(format!(
            "At most {} bytes (`server.max_upload_bytes`).",
            options.max_upload_bytes
        )),
        BodyKind::Any(Some(limit)) => Some(format!(
            "At most {} bytes (`{}`).",
            limit.max_bytes, limit.setting
        )),
    }
}

fn at<'a>(document: &'a mut Value, pointer: &str) -> &'a mut Value {
    document
        .pointer_mut(pointer)
        .unwrap_or_else(|| panic!("{pointer} is not in the OpenAPI document"))
}

/// Adds keywords to a schema.
fn merge(schema: &mut Value, keywords: &Value) {
    match (schema, keywords) {
        (Value::Object(schema), Value::Object(keywords)) => {
            for (name, keyword) in keywords {
                merge(schema.entry(name.clone()).or_insert(Value::Null), keyword);
            }
        }
        (schema, keyword) => *schema = keyword.clone(),
    }
}
