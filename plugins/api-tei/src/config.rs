//! The settings of the plugin.

use lucida_api::{Auth, MAX_INPUTS};
use lucida_core::{Error, Result, Settings};
use schemars::JsonSchema;
use serde::Deserialize;

/// Answers as text-embeddings-inference does.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ApiTeiConfig {
    /// The path that the calls are below: clients are given `http://lucida:8080/tei` as the server's address.
    pub path: String,
    /// The model that answers, by its name; without it the library's own. Example: `"e5"`
    #[schemars(example = &"e5")]
    pub model: Option<String>,
    /// Who may ask: `key` wants a key with the scope `embed`, which clients send as `Authorization: Bearer`; `none` lets
    /// everybody who reaches the server embed texts.
    pub auth: Auth,
    /// The most texts of one call.
    pub max_client_batch_size: usize,
    /// Whether texts are cut at the model's limit where a request doesn't say; otherwise a longer text is refused.
    pub auto_truncate: bool,
}

impl Default for ApiTeiConfig {
    fn default() -> Self {
        Self {
            path: "/tei".to_owned(),
            model: None,
            auth: Auth::Key,
            max_client_batch_size: MAX_INPUTS,
            auto_truncate: false,
        }
    }
}

impl Settings for ApiTeiConfig {
    fn validate(&self) -> Result<()> {
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./".contains(&byte);
        let is_path = self.path.len() > 1
            && self.path.starts_with('/')
            && !self.path.ends_with('/')
            && !self.path.contains("//")
            && self.path.bytes().all(is_plain);
        if !is_path {
            let message = format!(
                "`{}` is not a path; expected one like `/tei`, which doesn't end with `/`",
                self.path
            );
            return Err(Error::config("path", message));
        }
        if self.max_client_batch_size == 0 {
            return Err(Error::config(
                "max_client_batch_size",
                "is 0: allow at least 1 text",
            ));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_that_calls_can_not_be_below_is_refused() {
        let of = |path: &str| {
            let config = ApiTeiConfig {
                path: path.to_owned(),
                ..ApiTeiConfig::default()
            };
            config
                .validate()
                .map_err(|error| error.field().map(str::to_owned))
        };
        for path in ["/tei", "/models/e5", "/tei-1.8"] {
            assert_eq!(of(path), Ok(()), "{path}");
        }
        for path in ["", "/", "tei", "/tei/", "/a//b", "/{model}", "/a b"] {
            assert_eq!(of(path), Err(Some("path".to_owned())), "{path}");
        }
    }
}
