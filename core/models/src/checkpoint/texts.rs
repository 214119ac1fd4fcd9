//! What requests may say of a model's texts: its prompts and lengths, as its folder and the configuration have them.

use std::collections::BTreeMap;
use std::path::Path;

use lucida_core::{Error, Matryoshka, Result, TextInfo};
use serde::Deserialize;
use serde_json::Value;

use super::{broken, read_json};

/// The file in which sentence-transformers saves prompts.
const SENTENCE_FILE: &str = "config_sentence_transformers.json";

/// What a configuration says of a model's texts, in place of the model's folder.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TextSettings {
    /// Prompts by name, besides those of the folder or in their place.
    pub prompts: BTreeMap<String, String>,
    /// Prompts by name that the model's family has, where neither the folder nor the configuration says anything of them.
    pub family_prompts: BTreeMap<String, String>,
    /// At how many tokens a text is cut; `None` is as the folder says.
    pub max_tokens: Option<usize>,
    /// Whether vectors may be cut to any length, whatever the folder says.
    pub truncate_dimensions: bool,
}

impl TextSettings {
    /// Checks what types can't say, without any I/O.
    ///
    /// # Errors
    /// `ConfigInvalid`, naming the key.
    pub fn validate(&self) -> Result<()> {
        if self.max_tokens == Some(0) {
            return Err(Error::config(
                "max_tokens",
                "is 0: leave at least 1 token of a text",
            ));
        }
        if self.prompts.keys().any(|name| name.trim().is_empty()) {
            return Err(Error::config("prompts", "has a prompt without a name"));
        }
        Ok(())
    }

    /// Refuses any setting, for a model that has no use for them.
    ///
    /// # Errors
    /// `ConfigInvalid`, naming the key.
    pub fn refuse(&self, reason: &str) -> Result<()> {
        let set = [
            ("prompts", !self.prompts.is_empty()),
            ("max_tokens", self.max_tokens.is_some()),
            ("truncate_dimensions", self.truncate_dimensions),
        ];
        match set.into_iter().find(|(_, is_set)| *is_set) {
            Some((key, _)) => Err(Error::config(key, reason)),
            None => Ok(()),
        }
    }
}

/// `config_sentence_transformers.json`, as far as it is about texts.
#[derive(Debug, Default, Deserialize)]
struct SentenceFile {
    #[serde(default)]
    prompts: BTreeMap<String, Option<String>>,
    default_prompt_name: Option<String>,
}

/// Reads the prompts and lengths of the model in `root`, whose `config.json` is in `model`; the limit is the tokenizer's.
///
/// # Errors
/// `Internal`, naming the file, for one that is damaged, or whose default prompt is not one of its prompts.
pub(super) fn info(root: &Path, model: &Path, settings: &TextSettings) -> Result<TextInfo> {
    let path = root.join(SENTENCE_FILE);
    let value: Value = if path.is_file() {
        read_json(&path)?
    } else {
        Value::Null
    };
    let file = if value.is_null() {
        SentenceFile::default()
    } else {
        SentenceFile::deserialize(&value)
            .map_err(|error| broken(&path, "is not what it should be").with_source(error))?
    };
    let mut prompts = settings.family_prompts.clone();
    let saved = file.prompts.into_iter();
    prompts.extend(saved.map(|(name, prompt)| (name, prompt.unwrap_or_default())));
    prompts.extend(settings.prompts.clone());
    if let Some(name) = &file.default_prompt_name
        && !prompts.contains_key(name)
    {
        return Err(broken(
            &path,
            &format!("names `{name}` as the default prompt, which it doesn't have"),
        ));
    }
    let matryoshka = if settings.truncate_dimensions {
        Matryoshka::Any
    } else {
        let config = model.join("config.json");
        let config: Value = if config.is_file() {
            read_json(&config)?
        } else {
            Value::Null
        };
        [value, config]
            .iter()
            .map(matryoshka_of)
            .find(|found| *found != Matryoshka::None)
            .unwrap_or_default()
    };
    Ok(TextInfo {
        max_tokens: None,
        prompts,
        default_prompt: file.default_prompt_name,
        matryoshka,
    })
}

