//! What a store's refusals, and no answer at all, mean to a caller of the S3 storage.

use std::error::Error as StdError;
use std::fmt::{self, Display};

use lucida_core::config::Secret;
use lucida_core::{Error, ErrorKind};

/// The transport's message when no answer came at all.
pub(super) const NO_ANSWER: &str = "no answer";
/// OpenDAL's message when it has nothing to sign a request with.
const UNSIGNED: &str = "signing http request";
/// What is under that when no place had credentials, or none that last.
const UNSIGNED_WITHOUT_REASON: &str = "failed to load signing credential";
/// How much of a text that is not an answer of S3's is repeated; a proxy may send a whole page.
const EXCERPT_CHARS: usize = 200;

/// Returns whether the store says that there is no such blob; OpenDAL distinguishes a missing bucket where the
/// answer has a body.
pub(super) fn is_absent(error: &opendal::Error) -> bool {
    error.kind() == opendal::ErrorKind::NotFound
}

/// Returns whether the answer had no body, which would say more than its status.
pub(super) fn is_bare(error: &opendal::Error) -> bool {
    error.message().is_empty()
}

/// Returns whether the store answered, and not by what a short outage or an overload would explain.
pub(super) fn is_answered(error: &opendal::Error) -> bool {
    !error.is_temporary() && ![NO_ANSWER, UNSIGNED].contains(&error.message())
}

/// Where the store is, to name it in errors.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) bucket: String,
    pub(super) endpoint: String,
    /// A store may repeat it when it refuses it.
    pub(super) session_token: Option<Secret>,
    /// Whether uploads carry a checksum.
    pub(super) checksum: bool,
    /// Whether uploads ask for encryption.
    pub(super) encryption: bool,
}

/// What is the matter, and what to do about it.
struct Fault {
    kind: ErrorKind,
    message: String,
    code: Option<&'static str>,
    /// The setting that is wrong; none where the store is merely unavailable.
    setting: Option<&'static str>,
}

impl Place {
    /// Makes the error of something that went wrong with the store; never `NotFound`.
    pub(super) fn failed(&self, doing: impl Display, error: &opendal::Error) -> Error {
        self.made(self.fault(error), error).context(doing.to_string())
    }

    /// Makes the error of settings by which the store can't be used, which names the setting; none for a store that
    /// is merely unavailable.
    pub(super) fn unusable(&self, error: &opendal::Error) -> Option<Error> {
        let fault = self.fault(error);
        let setting = fault.setting?;
        let kind = match fault.kind {
            ErrorKind::PermissionDenied => ErrorKind::PermissionDenied,
            ErrorKind::NotFound
            | ErrorKind::AlreadyExists
            | ErrorKind::InvalidInput
            | ErrorKind::Unsupported
            | ErrorKind::ConfigInvalid
            | ErrorKind::Conflict
            | ErrorKind::Overloaded
            | ErrorKind::Timeout
            | ErrorKind::Unavailable
            | ErrorKind::Internal => ErrorKind::ConfigInvalid,
        };
        Some(self.made(fault, error).with_kind(kind).with_field(setting))
    }

    fn made(&self, fault: Fault, error: &opendal::Error) -> Error {
        let mut made = Error::new(fault.kind, fault.message);
        if let Some(code) = fault.code {
            made = made.with_code(code);
        }
        match self.cause(error) {
            Some(cause) => made.with_source(cause),
            None => made,
        }
    }

    /// Makes the error of a store that takes uploads without a checksum, and refused one with it.
    pub(super) fn refuses_checksums(&self, error: &opendal::Error) -> Error {
        let fault = Fault {
            kind: ErrorKind::ConfigInvalid,
            message: self.without_checksum(),
            code: None,
            setting: Some("checksum"),
        };
        self.made(fault, error).with_field("checksum")
    }

    fn without_checksum(&self) -> String {
        let endpoint = &self.endpoint;
        format!("{endpoint} refuses uploads with a checksum: set storage.s3.checksum = false")
    }

