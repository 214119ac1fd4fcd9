//! The codes of problems: what each means, and which have a status of their own.

use axum::http::StatusCode;

/// Codes whose status is another than their kind's, or that no [`Error`] carries.
pub(super) const STATUS_BY_CODE: [(&str, StatusCode); 11] = [
    ("bad_host", StatusCode::BAD_REQUEST),
    ("malformed_json", StatusCode::BAD_REQUEST),
    ("malformed_form", StatusCode::BAD_REQUEST),
    ("malformed_query", StatusCode::BAD_REQUEST),
    ("unauthorized", StatusCode::UNAUTHORIZED),
    ("upload_stalled", StatusCode::REQUEST_TIMEOUT),
    ("payload_too_large", StatusCode::PAYLOAD_TOO_LARGE),
    ("range_not_satisfiable", StatusCode::RANGE_NOT_SATISFIABLE),
    ("no_tower", StatusCode::UNPROCESSABLE_ENTITY),
    ("not_found", StatusCode::NOT_FOUND),
    ("method_not_allowed", StatusCode::METHOD_NOT_ALLOWED),
];

/// Every code that the server itself gives, with what it means; plugins may add their own.
pub(super) const CODES: [(&str, &str); 45] = [
    (
        "bad_host",
        "the request has no `Host` header, several, or one that is not a host",
    ),
    ("bad_vector", "the model gave no usable vector for the input"),
    (
        "blob_damaged",
        "the store has a photo's bytes in another size than they were stored with",
    ),
    ("blob_missing", "the store has lost a photo's bytes"),
    ("conflict", "the thing was changed by somebody else in between"),
    ("corrupt_image", "the picture can't be decoded"),
    (
        "cross_origin",
        "a server without keys was called under a foreign name or by another web page",
    ),
    ("duplicate_part", "a form has the same part twice"),
    ("empty_file", "the file has no bytes"),
    ("empty_text", "the text has no words"),
    (
        "internal",
        "the server failed; its log says why under the request's id",
    ),
    (
        "invalid_cursor",
        "the cursor is not valid, or belongs to another list",
    ),
    (
        "invalid_field",
        "a field's value is of the wrong type, or out of its bounds",
    ),
    (
        "invalid_input",
        "the input is wrong in another way, which `detail` says",
    ),
    (
        "malformed_form",
        "the body is not the multipart form that its header promises, or ends too early",
    ),
    ("malformed_json", "the body is not JSON"),
    ("malformed_query", "the query string can't be read"),
    (
        "method_not_allowed",
        "the path is known, but not with this method",
    ),
    ("missing_field", "a field that must be there is not"),
    ("missing_scope", "the key may not do that"),
    ("model_not_found", "the server runs another model"),
    ("no_thumbnail", "the photo has no preview, or none yet"),
    ("no_tower", "the model doesn't take this kind of input"),
    ("not_an_image", "the file is not an image"),
    ("not_failed", "only a failed photo can be tried again"),
    (
        "not_found",
        "there is nothing at this path, or nothing that the caller may see",
    ),
    (
        "not_ready",
        "the photo has no vector yet, or a part of the server is not ready",
    ),
    (
        "overloaded",
        "too much work is waiting; try again after the time that `Retry-After` says",
    ),
    ("payload_too_large", "the body is larger than the server takes"),
    ("permission_denied", "the call is refused"),
    (
        "photo_not_found",
        "there is no photo of that id, or it is another user's",
    ),
    ("range_not_satisfiable", "the range begins behind the photo's end"),
    (
        "server_busy",
        "too many requests are being worked on; try again after the time that `Retry-After` says",
    ),
    ("storage_full", "the disk is full"),
    (
        "text_too_long",
        "the text has more bytes than the model takes, or more tokens and the request says `truncate: false`",
    ),
    ("timeout", "something took too long; try again"),
    (
        "too_many_pixels",
        "the picture has more pixels than the server decodes",
    ),
    ("truncated_image", "the file ends before its picture does"),
    (
        "type_mismatch",
        "the file's name promises another format than its bytes are",
    ),
    ("unauthorized", "there is no key, or it is not valid"),
    (
        "unavailable",
        "a part of the server is unavailable; try again later",
    ),
    (
        "unknown_field",
        "a field, part or parameter that the call doesn't have; `field` names it",
    ),
    ("unsupported_image_type", "the picture's format is not read"),
    (
        "unsupported_media_type",
        "the body's content type is not one that the call takes",
    ),
    ("upload_stalled", "the body did not come in time"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_is_explained_once() {
        let mut codes: Vec<_> = CODES.iter().map(|(code, _)| *code).collect();
        for (code, _) in STATUS_BY_CODE {
            assert!(codes.contains(&code), "{code} is not explained");
        }
        codes.sort_unstable();
        codes.dedup();
        assert_eq!(codes.len(), CODES.len());
    }
}
