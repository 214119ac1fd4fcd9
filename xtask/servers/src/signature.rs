//! The signature that S3 asks for, version 4.
//!
//! Source: "Authenticating Requests (AWS Signature Version 4)" of the Amazon S3 API reference, for requests whose path
//! needs no escaping and that have no query.

use std::fmt::Write as _;

use hmac::{Hmac, Mac as _};
use jiff::Timestamp;
use sha2::{Digest as _, Sha256};

const REGION: &str = "us-east-1";
const SIGNED: &str = "host;x-amz-content-sha256;x-amz-date";

/// What signs.
pub(crate) struct Keys<'a> {
    pub(crate) id: &'a str,
    pub(crate) secret: &'a str,
}

/// What is signed.
pub(crate) struct Request<'a> {
    pub(crate) method: &'a str,
    pub(crate) host: &'a str,
    pub(crate) path: &'a str,
    pub(crate) body: &'a [u8],
}

impl Request<'_> {
    /// The headers that make the request an authenticated one.
    pub(crate) fn headers(&self, keys: &Keys<'_>, now: Timestamp) -> [(&'static str, String); 4] {
        let time = now.strftime("%Y%m%dT%H%M%SZ").to_string();
        let day = now.strftime("%Y%m%d").to_string();
        let body = hex(&Sha256::digest(self.body));
        let (method, path, host) = (self.method, self.path, self.host);
        let canonical = format!(
            "{method}\n{path}\n\nhost:{host}\nx-amz-content-sha256:{body}\nx-amz-date:{time}\n\n{SIGNED}\n{body}"
        );
        let scope = format!("{day}/{REGION}/s3/aws4_request");
        let to_sign = format!(
            "AWS4-HMAC-SHA256\n{time}\n{scope}\n{}",
            hex(&Sha256::digest(&canonical))
        );
        let key = [day.as_str(), REGION, "s3", "aws4_request"]
            .iter()
            .fold(format!("AWS4{}", keys.secret).into_bytes(), |key, part| {
                mac(&key, part)
            });
        let authorization = format!(
            "AWS4-HMAC-SHA256 Credential={}/{scope}, SignedHeaders={SIGNED}, Signature={}",
            keys.id,
            hex(&mac(&key, &to_sign))
        );
        [
            ("host", host.to_owned()),
            ("x-amz-content-sha256", body),
            ("x-amz-date", time),
            ("authorization", authorization),
        ]
    }
}

fn mac(key: &[u8], message: &str) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes a key of any length");
    mac.update(message.as_bytes());
    mac.finalize().into_bytes().to_vec()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_signed_as_by_the_reference_implementation() {
        let request = Request {
            method: "PUT",
            host: "127.0.0.1:9000",
            path: "/photos",
            body: b"",
        };
        let keys = Keys {
            id: "AKIAIOSFODNN7EXAMPLE",
            secret: "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
        };
        let headers = request.headers(&keys, "2013-05-24T00:00:00Z".parse().unwrap());
        assert_eq!(headers[2], ("x-amz-date", "20130524T000000Z".to_owned()));
        assert_eq!(
            headers[3].1,
            "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request, \
             SignedHeaders=host;x-amz-content-sha256;x-amz-date, Signature=e0c444b0c7712d548fe5437284ff39d62e2b9a9080801d7507772cf2e330d3da"
        );
    }
}
