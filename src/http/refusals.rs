//! The failures that any call may have, for the OpenAPI document.

use std::collections::BTreeMap;

use utoipa::IntoResponses;
use utoipa::openapi::{ContentBuilder, Ref, RefOr, ResponseBuilder};

use super::problem::CONTENT_TYPE_PROBLEM;

/// The failures that any call may have.
pub(super) struct Refusals;

impl IntoResponses for Refusals {
    fn responses() -> BTreeMap<String, RefOr<utoipa::openapi::Response>> {
        let problem = |description: &str| {
            let schema = Ref::from_schema_name("ProblemBody");
            let content = ContentBuilder::new().schema(Some(schema)).build();
            RefOr::T(
                ResponseBuilder::new()
                    .description(description)
                    .content(CONTENT_TYPE_PROBLEM, content)
                    .build(),
            )
        };
        [
            ("401", "The key is missing or not valid."),
            ("403", "The key lacks the scope."),
            ("422", "The input is wrong; `field` names what."),
            (
                "429",
                "Too much work is waiting; `Retry-After` says when to try again.",
            ),
            (
                "503",
                "A component is unavailable or took too long; `Retry-After` says when to try again.",
            ),
            ("default", "Any other failure; `code` says which."),
        ]
        .into_iter()
        .map(|(status, description)| (status.to_owned(), problem(description)))
        .collect()
    }
}