/// Reads the lengths that a model was trained to be cut to. There is no standard for it: `matryoshka_dimensions` and
/// `is_matryoshka` are what vLLM reads, and models that have been published say `matryoshka_dims` and `truncate_dim`, too.
fn matryoshka_of(config: &Value) -> Matryoshka {
    let lengths = ["matryoshka_dimensions", "matryoshka_dims", "truncate_dim"]
        .iter()
        .filter_map(|key| config.get(*key))
        .find_map(lengths);
    match lengths {
        Some(lengths) => Matryoshka::Lengths(lengths),
        None if config.get("is_matryoshka").and_then(Value::as_bool) == Some(true) => Matryoshka::Any,
        None => Matryoshka::None,
    }
}

/// Reads one length, or several; `None` where there is none.
fn lengths(value: &Value) -> Option<Vec<usize>> {
    let length = |value: &Value| usize::try_from(value.as_u64()?).ok().filter(|&length| length > 0);
    let mut lengths: Vec<_> = match value {
        Value::Array(values) => values.iter().filter_map(length).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Object(_) => {
            length(value).into_iter().collect()
        }
    };
    lengths.sort_unstable();
    lengths.dedup();
    (!lengths.is_empty()).then_some(lengths)
}

#[cfg(test)]
mod tests {
    use lucida_core::Prompt;
    use serde_json::json;

    use super::*;

    fn read(sentence: &Value, config: &Value, settings: &TextSettings) -> Result<TextInfo> {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(SENTENCE_FILE), sentence.to_string()).unwrap();
        std::fs::write(folder.path().join("config.json"), config.to_string()).unwrap();
        info(folder.path(), folder.path(), settings)
    }

    #[test]
    fn prompts_are_those_of_the_folder_and_of_the_configuration() {
        let saved = json!({
            "__version__": {"sentence_transformers": "6.2.0"},
            "prompts": {"query": "query: ", "document": null},
            "default_prompt_name": "query",
        });
        let settings = TextSettings {
            prompts: BTreeMap::from([("document".to_owned(), "passage: ".to_owned())]),
            ..TextSettings::default()
        };
        let info = read(&saved, &json!({}), &settings).unwrap();
        assert_eq!(info.prompt(&Prompt::Default).unwrap(), "query: ");
        assert_eq!(info.prompt(&Prompt::Document).unwrap(), "passage: ");

        let family = TextSettings {
            family_prompts: ["query", "document"]
                .map(|name| (name.to_owned(), format!("the family's {name}: ")))
                .into(),
            ..settings
        };
        let info = read(&json!({"prompts": {"query": "query: "}}), &json!({}), &family).unwrap();
        assert_eq!(info.prompt(&Prompt::Query).unwrap(), "query: ");
        assert_eq!(info.prompt(&Prompt::Document).unwrap(), "passage: ");
        let info = read(
            &json!({}),
            &json!({}),
            &TextSettings {
                prompts: BTreeMap::new(),
                ..family
            },
        );
        let info = info.unwrap();
        assert_eq!(info.prompt(&Prompt::Document).unwrap(), "the family's document: ");

        let error = read(
            &json!({"default_prompt_name": "query"}),
            &json!({}),
            &TextSettings::default(),
        );
        let error = error.unwrap_err();
        assert!(error.message().contains("`query`"), "{error}");
        assert!(error.message().contains(SENTENCE_FILE), "{error}");
    }

    #[test]
    fn shorter_vectors_are_allowed_where_the_folder_or_the_configuration_says_so() {
        let usual = TextSettings::default();
        for (sentence, config, expected) in [
            (json!({}), json!({}), Matryoshka::None),
            (
                json!({}),
                json!({"matryoshka_dimensions": [64, 32, 64]}),
                Matryoshka::Lengths(vec![32, 64]),
            ),
            (
                json!({"matryoshka_dims": [256]}),
                json!({}),
                Matryoshka::Lengths(vec![256]),
            ),
            (
                json!({"truncate_dim": 128}),
                json!({}),
                Matryoshka::Lengths(vec![128]),
            ),
            (
                json!({"truncate_dim": null}),
                json!({"is_matryoshka": true}),
                Matryoshka::Any,
            ),
            (json!({}), json!({"is_matryoshka": false}), Matryoshka::None),
        ] {
            assert_eq!(
                read(&sentence, &config, &usual).unwrap().matryoshka,
                expected,
                "{sentence} {config}"
            );
        }
        let any = TextSettings {
            truncate_dimensions: true,
            ..TextSettings::default()
        };
        let info = read(&json!({}), &json!({"matryoshka_dimensions": [64]}), &any).unwrap();
        assert_eq!(info.matryoshka, Matryoshka::Any);
    }
}
