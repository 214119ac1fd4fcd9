//! The inputs of a request: one or several, as texts or as token ids.

use lucida_api::field::invalid;
use lucida_core::{Error, Result};
use serde_json::Value;

/// The inputs of a request.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Inputs {
    /// The inputs.
    pub(crate) items: Vec<TextInput>,
    /// Whether the request has a list of inputs.
    pub(crate) is_batch: bool,
}

/// One input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum TextInput {
    /// A text.
    Text(String),
    /// A text, split by the model's tokenizer.
    Tokens(Vec<u32>),
}

impl Inputs {
    /// Reads the inputs in the field `name`; a list of numbers is one input.
    ///
    /// # Errors
    /// `InvalidInput`, with the field.
    pub(crate) fn read(name: &str, value: &Value) -> Result<Self> {
        let items = match value {
            Value::Null => {
                return Err(Error::invalid(format!("missing field `{name}`"))
                    .with_code("missing_field")
                    .with_field(name));
            }
            Value::Array(items) if !items.first().is_some_and(Value::is_number) => items,
            one @ (Value::Array(_)
            | Value::String(_)
            | Value::Number(_)
            | Value::Bool(_)
            | Value::Object(_)) => {
                return Ok(Self {
                    items: vec![read_one(name.to_owned(), one)?],
                    is_batch: false,
                });
            }
        };
        if items.is_empty() {
            return Err(invalid(name, format!("`{name}` is empty")));
        }
        let items = items.iter().enumerate();
        let items = items.map(|(place, item)| read_one(format!("{name}[{place}]"), item));
        Ok(Self {
            items: items.collect::<Result<_>>()?,
            is_batch: true,
        })
    }
}

fn read_one(field: String, value: &Value) -> Result<TextInput> {
    let id = |id: &Value| id.as_u64().and_then(|id| u32::try_from(id).ok());
    let input = match value {
        Value::String(text) => Some(TextInput::Text(text.clone())),
        Value::Array(ids) => {
            let ids: Option<Vec<u32>> = ids.iter().map(id).collect();
            ids.map(TextInput::Tokens)
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => None,
    };
    input.ok_or_else(|| {
        let message = format!("`{field}` must be a text or a list of token ids");
        invalid(field, message)
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn one_input_and_several_are_told_apart() {
        let text = |text: &str| TextInput::Text(text.to_owned());
        let read = |value: Value| {
            let inputs = Inputs::read("inputs", &value).unwrap();
            (inputs.items, inputs.is_batch)
        };
        assert_eq!(read(json!("a")), (vec![text("a")], false));
        assert_eq!(read(json!(["a", "b"])), (vec![text("a"), text("b")], true));
        assert_eq!(read(json!([1, 2])), (vec![TextInput::Tokens(vec![1, 2])], false));
        assert_eq!(
            read(json!([[1], "a"])),
            (vec![TextInput::Tokens(vec![1]), text("a")], true)
        );
    }

    #[test]
    fn what_is_no_input_is_refused_with_its_place() {
        for (value, field) in [
            (json!(null), "inputs"),
            (json!([]), "inputs"),
            (json!({"a": 1}), "inputs"),
            (json!(5), "inputs"),
            (json!(["a", 5]), "inputs[1]"),
            (json!([[1, -1]]), "inputs[0]"),
        ] {
            let error = Inputs::read("inputs", &value).unwrap_err();
            assert_eq!(error.field(), Some(field), "{value}");
        }
    }
}
