//! The arguments of the tools; their doc comments are what agents read.

use lucida_api::field::invalid;
use lucida_api::json::{Object, or_default};
use lucida_api::{FilterTime, TakenRange};
use lucida_core::{IndexFilter, MAX_TAGS, PhotoId, Result, clean_tags};
use schemars::JsonSchema;
use serde::Deserialize;

/// The most photos that a search may be told to leave out.
const MAX_EXCLUDED: usize = 1000;

/// Arguments of `search_photos`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SearchPhotos {
    /// What is to be seen in the photos, as a short description such as "two dogs on a beach". Dates, places and names of
    /// people can't be seen: use `filter` for dates and tags.
    #[schemars(length(min = 1))]
    pub(crate) text: String,
    /// How many photos at most.
    #[serde(default)]
    pub(crate) limit: Option<usize>,
    /// Which photos may be found.
    #[serde(default)]
    #[schemars(with = "Option<Filter>")]
    pub(crate) filter: Option<Object<Filter>>,
}

/// Arguments of `similar_photos`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SimilarPhotos {
    /// The `id` of the photo that others are compared with; it is not among the results itself.
    pub(crate) photo_id: String,
    /// How many photos at most.
    #[serde(default)]
    pub(crate) limit: Option<usize>,
    /// Which photos may be found.
    #[serde(default)]
    #[schemars(with = "Option<Filter>")]
    pub(crate) filter: Option<Object<Filter>>,
}

/// Arguments of `get_photo`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct GetPhoto {
    /// The photo's `id`.
    pub(crate) photo_id: String,
    /// The wanted length of the picture's longer side in pixels; 0 leaves the picture out. The picture may be larger or
    /// smaller: it is one of the previews that the server has stored.
    #[serde(default)]
    pub(crate) preview_pixels: Option<usize>,
}

/// Arguments of `list_tags`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ListTags {
    /// How many tags at most.
    #[serde(default)]
    pub(crate) limit: Option<usize>,
}

/// Arguments of `library_stats`: none.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct LibraryStats {}

/// Arguments of `tag_photo`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct TagPhoto {
    /// The photo's `id`.
    pub(crate) photo_id: String,
    /// The tags that it gets.
    #[serde(default, deserialize_with = "or_default")]
    #[schemars(length(max = MAX_TAGS))]
    pub(crate) add: Vec<String>,
    /// The tags that it loses.
    #[serde(default, deserialize_with = "or_default")]
    #[schemars(length(max = MAX_TAGS))]
    pub(crate) remove: Vec<String>,
}

/// Which photos a search may find; every condition that is set must hold.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Filter {
    /// Only photos taken on or after this day, such as `2024-06-01`, by the clock where they were taken. A time with an
    /// offset, such as `2024-06-01T12:00:00Z`, is a moment. Photos whose time is unknown are left out.
    #[serde(default)]
    #[schemars(with = "Option<String>")]
    taken_from: Option<FilterTime>,
    /// Only photos taken on or before this day, or before this time; written as `taken_from`.
    #[serde(default)]
    #[schemars(with = "Option<String>")]
    taken_to: Option<FilterTime>,
    /// Only photos with all of these tags, spelled as `list_tags` has them.
    #[serde(default, deserialize_with = "or_default")]
    #[schemars(length(max = MAX_TAGS))]
    tags: Vec<String>,
    /// None of these photos, by `id`: for further results, give those that were found before.
    #[serde(default, deserialize_with = "or_default")]
    #[schemars(length(max = MAX_EXCLUDED))]
    exclude: Vec<String>,
}

impl Filter {
    /// Makes the index's filter of it; the library adds the user.
    ///
    /// # Errors
    /// `InvalidInput`, naming the argument.
    pub(crate) fn into_index_filter(self) -> Result<IndexFilter> {
        let range = TakenRange::new("filter.", self.taken_from, self.taken_to)?;
        if self.exclude.len() > MAX_EXCLUDED {
            let given = self.exclude.len();
            let message = format!("`filter.exclude` has {given} photos; at most {MAX_EXCLUDED} are allowed");
            return Err(invalid("filter.exclude", message));
        }
        // What is not an id is not a photo, so there is nothing to leave out.
        let exclude = self.exclude.iter().filter_map(|id| id.parse::<PhotoId>().ok());
        Ok(IndexFilter {
            taken_from: range.taken_from,
            taken_to: range.taken_to,
            local_from: range.local_from,
            local_to: range.local_to,
            tags: clean_tags("filter.tags", self.tags)?.into_iter().collect(),
            exclude: exclude.collect(),
            ..IndexFilter::default()
        })
    }
}
