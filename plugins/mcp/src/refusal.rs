//! A tool's failure as the agent reads it: a sentence that says what to do, and the code.

use lucida_core::{Error, ErrorKind};
use rmcp::model::{CallToolResult, ContentBlock};
use serde_json::{Value, json};
use tracing::{debug, error, warn};

use crate::tool::Tool;

/// Logs a failure, and makes the tool's result of it. A fault of the server itself is only in the log, under the request's id.
pub(crate) fn refused(tool: Tool, failure: &Error, request_id: &str) -> CallToolResult {
    let tool = tool.name();
    match failure.kind() {
        ErrorKind::Internal | ErrorKind::ConfigInvalid => error!(error = %failure, tool, "tool failed"),
        ErrorKind::Overloaded | ErrorKind::Timeout | ErrorKind::Unavailable => {
            warn!(error = %failure, tool, "tool can't answer now");
        }
        ErrorKind::NotFound
        | ErrorKind::AlreadyExists
        | ErrorKind::InvalidInput
        | ErrorKind::Unsupported
        | ErrorKind::PermissionDenied
        | ErrorKind::Conflict => debug!(error = %failure, tool, "refusing a tool's call"),
    }
    let message = match failure.public_message() {
        Some(message) => message.to_owned(),
        None => {
            format!("the server failed on this call: its log says why, under the request id {request_id}")
        }
    };
    let mut details = json!({ "code": failure.code(), "message": message });
    if let Some(field) = failure.field() {
        details["field"] = Value::from(field);
    }
    if let Some(wait) = failure.retry_after() {
        details["retry_after_secs"] = Value::from(wait.as_secs_f64().ceil());
    }
    let mut result = CallToolResult::error(vec![ContentBlock::text(message)]);
    result.structured_content = Some(details);
    result
}
