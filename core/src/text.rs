//! What a request may say of its texts: the prompt before them, the length of their vectors, what happens beyond the limit.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// The names of a prompt for documents, in the order in which sentence-transformers' `encode_document` looks for them.
const DOCUMENT_PROMPTS: [&str; 3] = ["document", "passage", "corpus"];

/// The name of a prompt for queries.
const QUERY_PROMPT: &str = "query";

/// What a request says of its texts besides the texts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TextOptions {
    /// What the model is given before each text.
    pub prompt: Prompt,
    /// The length of the vectors, for a model that allows shorter ones; `None` is the model's own.
    pub dimensions: Option<usize>,
    /// Whether a text is cut at the model's limit. Otherwise a text with more tokens is refused, as `text_too_long`.
    pub truncate: bool,
}

impl Default for TextOptions {
    /// The model's default prompt and length; long texts are cut.
    fn default() -> Self {
        Self {
            prompt: Prompt::Default,
            dimensions: None,
            truncate: true,
        }
    }
}

impl TextOptions {
    /// Returns the options of texts that search, by the model's prompt for queries.
    #[must_use]
    pub fn query() -> Self {
        Self {
            prompt: Prompt::Query,
            ..Self::default()
        }
    }

    /// Cuts a vector to the length that is asked for and scales it to unit length again.
    ///
    /// # Errors
    /// `Internal` (`bad_vector`) where nothing but zeros is left.
    pub fn shorten(&self, mut embedding: Vec<f32>) -> Result<Vec<f32>> {
        let Some(dimensions) = self.dimensions.filter(|&length| length < embedding.len()) else {
            return Ok(embedding);
        };
        embedding.truncate(dimensions);
        let squares = embedding.iter().map(|&number| f64::from(number).powi(2));
        let norm = squares.sum::<f64>().sqrt();
        if norm < 1e-12 {
            let message = format!("the first {dimensions} numbers of the vector are zeros");
            return Err(Error::internal(message).with_code("bad_vector"));
        }
        #[expect(clippy::cast_possible_truncation, reason = "unit components fit f32")]
        for number in &mut embedding {
            *number = (f64::from(*number) / norm) as f32;
        }
        Ok(embedding)
    }
}

/// What a model is given before a text: many models are trained with one text for queries and another one for documents.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Prompt {
    /// The model's default prompt; nothing, if it has none.
    #[default]
    Default,
    /// Nothing.
    None,
    /// This text, as it is written, whatever prompts the model has.
    Text(String),
    /// The prompt of this name, which the model must have.
    Named(String),
    /// The prompt for queries; nothing, if the model has none, whatever its default is. sentence-transformers' `encode_query`
    /// does the same.
    Query,
    /// The prompt for documents: the first of `document`, `passage` and `corpus` that the model has and that isn't empty;
    /// nothing, if it has none.
    Document,
}

/// The fields of a request that choose what is put before its texts; one of them at most may be given.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PromptFields<'a> {
    /// The text itself, as sentence-transformers' `encode(prompt=…)` takes it; an empty one is nothing, also for a model with a
    /// default prompt.
    pub prompt: Option<&'a str>,
    /// The name of one of the model's prompts.
    pub prompt_name: Option<&'a str>,
    /// `query` or `document`, in the words of several APIs.
    pub input_type: Option<&'a str>,
}

impl PromptFields<'_> {
    /// Reads the fields.
    ///
    /// # Errors
    /// `InvalidInput`, with the field.
    pub fn choose(self) -> Result<Prompt> {
        let given = [
            ("prompt", self.prompt),
            ("prompt_name", self.prompt_name),
            ("input_type", self.input_type),
        ];
        let mut given = given.iter().filter_map(|(name, value)| Some((*name, (*value)?)));
        let Some((name, value)) = given.next() else {
            return Ok(Prompt::Default);
        };
        if let Some((other, _)) = given.next() {
            return Err(invalid(
                other,
                format!("give either `{name}` or `{other}`, not both"),
            ));
        }
        match (name, value) {
            ("prompt", "") => Ok(Prompt::None),
            ("prompt", text) => Ok(Prompt::Text(text.to_owned())),
            ("prompt_name", name) => Ok(Prompt::Named(name.to_owned())),
            (_, "query" | "search_query") => Ok(Prompt::Query),
            (_, "document" | "search_document" | "passage") => Ok(Prompt::Document),
            (_, other) => {
                let message = format!(
                    "`input_type` is `{other}`; expected `query` or `document` (or `search_query`, `search_document`, `passage`)"
                );
                Err(invalid("input_type", message))
            }
        }
    }
}

