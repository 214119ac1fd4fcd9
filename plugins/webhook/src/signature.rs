//! The signature of a call: HMAC-SHA256 over its id, time and body.
//!
//! Source: the specification of Standard Webhooks, <https://www.standardwebhooks.com>, symmetric signatures (`v1`).

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use hmac::{Hmac, Mac as _};
use lucida_core::{Error, Result, Secret};
use sha2::Sha256;

/// What a secret may begin with.
const PREFIX: &str = "whsec_";

/// How long a key may be, in bytes.
const KEY_BYTES: std::ops::RangeInclusive<usize> = 24..=64;

/// A key that signs; it never prints.
#[derive(Clone)]
pub(crate) struct Key(Hmac<Sha256>);

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

impl Key {
    /// Reads a secret that comes from the setting `field`.
    ///
    /// # Errors
    /// `ConfigInvalid`, naming `field` without the secret.
    pub(crate) fn parse(field: &str, secret: &Secret) -> Result<Self> {
        let written = secret.expose().trim();
        let written = written.strip_prefix(PREFIX).unwrap_or(written);
        let bytes = STANDARD
            .decode(written)
            .or_else(|_| STANDARD_NO_PAD.decode(written))
            .ok()
            .filter(|bytes| KEY_BYTES.contains(&bytes.len()))
            .ok_or_else(|| {
                let message = format!(
                    "is not a key; expected {} to {} random bytes in base64 (`openssl rand -base64 32`)",
                    KEY_BYTES.start(),
                    KEY_BYTES.end()
                );
                Error::config(field, message)
            })?;
        let hmac = Hmac::new_from_slice(&bytes)
            .map_err(|error| Error::internal(format!("the key of a signature can't be used: {error}")))?;
        Ok(Self(hmac))
    }

    /// Signs a call; `timestamp` is in seconds since 1970.
    pub(crate) fn sign(&self, id: &str, timestamp: i64, body: &[u8]) -> String {
        let mut hmac = self.0.clone();
        hmac.update(format!("{id}.{timestamp}.").as_bytes());
        hmac.update(body);
        format!("v1,{}", STANDARD.encode(hmac.finalize().into_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of the reference implementations.
    const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

    #[test]
    fn the_example_of_the_reference_implementations_is_signed_as_there() {
        for secret in [SECRET, SECRET.trim_start_matches(PREFIX)] {
            let key = Key::parse("secret", &Secret::new(secret)).unwrap();
            let body = br#"{"test": 2432232314}"#;
            assert_eq!(
                key.sign("msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, body),
                "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
            );
        }
    }

    #[test]
    fn what_is_not_a_key_is_refused_without_showing_it() {
        for secret in [
            "",
            "whsec_",
            "hunter2",
            "c2hvcnQ=",
            &"QUFB".repeat(22),
            "whsec_not base64 at all",
        ] {
            let error = Key::parse("secret", &Secret::new(secret)).unwrap_err();
            assert_eq!(error.field(), Some("secret"), "{secret}");
            assert!(secret.len() < 7 || !error.to_string().contains(secret), "{error}");
        }
        let key = Key::parse("secret", &Secret::new(SECRET)).unwrap();
        assert_eq!(format!("{key:?}"), "[redacted]");
    }
}
