//! What each tool does.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use lucida_api::field::check_bounds;
use lucida_api::{PhotoBody, TagsBody, check_text, json};
use lucida_core::{
    Caller, Error, ErrorKind, Library, Photo, PhotoId, PluginHost, Result, SearchInput, SearchLimits,
    SearchQuery, clean_tags,
};
use rmcp::model::{CallToolResult, ContentBlock, JsonObject};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tracing::Instrument as _;

use crate::answers::{Counts, FoundPhotos};
use crate::arguments::{Filter, GetPhoto, LibraryStats, ListTags, SearchPhotos, SimilarPhotos, TagPhoto};
use crate::tool::{DEFAULT_PREVIEW_PIXELS, DEFAULT_TAGS, MAX_LISTED_TAGS, MAX_PREVIEW_PIXELS, Tool};

/// Runs tools on the library of the server.
#[derive(Clone)]
pub(crate) struct Calls {
    library: Arc<dyn Library>,
    limits: SearchLimits,
    /// How long a text may be, in bytes.
    max_text_bytes: usize,
    /// Whether no tool changes anything, whatever the caller's key allows.
    read_only: bool,
}

impl Calls {
    pub(crate) fn new(host: PluginHost, read_only: bool) -> Self {
        // The library's own model is the first one.
        let models = host.embeddings.models();
        Self {
            max_text_bytes: models.first().map_or(0, |model| model.max_text_bytes),
            library: host.library,
            limits: host.search_limits,
            read_only,
        }
    }

    /// Returns the tools that a caller has.
    pub(crate) fn tools_of(&self, caller: &Caller) -> Vec<rmcp::model::Tool> {
        let offered = Tool::ALL
            .into_iter()
            .filter(|tool| self.check_access(*tool, caller).is_ok());
        offered.map(|tool| tool.definition(self.limits)).collect()
    }

    /// Checks whether a caller has a tool.
    fn check_access(&self, tool: Tool, caller: &Caller) -> Result<()> {
        let refuse = |message: String| {
            Err(Error::new(ErrorKind::PermissionDenied, message).with_code("missing_scope"))
        };
        if tool.changes() && self.read_only {
            let name = tool.name();
            return refuse(format!(
                "agents only look on this server (`read_only` of the plugin `mcp`), so `{name}` is not offered"
            ));
        }
        if !caller.scopes.contains(&tool.scope()) {
            let (name, scope) = (tool.name(), tool.scope().as_str());
            return refuse(format!("`{name}` needs a key with the scope `{scope}`"));
        }
        Ok(())
    }

    /// Calls a tool for a caller.
    ///
    /// # Errors
    /// `PermissionDenied` (`missing_scope`) for a tool that the caller doesn't have; `InvalidInput` about an argument; those of
    /// [`Library`].
    pub(crate) async fn call(
        &self,
        tool: Tool,
        arguments: JsonObject,
        caller: &Caller,
    ) -> Result<CallToolResult> {
        self.check_access(tool, caller)?;
        match tool {
            Tool::SearchPhotos => {
                let asked: SearchPhotos = read(arguments)?;
                check_text("text", &asked.text, self.max_text_bytes)?;
                let filter = asked.filter.map(|filter| filter.0);
                self.search(SearchInput::Text(asked.text), asked.limit, filter, caller)
                    .await
            }
            Tool::SimilarPhotos => {
                let asked: SimilarPhotos = read(arguments)?;
                let photo = photo_id(&asked.photo_id)?;
                let filter = asked.filter.map(|filter| filter.0);
                self.search(SearchInput::Photo(photo), asked.limit, filter, caller)
                    .await
            }
            Tool::GetPhoto => self.get_photo(read(arguments)?, caller).await,
            Tool::ListTags => {
                let asked: ListTags = read(arguments)?;
                let limit = asked.limit.unwrap_or(DEFAULT_TAGS);
                let limit = check_bounds("limit", limit, &(1..=MAX_LISTED_TAGS), None)?;
                structured(TagsBody::from(self.library.tags(&caller.user_id, limit).await?))
            }
            Tool::LibraryStats => {
                let LibraryStats {} = read(arguments)?;
                structured(Counts::from(self.library.stats(&caller.user_id).await?))
            }
            Tool::TagPhoto => self.tag_photo(read(arguments)?, caller).await,
        }
    }