/// What a model allows requests to say of texts.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct TextInfo {
    /// At how many tokens a text is cut, special tokens and the prompt counted; `None` where that is unknown.
    pub max_tokens: Option<usize>,
    /// The prompts by name.
    pub prompts: BTreeMap<String, String>,
    /// The name of the prompt that is used where a request names none.
    pub default_prompt: Option<String>,
    /// Which lengths shorter than its own the model's vectors may be cut to.
    pub matryoshka: Matryoshka,
}

/// Which lengths the vectors of a model may be cut to (Kusupati et al., "Matryoshka Representation Learning", 2022).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Matryoshka {
    /// None: the model wasn't trained for it.
    #[default]
    None,
    /// Any.
    Any,
    /// These.
    Lengths(Vec<usize>),
}

impl TextInfo {
    /// Returns what a prompt is for this model; nothing may be empty.
    ///
    /// # Errors
    /// `InvalidInput` (`unknown_prompt`) for a name that the model doesn't have, with the names it has.
    pub fn prompt<'a>(&'a self, prompt: &'a Prompt) -> Result<&'a str> {
        let found = match prompt {
            Prompt::None => None,
            Prompt::Text(text) => Some(text),
            Prompt::Default => self.default_prompt(),
            Prompt::Query => self.prompts.get(QUERY_PROMPT),
            Prompt::Document => DOCUMENT_PROMPTS
                .iter()
                .filter_map(|name| self.prompts.get(*name))
                .find(|prompt| !prompt.is_empty()),
            Prompt::Named(name) => Some(self.prompts.get(name).ok_or_else(|| self.unknown_prompt(name))?),
        };
        Ok(found.map_or("", String::as_str))
    }

    fn default_prompt(&self) -> Option<&String> {
        self.prompts.get(self.default_prompt.as_ref()?)
    }

    /// Checks that vectors may be cut to a length; `model` has `own` dimensions.
    ///
    /// # Errors
    /// `InvalidInput`, with the field `dimensions`, and what is allowed.
    pub(crate) fn check_dimensions(&self, dimensions: usize, own: usize, model: &str) -> Result<()> {
        if dimensions == own {
            return Ok(());
        }
        let message = match &self.matryoshka {
            Matryoshka::Any if (1..own).contains(&dimensions) => return Ok(()),
            Matryoshka::Lengths(lengths) if lengths.contains(&dimensions) && dimensions < own => {
                return Ok(());
            }
            Matryoshka::Any => {
                format!("`dimensions` is {dimensions}; 1 to {own} are allowed by model `{model}`")
            }
            Matryoshka::Lengths(lengths) => {
                let lengths: Vec<_> = lengths
                    .iter()
                    .filter(|&&length| length < own)
                    .map(usize::to_string)
                    .collect();
                format!(
                    "`dimensions` is {dimensions}; model `{model}` was trained for {} and its own {own} (`truncate_dimensions = true` \
                     in its configuration allows others)",
                    lengths.join(", ")
                )
            }
            Matryoshka::None => format!(
                "`dimensions` is {dimensions}, and the vectors of model `{model}` have {own}: it wasn't trained to be cut shorter \
                 (`truncate_dimensions = true` in its configuration allows it)"
            ),
        };
        Err(invalid("dimensions", message))
    }

    fn unknown_prompt(&self, name: &str) -> Error {
        let names: Vec<_> = self.prompts.keys().map(|name| format!("`{name}`")).collect();
        let known = if names.is_empty() {
            "the model has no prompts".to_owned()
        } else {
            format!("the model has {}", names.join(", "))
        };
        let message = format!("prompt `{name}` is unknown: {known}");
        invalid("prompt_name", message).with_code("unknown_prompt")
    }
}

