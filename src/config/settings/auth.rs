//! `[auth]`: who may call, and as whom.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use lucida_core::{Error, ErrorKind, Result, Scope, Secret, Settings, UserId};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::keys::ApiKey;

/// Who may call the API.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct AuthSettings {
    /// The API keys. Without any, everything belongs to the user `local` and the server listens on loopback only.
    #[schemars(extend("default" = []))]
    pub keys: Vec<AuthKey>,
}

/// An API key, sent in `x-api-key` or `Authorization: Bearer`.
///
/// Exactly one of `key`, `key_file` and `key_sha256` is set.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AuthKey {
    /// The key's name, for logs; unique.
    #[schemars(example = &"laptop")]
    pub name: String,
    /// The key itself; at least 8 characters.
    #[schemars(example = &"a-long-random-word")]
    pub key: Option<Secret>,
    /// A file that holds the key; white space around it is ignored.
    #[schemars(example = &"/run/secrets/laptop")]
    pub key_file: Option<PathBuf>,
    /// The key's SHA-256 as 64 hexadecimal digits, so that the config file holds no secret.
    #[schemars(example = &"2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b")]
    pub key_sha256: Option<String>,
    /// The user whose photos the key gives access to; users never see each other's photos.
    #[schemars(example = &"alice")]
    pub user: UserId,
    /// What the key may do: `embed` (/embed and /v1/embeddings), `read` (list, get and search), `write` (upload, retry,
    /// delete).
    #[schemars(example = ["embed", "read", "write"])]
    pub scopes: BTreeSet<Scope>,
}

/// The fewest characters of a key.
const SHORTEST_KEY: usize = 8;

impl AuthSettings {
    /// Reads the key files and hashes the keys.
    ///
    /// # Errors
    /// `ConfigInvalid` for a file that can't be read, a key that is too short, or a key that two entries share.
    pub fn load(&self) -> Result<Vec<ApiKey>> {
        let mut loaded: Vec<ApiKey> = Vec::with_capacity(self.keys.len());
        for (index, key) in self.keys.iter().enumerate() {
            let sha256 = key
                .sha256()
                .map_err(|error| nested(&error, &format!("auth.keys[{index}]")))?;
            if let Some(other) = loaded.iter().find(|other| other.sha256 == sha256) {
                return Err(Error::config(
                    format!("auth.keys[{index}]"),
                    format!("key `{}` is the same as key `{}`", key.name, other.name),
                ));
            }
            loaded.push(ApiKey {
                name: key.name.clone(),
                user: key.user.clone(),
                scopes: key.scopes.iter().copied().collect(),
                sha256,
            });
        }
        Ok(loaded)
    }
}

impl Settings for AuthSettings {
    fn validate(&self) -> Result<()> {
        for (index, key) in self.keys.iter().enumerate() {
            key.validate()
                .map_err(|error| nested(&error, &format!("keys[{index}]")))?;
            if self.keys[..index].iter().any(|other| other.name == key.name) {
                return Err(Error::config(
                    format!("keys[{index}].name"),
                    format!("`{}` is already the name of another key", key.name),
                ));
            }
        }
        Ok(())
    }
}

impl AuthKey {
    fn validate(&self) -> Result<()> {
        if self.name.is_empty() {
            return Err(Error::config("name", "must not be empty"));
        }
        let given = [
            self.key.is_some(),
            self.key_file.is_some(),
            self.key_sha256.is_some(),
        ];
        if given.iter().filter(|given| **given).count() != 1 {
            return Err(Error::config(
                "",
                "needs exactly one of `key`, `key_file` and `key_sha256`",
            ));
        }
        if self.scopes.is_empty() {
            return Err(Error::config(
                "scopes",
                "must name at least one of embed, read, write",
            ));
        }
        if let Some(key) = &self.key {
            check_key(key.expose()).map_err(|message| Error::config("key", message))?;
        }
        if let Some(digits) = &self.key_sha256 {
            parse_sha256(digits)?;
        }
        Ok(())
    }