    /// Reads S3's code, which says more than the status: OpenDAL's kinds follow that.
    fn fault(&self, error: &opendal::Error) -> Fault {
        let Self { bucket, endpoint, .. } = self;
        let denied = |message: String, setting| Fault {
            kind: ErrorKind::PermissionDenied,
            message,
            code: None,
            setting: Some(setting),
        };
        let unavailable = |message: String, setting| Fault {
            kind: ErrorKind::Unavailable,
            message,
            code: None,
            setting,
        };
        let code = field(error.message(), "code").unwrap_or_default();
        let said = field(error.message(), "message").unwrap_or_default();
        match code {
            "NoSuchBucket" => unavailable(
                format!("bucket `{bucket}` not found at {endpoint}: create it or set storage.s3.bucket"),
                Some("bucket"),
            ),
            "InvalidAccessKeyId" => denied(
                format!(
                    "{endpoint} doesn't know the access key: set storage.s3.access_key_id to another one"
                ),
                "access_key_id",
            ),
            "SignatureDoesNotMatch" => denied(
                format!("{endpoint} has another secret for the access key: set storage.s3.secret_access_key"),
                "secret_access_key",
            ),
            "ExpiredToken" | "InvalidToken" | "TokenRefreshRequired" => denied(
                "the session token is not valid, or has expired: set storage.s3.session_token to a new one"
                    .to_owned(),
                "session_token",
            ),
            "RequestTimeTooSkewed" => unavailable(
                format!(
                    "the clocks of this machine and of {endpoint} differ by more than 15 minutes: correct the wrong one"
                ),
                None,
            ),
            "AuthorizationHeaderMalformed"
            | "IllegalLocationConstraintException"
            | "PermanentRedirect"
            | "TemporaryRedirect" => unavailable(
                format!(
                    "bucket `{bucket}` is in another region or elsewhere: set storage.s3.region, or storage.s3.endpoint"
                ),
                Some("region"),
            ),
            "XMinioStorageFull" | "XMinioAdminBucketQuotaExceeded" | "QuotaExceeded" => Fault {
                kind: ErrorKind::Unavailable,
                message: format!(
                    "the store at {endpoint} is full: add disks, or raise the quota of `{bucket}`"
                ),
                code: Some("storage_full"),
                setting: None,
            },
            "BadDigest" | "InvalidDigest" | "XAmzContentChecksumMismatch" => unavailable(
                format!(
                    "{endpoint} got other bytes than were sent: check the proxies and the network between"
                ),
                None,
            ),
            "EntityTooLarge" | "KeyTooLongError" | "XMinioInvalidObjectName" | "XMinioParentIsObject" => {
                Fault {
                    kind: ErrorKind::InvalidInput,
                    message: "the name or the size is beyond the limits of the store".to_owned(),
                    code: None,
                    setting: None,
                }
            }
            "XMinioKMSNotConfigured" => unavailable(
                format!(
                    "{endpoint} has no keys to encrypt with: leave storage.s3.server_side_encryption out"
                ),
                Some("server_side_encryption"),
            ),
            _ if self.checksum && said.to_ascii_lowercase().contains("checksum") => {
                unavailable(self.without_checksum(), Some("checksum"))
            }
            "NotImplemented" => match (self.checksum, self.encryption) {
                (true, false) => unavailable(self.without_checksum(), Some("checksum")),
                (false, true) => unavailable(
                    format!("{endpoint} does not encrypt: leave storage.s3.server_side_encryption out"),
                    Some("server_side_encryption"),
                ),
                (true, true) => unavailable(
                    format!(
                        "{endpoint} lacks a feature: set storage.s3.checksum = false, or leave \
                         storage.s3.server_side_encryption out"
                    ),
                    Some("checksum"),
                ),
                (false, false) => unavailable(
                    format!(
                        "{endpoint} lacks a feature of S3 that is needed: set storage.s3.endpoint to another store"
                    ),
                    Some("endpoint"),
                ),
            },
            code if code.starts_with("KMS.") || code.starts_with("kms:") => unavailable(
                "the store can't use the encryption key: set storage.s3.kms_key_id to another one".to_owned(),
                Some("kms_key_id"),
            ),
            _ if error.kind() == opendal::ErrorKind::PermissionDenied => denied(
                format!(
                    "the credentials lack a permission on bucket `{bucket}`: allow them s3:ListBucket, s3:GetObject, \
                     s3:PutObject, s3:DeleteObject and s3:AbortMultipartUpload, or set storage.s3.access_key_id"
                ),
                "access_key_id",
            ),
            _ if error.message() == UNSIGNED => unavailable(
                format!(
                    "no credentials were found for bucket `{bucket}`: set storage.s3.access_key_id and \
                     storage.s3.secret_access_key, or the variables AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or give \
                     this process a profile or a role"
                ),
                Some("access_key_id"),
            ),
            _ if error.message() == NO_ANSWER => unavailable(
                format!("no answer from {endpoint}: start the store, or set storage.s3.endpoint"),
                None,
            ),
            _ => unavailable(format!("the store at {endpoint} failed: see its log"), None),
        }
    }