    async fn search(
        &self,
        input: SearchInput,
        limit: Option<usize>,
        filter: Option<Filter>,
        caller: &Caller,
    ) -> Result<CallToolResult> {
        let SearchLimits { default, max } = self.limits;
        let limit = limit.unwrap_or(default);
        let limit = check_bounds("limit", limit, &(1..=max), Some("search.max_limit"))?;
        let query = SearchQuery {
            user_id: caller.user_id.clone(),
            input,
            filter: filter.unwrap_or_default().into_index_filter()?,
            limit,
        };
        structured(FoundPhotos::from(self.library.search(query).await?))
    }

    async fn get_photo(&self, asked: GetPhoto, caller: &Caller) -> Result<CallToolResult> {
        let pixels = asked.preview_pixels.unwrap_or(DEFAULT_PREVIEW_PIXELS);
        let pixels = check_bounds("preview_pixels", pixels, &(0..=MAX_PREVIEW_PIXELS), None)?;
        let id = photo_id(&asked.photo_id)?;
        let photo = self.library.photo(&caller.user_id, &id).await?;
        let preview = match pixels {
            0 => None,
            pixels => Some(self.library.preview(&photo, pixels).await?),
        };
        let mut result = described(photo)?;
        match preview {
            None => {}
            Some(Some(preview)) => {
                let data = STANDARD.encode(&preview.bytes);
                result
                    .content
                    .push(ContentBlock::image(data, preview.content_type));
            }
            Some(None) => result.content.push(ContentBlock::text(
                "The photo has no preview: there is one once it is ready, if the plugin `thumbnail` is on.",
            )),
        }
        Ok(result)
    }

    async fn tag_photo(&self, asked: TagPhoto, caller: &Caller) -> Result<CallToolResult> {
        let id = photo_id(&asked.photo_id)?;
        let (add, remove) = (clean_tags("add", asked.add)?, clean_tags("remove", asked.remove)?);
        if add.is_empty() && remove.is_empty() {
            return Err(
                Error::invalid("nothing to change: give tags to `add` or to `remove`")
                    .with_code("missing_field")
                    .with_field("add"),
            );
        }
        let (library, user) = (Arc::clone(&self.library), caller.user_id.clone());
        // Neither a client that hangs up nor the deadline cuts an edit in two.
        let editing = async move { library.edit_tags(&user, &id, add, remove).await };
        let edited = tokio::spawn(editing.in_current_span())
            .await
            .map_err(|error| Error::internal("changing a photo's tags stopped").with_source(error))?;
        described(edited?)
    }
}

/// Reads a tool's arguments.
///
/// # Errors
/// `InvalidInput`, naming the argument.
fn read<T: DeserializeOwned>(arguments: JsonObject) -> Result<T> {
    json::parse_object(Value::Object(arguments).to_string().as_bytes(), "")
}

/// Reads the id of a photo; whatever is not an id is not found.
fn photo_id(text: &str) -> Result<PhotoId> {
    text.parse().map_err(|_| {
        Error::not_found(format!("photo `{text}` not found"))
            .with_code("photo_not_found")
            .with_field("photo_id")
    })
}

/// Makes a result of JSON, also as text for clients that read only text.
fn structured(answer: impl Serialize) -> Result<CallToolResult> {
    let value = serde_json::to_value(answer)
        .map_err(|error| Error::internal("writing a tool's answer failed").with_source(error))?;
    Ok(CallToolResult::structured(value))
}

fn described(photo: Photo) -> Result<CallToolResult> {
    structured(PhotoBody::from(photo))
}
