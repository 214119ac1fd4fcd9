//! The protocol's server: lists the caller's tools and calls them, one request at a time.

use std::panic::AssertUnwindSafe;
use std::time::Instant;

use axum::http::HeaderMap;
use axum::http::request::Parts;
use futures::FutureExt as _;
use lucida_core::{Caller, Deadline, Error, metrics};
use rmcp::model::{
    CallToolRequestParams, CallToolResponse, Implementation, ListToolsResult, PaginatedRequestParams,
    ServerCapabilities, ServerConfig,
};
use rmcp::service::RequestContext;
use rmcp::{ErrorData, RoleServer, ServerHandler};

use crate::calls::Calls;
use crate::config::PLUGIN_NAME;
use crate::refusal::refused;
use crate::tool::Tool;

/// What an agent should know before it calls a tool.
const INSTRUCTIONS: &str = "A library of photos. search_photos finds photos by what is to be seen in them, \
     similar_photos by another photo, and both can be filtered by date and tags. get_photo shows one of them. Only photos of \
     the key's own user are there. Nothing can be deleted here.";

/// Answers the requests of the protocol.
#[derive(Clone)]
pub(crate) struct McpServer {
    calls: Calls,
}

impl McpServer {
    pub(crate) const fn new(calls: Calls) -> Self {
        Self { calls }
    }
}

/// What the server in front has found out about a request.
struct Asked<'a> {
    caller: &'a Caller,
    deadline: &'a Deadline,
    request_id: &'a str,
}

impl<'a> Asked<'a> {
    fn of(context: &'a RequestContext<RoleServer>) -> Result<Self, ErrorData> {
        let outside = || ErrorData::internal_error("the request did not come through the server", None);
        let parts = context.extensions.get::<Parts>().ok_or_else(outside)?;
        let id = |headers: &'a HeaderMap| headers.get("x-request-id")?.to_str().ok();
        Ok(Self {
            caller: parts.extensions.get().ok_or_else(outside)?,
            deadline: parts.extensions.get().ok_or_else(outside)?,
            request_id: id(&parts.headers).unwrap_or_default(),
        })
    }
}

impl ServerHandler for McpServer {
    fn get_info(&self) -> ServerConfig {
        let about = Implementation::new("lucida", env!("CARGO_PKG_VERSION")).with_title("Lucida");
        ServerConfig::new(ServerCapabilities::builder().enable_tools().build())
            .with_server_info(about)
            .with_instructions(INSTRUCTIONS)
    }

    async fn list_tools(
        &self,
        _request: Option<PaginatedRequestParams>,
        context: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        let asked = Asked::of(&context)?;
        Ok(ListToolsResult::with_all_items(self.calls.tools_of(asked.caller)))
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let Some(tool) = Tool::named(&request.name) else {
            let name = &request.name;
            return Err(ErrorData::invalid_params(
                format!("unknown tool `{name}`: `tools/list` has those there are"),
                None,
            ));
        };
        let Asked {
            caller,
            deadline,
            request_id,
        } = Asked::of(&context)?;
        let started = Instant::now();
        let arguments = request.arguments.unwrap_or_default();
        let work = deadline.bound(self.calls.call(tool, arguments, caller));
        // rmcp answers nothing at all for a tool that panics.
        let work = AssertUnwindSafe(work).catch_unwind();
        let result = tokio::select! {
            result = work => result,
            () = context.ct.cancelled() => {
                return Err(ErrorData::internal_error("the client hung up", None));
            }
        };
        let result = result.unwrap_or_else(|_| Err(Error::internal("the tool panicked")));
        let outcome = result
            .as_ref()
            .map_or_else(|error| error.kind().as_str(), |_| "ok");
        metrics::PLUGIN_DURATION.record(started.elapsed(), &[PLUGIN_NAME, tool.name(), outcome]);
        Ok(result
            .unwrap_or_else(|error| refused(tool, &error, request_id))
            .into())
    }
}
