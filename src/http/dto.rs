//! What goes over the wire: the shapes of requests and answers that several calls share.

pub(super) use lucida_api::PhotoBody;
use lucida_api::field::invalid;
use lucida_api::json::or_default;
use lucida_api::{FilterTime, TakenRange};
use lucida_core::{IndexFilter, Result, TakenAt, clean_tags};
use lucida_library::{PhotoEdit, TagEdit, TakenAtEdit};
use serde::Deserialize;
use utoipa::ToSchema;

/// What an uploader says about a photo: the part `metadata` of the form.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "tags": ["holiday"], "taken_at": "2024-08-17T18:04:05+02:00" }))]
pub(super) struct UploadMetadata {
    /// Tags, stored as Unicode NFC without white space around them.
    #[serde(default, deserialize_with = "or_default")]
    pub(super) tags: Vec<String>,
    /// When it was taken; goes before what the file says. An offset other than `Z` gives `taken_at_local`, too.
    #[serde(default)]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub(super) taken_at: Option<TakenAt>,
}

/// What to change on a photo. A field that is missing or null changes nothing.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "add_tags": ["holiday"], "taken_at": "2024-08-17T18:04:05+02:00" }))]
pub(super) struct PhotoChanges {
    /// The tags from now on. Not together with `add_tags` and `remove_tags`.
    #[serde(default)]
    tags: Option<Vec<String>>,
    /// Tags that it gets.
    #[serde(default)]
    add_tags: Option<Vec<String>>,
    /// Tags that it loses.
    #[serde(default)]
    remove_tags: Option<Vec<String>>,
    /// When it was taken. An offset other than `Z` gives `taken_at_local`, too.
    #[serde(default)]
    #[schema(value_type = Option<String>, format = DateTime)]
    taken_at: Option<TakenAt>,
    /// Whether the time that it was taken at is forgotten. Not together with `taken_at`.
    #[serde(default)]
    clear_taken_at: Option<bool>,
}

impl PhotoChanges {
    /// Makes the edit of it.
    pub(super) fn into_edit(self) -> Result<PhotoEdit> {
        let together = |field: &str, other: &str| {
            invalid(field, format!("`{field}` and `{other}` can't be given together"))
        };
        let tags = match (self.tags, self.add_tags, self.remove_tags) {
            (Some(tags), None, None) => TagEdit::Replace(clean_tags("tags", tags)?),
            (Some(_), Some(_), _) => return Err(together("add_tags", "tags")),
            (Some(_), None, Some(_)) => return Err(together("remove_tags", "tags")),
            (None, add, remove) => TagEdit::Change {
                add: clean_tags("add_tags", add.unwrap_or_default())?,
                remove: clean_tags("remove_tags", remove.unwrap_or_default())?,
            },
        };
        let taken_at = match (self.taken_at, self.clear_taken_at.unwrap_or(false)) {
            (Some(_), true) => return Err(together("clear_taken_at", "taken_at")),
            (Some(time), false) => TakenAtEdit::Set(time),
            (None, true) => TakenAtEdit::Clear,
            (None, false) => TakenAtEdit::Keep,
        };
        Ok(PhotoEdit { tags, taken_at })
    }
}

/// Which photos a search may find; every condition that is set must hold.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct SearchFilter {
    /// Only photos taken on or after this day (`2024-06-01`), or at or after this time.
    ///
    /// A day, and a time without an offset, goes by the clock where a photo was taken; by UTC where the photo's offset is
    /// unknown. A time with an offset or `Z` is a moment.
    #[serde(default)]
    #[schema(value_type = Option<String>, example = "2024-06-01")]
    pub(super) taken_from: Option<FilterTime>,
    /// Only photos taken on or before this day, or before this time; written as `taken_from` is.
    #[serde(default)]
    #[schema(value_type = Option<String>, example = "2024-06-30")]
    pub(super) taken_to: Option<FilterTime>,
    /// Only photos with all of these tags.
    #[serde(default, deserialize_with = "or_default")]
    pub(super) tags: Vec<String>,
}

impl SearchFilter {
    /// Makes the index's filter of it; the pipeline adds the user.
    pub(super) fn into_index_filter(self) -> Result<IndexFilter> {
        let range = TakenRange::new("filter.", self.taken_from, self.taken_to)?;
        Ok(IndexFilter {
            taken_from: range.taken_from,
            taken_to: range.taken_to,
            local_from: range.local_from,
            local_to: range.local_to,
            tags: clean_tags("filter.tags", self.tags)?.into_iter().collect(),
            ..IndexFilter::default()
        })
    }
}
