//! The server that gets the events.

use std::time::Duration;

use jiff::Timestamp;
use jiff::fmt::rfc2822::DateTimeParser;
use lucida_core::{Error, ErrorKind, Result};
use lucida_egress::{Failure, Lookup, client};
use reqwest::header::{CONTENT_TYPE, HeaderMap, RETRY_AFTER};
use reqwest::{Client, StatusCode, Url};

use crate::config::WebhookConfig;
use crate::signature::Key;

/// Sends signed calls.
pub(crate) struct Receiver {
    client: Client,
    url: Url,
    key: Key,
}

impl Receiver {
    /// Prepares the client; nothing is connected to yet.
    ///
    /// # Errors
    /// `ConfigInvalid` where the address may not be called; `Internal` where no HTTP client can be set up.
    pub(crate) fn new(config: &WebhookConfig, key: Key, lookup: Lookup) -> Result<Self> {
        let timeout = Duration::from_secs(config.timeout_secs);
        Ok(Self {
            client: client(&config.rules()?, timeout, None, lookup)?,
            url: config.target()?,
            key,
        })
    }

    /// Sends one call; any status of 2xx is a success. The body of the answer is not read.
    ///
    /// # Errors
    /// `NotFound` for 410, by which a receiver wants no more of it; `PermissionDenied` where its address may not be called;
    /// `Timeout` and `Unavailable`.
    pub(crate) async fn send(&self, id: &str, body: Vec<u8>) -> Result<()> {
        let timestamp = Timestamp::now().as_second();
        let signature = self.key.sign(id, timestamp, &body);
        let response = self
            .client
            .post(self.url.clone())
            .header(CONTENT_TYPE, "application/json")
            .header("webhook-id", id)
            .header("webhook-timestamp", timestamp)
            .header("webhook-signature", signature)
            .body(body)
            .send()
            .await
            .map_err(|error| unreachable(&error))?;
        let status = response.status();
        if status.is_success() {
            return Ok(());
        }
        if status == StatusCode::GONE {
            return Err(Error::not_found(
                "the receiver answered 410 Gone: it takes no more of these events",
            ));
        }
        let hint = if status.is_redirection() {
            ", and redirects are not followed"
        } else {
            ""
        };
        let error = Error::unavailable(format!("the receiver answered {status}{hint}"));
        Err(match retry_after(response.headers(), Timestamp::now()) {
            Some(wait) => error.with_retry_after(wait),
            None => error,
        })
    }
}

fn unreachable(error: &reqwest::Error) -> Error {
    match Failure::from(error) {
        Failure::Refused(why) => Error::new(
            ErrorKind::PermissionDenied,
            format!("the receiver is not called: {why}"),
        )
        .with_code("url_refused"),
        Failure::Timeout => Error::new(ErrorKind::Timeout, "the receiver took too long"),
        Failure::Unreachable(cause) => Error::unavailable(format!("the receiver can't be reached: {cause}")),
    }
}

/// Reads `Retry-After`: seconds, or a date.
fn retry_after(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    let value = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = value.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let at = DateTimeParser::new().parse_timestamp(value).ok()?;
    Duration::try_from(at.duration_since(now)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retry_after_is_read_as_seconds_and_as_a_date() {
        let now: Timestamp = "1994-11-06T08:49:07Z".parse().unwrap();
        let read = |value: &str| {
            let headers = HeaderMap::from_iter([(RETRY_AFTER, value.parse().unwrap())]);
            retry_after(&headers, now).map(|wait| wait.as_secs())
        };
        assert_eq!(read("120"), Some(120));
        assert_eq!(read("Sun, 06 Nov 1994 08:49:37 GMT"), Some(30));
        assert_eq!(read("Sun, 06 Nov 1994 08:48:37 GMT"), None);
        assert_eq!(read("soon"), None);
    }
}