    /// Returns what the store or the connection said, and nothing of the request.
    fn cause(&self, error: &opendal::Error) -> Option<Cause> {
        let message = error.message();
        if message == UNSIGNED {
            // Each place that was looked at wraps the error of the one below: the last one says why.
            let mut reason = error.source()?;
            while let Some(under) = reason.source() {
                reason = under;
            }
            let reason = reason.to_string();
            return (reason != UNSIGNED_WITHOUT_REASON).then_some(Cause(reason));
        }
        let mut text = match field(message, "code") {
            Some(code) => format!("{code}: {}", field(message, "message").unwrap_or_default()),
            None if message == NO_ANSWER => String::new(),
            None => message.split_whitespace().collect::<Vec<_>>().join(" "),
        };
        let mut source = error.source();
        while let Some(under) = source {
            let under_text = under.to_string();
            if !text.contains(&under_text) {
                let colon = if text.is_empty() { "" } else { ": " };
                text = format!("{text}{colon}{under_text}");
            }
            source = under.source();
        }
        if let Some(token) = &self.session_token {
            text = text.replace(token.expose(), &token.to_string());
        }
        let excerpt: String = text.chars().take(EXCERPT_CHARS).collect();
        (!excerpt.is_empty()).then_some(Cause(excerpt))
    }
}

/// Finds a field of S3's error, of which OpenDAL keeps only how Rust prints it:
/// `S3Error { code: "NoSuchBucket", message: "The specified…", … }`.
fn field<'a>(message: &'a str, name: &str) -> Option<&'a str> {
    let fields = message.strip_prefix("S3Error {")?;
    let (_, value) = fields.split_once(&format!(" {name}: \""))?;
    let (value, _) = value.split_once("\", ").or_else(|| value.split_once("\" }"))?;
    (!value.is_empty()).then_some(value)
}

/// What the store or the connection said.
#[derive(Debug)]
struct Cause(String);

impl Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl StdError for Cause {}

#[cfg(test)]
mod tests {
    use super::*;

    fn place() -> Place {
        Place {
            bucket: "photos".to_owned(),
            endpoint: "http://store:9000".to_owned(),
            session_token: Some(Secret::new("the-token")),
            checksum: true,
            encryption: false,
        }
    }

    #[test]
    fn a_store_that_refuses_checksums_names_the_setting_also_while_it_runs() {
        for (code, message) in [
            (
                "InvalidArgument",
                "Unsupported header 'x-amz-checksum-crc32c' received for this API call.",
            ),
            (
                "InvalidRequest",
                "The algorithm type you specified in x-amz-checksum- header is invalid.",
            ),
            (
                "NotImplemented",
                "A header you provided implies functionality that is not implemented.",
            ),
        ] {
            let error = answer(opendal::ErrorKind::Unexpected, code, message);
            let made = place().failed("writing blob `a`", &error);
            assert_eq!(
                made.to_string(),
                format!(
                    "writing blob `a`: http://store:9000 refuses uploads with a checksum: set storage.s3.checksum = false: \
                     {code}: {message}"
                )
            );
            assert_eq!(place().unusable(&error).unwrap().field(), Some("checksum"));
            // Without one, it is something else.
            let without = Place {
                checksum: false,
                ..place()
            };
            assert!(
                !without
                    .failed("writing blob `a`", &error)
                    .message()
                    .contains("checksum")
            );
        }
    }