    fn sha256(&self) -> Result<[u8; 32]> {
        if let Some(digits) = &self.key_sha256 {
            return parse_sha256(digits);
        }
        if let Some(key) = &self.key {
            return Ok(ApiKey::digest(key.expose().as_bytes()));
        }
        let Some(path) = &self.key_file else {
            return Err(Error::config(
                "",
                "needs exactly one of `key`, `key_file` and `key_sha256`",
            ));
        };
        let text = fs::read_to_string(path).map_err(|error| {
            Error::config("key_file", format!("can't read {}", path.display())).with_source(error)
        })?;
        let key = text.trim();
        check_key(key)
            .map_err(|message| Error::config("key_file", format!("{}: {message}", path.display())))?;
        Ok(ApiKey::digest(key.as_bytes()))
    }
}

fn check_key(key: &str) -> Result<(), String> {
    if key.chars().any(|char| !char.is_ascii_graphic()) {
        return Err(
            "the key may only have visible ASCII characters, since it travels in a header".to_owned(),
        );
    }
    if key.len() < SHORTEST_KEY {
        return Err(format!("the key must have at least {SHORTEST_KEY} characters"));
    }
    Ok(())
}

fn parse_sha256(digits: &str) -> Result<[u8; 32]> {
    let wrong = || {
        Error::config(
            "key_sha256",
            "must be 64 hexadecimal digits, as `sha256sum` prints",
        )
    };
    if digits.len() != 64 || !digits.is_ascii() {
        return Err(wrong());
    }
    let mut bytes = [0; 32];
    for (index, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&digits[2 * index..2 * index + 2], 16).map_err(|_| wrong())?;
    }
    Ok(bytes)
}

/// Moves an error about a field of a table to that of the table's parent.
fn nested(error: &Error, parent: &str) -> Error {
    let field = match error.field() {
        Some(field) if !field.is_empty() => format!("{parent}.{field}"),
        Some(_) | None => parent.to_owned(),
    };
    let message = error.to_string();
    Error::new(ErrorKind::ConfigInvalid, message).with_field(field)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(name: &str) -> AuthKey {
        AuthKey {
            name: name.to_owned(),
            key: None,
            key_file: None,
            key_sha256: None,
            user: UserId::local(),
            scopes: BTreeSet::from([Scope::Read]),
        }
    }

    #[test]
    fn a_key_from_a_file_is_trimmed_and_equals_the_key_itself() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        fs::write(&path, "opensesame\n").unwrap();
        let from_file = AuthKey {
            key_file: Some(path),
            ..key("file")
        };
        let itself = AuthKey {
            key: Some(Secret::new("opensesame")),
            ..key("itself")
        };
        let digits = AuthKey {
            key_sha256: Some("D9FB92E3BBE65BE1F1AAD4A82EEF4567F7A1EBE2CD110C8049B9698BE7A70C88".to_owned()),
            ..key("digits")
        };
        assert_eq!(from_file.sha256().unwrap(), itself.sha256().unwrap());
        assert_eq!(from_file.sha256().unwrap(), digits.sha256().unwrap());
        let shared = AuthSettings {
            keys: vec![from_file, itself],
        };
        let error = shared.load().unwrap_err();
        assert_eq!(error.field(), Some("auth.keys[1]"));
        assert!(!error.to_string().contains("opensesame"));
    }

    #[test]
    fn a_missing_key_file_is_named() {
        let settings = AuthSettings {
            keys: vec![AuthKey {
                key_file: Some("/nowhere/key".into()),
                ..key("a")
            }],
        };
        let error = settings.load().unwrap_err();
        assert_eq!(error.field(), Some("auth.keys[0].key_file"));
        assert!(error.to_string().contains("/nowhere/key"), "{error}");
    }
}