fn invalid(field: &str, message: String) -> Error {
    Error::invalid(message)
        .with_code("invalid_field")
        .with_field(field)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn info(prompts: &[(&str, &str)], default_prompt: Option<&str>) -> TextInfo {
        let prompts = prompts
            .iter()
            .map(|(name, text)| ((*name).to_owned(), (*text).to_owned()));
        TextInfo {
            prompts: prompts.collect(),
            default_prompt: default_prompt.map(str::to_owned),
            ..TextInfo::default()
        }
    }

    #[test]
    fn a_query_and_a_document_have_the_prompts_that_the_model_has_for_them() {
        let e5 = info(
            &[("query", "query: "), ("passage", "passage: "), ("corpus", "?")],
            None,
        );
        assert_eq!(e5.prompt(&Prompt::Query).unwrap(), "query: ");
        assert_eq!(e5.prompt(&Prompt::Document).unwrap(), "passage: ");
        assert_eq!(e5.prompt(&Prompt::Default).unwrap(), "");
        let with_default = info(&[("other", "other: ")], Some("other"));
        assert_eq!(with_default.prompt(&Prompt::Default).unwrap(), "other: ");
        for prompt in [Prompt::Query, Prompt::Document, Prompt::None] {
            assert_eq!(with_default.prompt(&prompt).unwrap(), "");
        }
        // As sentence-transformers saves a model that has one prompt only.
        let saved = info(&[("query", ""), ("document", ""), ("passage", "passage: ")], None);
        assert_eq!(saved.prompt(&Prompt::Document).unwrap(), "passage: ");
    }

    #[test]
    fn an_unknown_prompt_is_refused_with_the_known_names() {
        let error = info(&[("query", "q"), ("sts", "s")], None)
            .prompt(&Prompt::Named("qeury".to_owned()))
            .unwrap_err();
        assert_eq!(
            (error.code(), error.field()),
            ("unknown_prompt", Some("prompt_name"))
        );
        assert!(error.message().contains("`qeury`"), "{error}");
        assert!(error.message().contains("`query`, `sts`"), "{error}");
    }

    #[test]
    fn an_input_type_is_read_in_the_words_of_several_apis() {
        let of = |word| PromptFields {
            input_type: Some(word),
            ..PromptFields::default()
        };
        for word in ["query", "search_query"] {
            assert_eq!(of(word).choose().unwrap(), Prompt::Query);
        }
        for word in ["document", "search_document", "passage"] {
            assert_eq!(of(word).choose().unwrap(), Prompt::Document);
        }
        assert_eq!(of("queries").choose().unwrap_err().field(), Some("input_type"));
    }

    #[test]
    fn a_request_may_give_a_prompt_or_none_but_not_two_of_them() {
        let fields = |prompt, prompt_name, input_type| {
            PromptFields {
                prompt,
                prompt_name,
                input_type,
            }
            .choose()
        };
        assert_eq!(fields(None, None, None).unwrap(), Prompt::Default);
        assert_eq!(fields(Some(""), None, None).unwrap(), Prompt::None);
        let literal = fields(Some("query"), None, None).unwrap();
        assert_eq!(literal, Prompt::Text("query".to_owned()));
        // As it is written, and not the prompt of this name.
        let e5 = info(&[("query", "query: ")], Some("query"));
        assert_eq!(e5.prompt(&literal).unwrap(), "query");
        assert_eq!(e5.prompt(&Prompt::None).unwrap(), "");
        for (given, field) in [
            ((Some(""), Some("query"), None), "prompt_name"),
            ((Some("a"), None, Some("query")), "input_type"),
            ((None, Some("query"), Some("query")), "input_type"),
        ] {
            let error = fields(given.0, given.1, given.2).unwrap_err();
            assert_eq!((error.code(), error.field()), ("invalid_field", Some(field)));
        }
    }

    #[test]
    fn a_shorter_vector_has_unit_length_again() {
        let options = TextOptions {
            dimensions: Some(2),
            ..TextOptions::default()
        };
        assert_eq!(options.shorten(vec![0.3, 0.4, 0.866]).unwrap(), [0.6, 0.8]);
        assert_eq!(options.shorten(vec![0.6, 0.8]).unwrap(), [0.6, 0.8]);
        let error = options.shorten(vec![0.0, 0.0, 1.0]).unwrap_err();
        assert_eq!(error.code(), "bad_vector");
    }
}