    #[test]
    fn missing_credentials_are_told_once_and_with_the_reason_that_there_is() {
        let unsigned = |reason: Option<&'static str>| {
            let none = std::io::Error::other(UNSIGNED_WITHOUT_REASON);
            let source = match reason {
                Some(reason) => std::io::Error::other(std::io::Error::other(reason)),
                None => none,
            };
            opendal::Error::new(opendal::ErrorKind::Unexpected, UNSIGNED).set_source(source)
        };
        let none = place()
            .failed("writing to the store", &unsigned(None))
            .to_string();
        assert!(
            none.ends_with("or give this process a profile or a role"),
            "{none}"
        );
        let expired = place()
            .failed("writing to the store", &unsigned(Some("SSO token expired")))
            .to_string();
        assert_eq!(expired.matches("SSO token expired").count(), 1, "{expired}");
        assert!(!expired.contains(UNSIGNED), "{expired}");
    }

    fn answer(kind: opendal::ErrorKind, code: &str, message: &str) -> opendal::Error {
        let text = format!(
            "S3Error {{ code: {code:?}, message: {message:?}, resource: \"/photos/a\", request_id: \"1\" }}"
        );
        opendal::Error::new(kind, text)
    }

    #[test]
    fn a_missing_bucket_is_a_wrong_setting_at_start_and_unavailable_later() {
        let error = answer(
            opendal::ErrorKind::ConfigInvalid,
            "NoSuchBucket",
            "The specified bucket does not exist",
        );
        let at_start = place().unusable(&error).unwrap();
        assert_eq!(
            (at_start.kind(), at_start.field()),
            (ErrorKind::ConfigInvalid, Some("bucket"))
        );
        let later = place().failed("reading blob `a`", &error);
        assert_eq!((later.kind(), later.field()), (ErrorKind::Unavailable, None));
        assert_eq!(
            later.to_string(),
            "reading blob `a`: bucket `photos` not found at http://store:9000: create it or set storage.s3.bucket: \
             NoSuchBucket: The specified bucket does not exist"
        );
    }

    #[test]
    fn a_full_store_is_unavailable_with_a_code_and_no_wrong_setting() {
        let error = answer(opendal::ErrorKind::Unexpected, "XMinioStorageFull", "Full.");
        let made = place().failed("writing blob `a`", &error);
        assert_eq!(
            (made.kind(), made.code()),
            (ErrorKind::Unavailable, "storage_full")
        );
        assert!(place().unusable(&error).is_none());
    }

    #[test]
    fn a_key_to_encrypt_with_that_is_not_there_names_its_setting() {
        for code in ["KMS.NotFoundException", "kms:KeyNotFound"] {
            let error = answer(opendal::ErrorKind::Unexpected, code, "no such key");
            let made = place().unusable(&error).unwrap();
            assert_eq!(
                (made.kind(), made.field()),
                (ErrorKind::ConfigInvalid, Some("kms_key_id"))
            );
        }
    }

    #[test]
    fn another_region_names_its_setting_and_says_which() {
        let error = answer(
            opendal::ErrorKind::Unexpected,
            "AuthorizationHeaderMalformed",
            "The authorization header is malformed; the region is wrong; expecting 'eu-central-1'.",
        );
        let made = place().unusable(&error).unwrap();
        assert_eq!(
            (made.kind(), made.field()),
            (ErrorKind::ConfigInvalid, Some("region"))
        );
        assert!(made.to_string().ends_with("expecting 'eu-central-1'."), "{made}");
    }

    #[test]
    fn a_refusal_without_a_code_is_denied() {
        let error = opendal::Error::new(opendal::ErrorKind::PermissionDenied, "");
        let made = place().failed("looking at blob `a`", &error);
        assert_eq!(made.kind(), ErrorKind::PermissionDenied);
        assert!(made.to_string().contains("s3:GetObject"), "{made}");
    }

    #[test]
    fn a_token_that_the_store_repeats_is_not_repeated_again() {
        let kind = opendal::ErrorKind::Unexpected;
        for error in [
            answer(kind, "InvalidToken", "The token the-token is malformed"),
            opendal::Error::new(kind, "<html>\n x-amz-security-token: the-token </html>"),
        ] {
            let made = place().failed("reading blob `a`", &error);
            assert!(!format!("{made} {made:?}").contains("the-token"), "{made}");
            assert!(made.to_string().contains("[redacted]"), "{made}");
        }
    }

    #[test]
    fn a_page_of_a_proxy_is_cut() {
        let error = opendal::Error::new(opendal::ErrorKind::Unexpected, "<p>\n".repeat(10_000));
        let made = place().failed("reading blob `a`", &error).to_string();
        assert!(made.len() < 400 && !made.contains('\n'), "{made}");
    }
}
