//! A user's tags in JSON.

use lucida_core::TagList;
use serde::Serialize;
use utoipa::ToSchema;

/// The tags of a user's photos.
#[derive(Debug, Serialize, ToSchema)]
pub struct TagsBody {
    /// The tags, those of most photos first.
    tags: Vec<TagBody>,
    /// Whether there are more.
    has_more: bool,
}

/// A tag.
#[derive(Debug, Serialize, ToSchema)]
struct TagBody {
    /// The tag.
    tag: String,
    /// How many photos have it.
    photos: u64,
}

impl From<TagList> for TagsBody {
    fn from(list: TagList) -> Self {
        let tags = list.tags.into_iter().map(|count| TagBody {
            tag: count.tag,
            photos: count.photos,
        });
        Self {
            tags: tags.collect(),
            has_more: list.has_more,
        }
    }
}
