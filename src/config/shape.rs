//! What a configuration may hold: the keys, their types and their documentation, read from JSON schemas.

use std::collections::BTreeSet;

use schemars::Schema;
use serde_json::{Map, Value};

use super::node::join;
use lucida_core::Secret;

/// What a value may be.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Shape {
    /// A table of these keys and no others.
    Table(Vec<Field>),
    /// A table of any keys with such values.
    Map(Box<Self>),
    /// A list of such values.
    List(Box<Self>),
    /// A string; a secret one is never shown.
    Text { secret: bool },
    /// One of these strings.
    Choice(Vec<String>),
    /// An integer, with its bounds.
    Integer {
        minimum: Option<i64>,
        maximum: Option<i64>,
    },
    /// Any number.
    Number,
    /// True or false.
    Boolean,
    /// A part: the table with its `type`, and a sub-table for each type.
    Part(Types),
    /// A plugin: a table with its `type` and the keys of that type.
    Plugin(Types),
    /// Something that the schema says nothing more about.
    Any,
}

/// A key of a table.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Field {
    pub(crate) name: String,
    /// The doc comment, in one line.
    pub(crate) doc: String,
    pub(crate) shape: Shape,
    /// Whether it must be set.
    pub(crate) required: bool,
    /// The default that its type has by itself.
    pub(crate) default: Option<Value>,
    pub(crate) example: Option<Value>,
}

/// The types that a part can have.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Types {
    /// What a type is of, in messages: `storage`, `plugin`.
    pub(crate) noun: &'static str,
    /// The types that this build has.
    pub(crate) built: Vec<TypeShape>,
    /// The types that it could have, and the feature for each.
    pub(crate) left_out: Vec<(&'static str, &'static str)>,
}

/// A type and its keys.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct TypeShape {
    pub(crate) name: &'static str,
    /// The doc comment of its settings, in one line.
    pub(crate) doc: String,
    pub(crate) shape: Shape,
}

impl Types {
    pub(crate) fn get(&self, name: &str) -> Option<&TypeShape> {
        self.built.iter().find(|built| built.name == name)
    }

    pub(crate) fn is_left_out(&self, name: &str) -> bool {
        self.get(name).is_none() && self.left_out.iter().any(|(known, _)| *known == name)
    }

    pub(crate) fn names(&self) -> impl Iterator<Item = &'static str> {
        self.built.iter().map(|built| built.name)
    }
}

impl Shape {
    /// Reads a schema that schemars made.
    pub(crate) fn of(schema: &Schema) -> Self {
        let root = schema.as_value();
        let definitions = root.get("$defs").and_then(Value::as_object);
        Reader { definitions }.shape(root, 0)
    }

    /// Returns the fields of a table; nothing else has any.
    pub(crate) fn fields(&self) -> impl Iterator<Item = &Field> {
        if let Self::Table(fields) = self {
            fields.as_slice()
        } else {
            &[]
        }
        .iter()
    }

    /// Takes every secret out of a value of this shape.
    pub(crate) fn remove_secrets(&self, value: &mut Value) {
        match (self, value) {
            (Self::Table(fields), Value::Object(object)) => {
                for field in fields {
                    if matches!(field.shape, Self::Text { secret: true }) {
                        object.remove(&field.name);
                    } else if let Some(value) = object.get_mut(&field.name) {
                        field.shape.remove_secrets(value);
                    }
                }
            }
            (Self::Map(item), Value::Object(object)) => {
                if matches!(**item, Self::Text { secret: true }) {
                    object.clear();
                }
                object.values_mut().for_each(|value| item.remove_secrets(value));
            }
            (Self::List(item), Value::Array(items)) => {
                if matches!(**item, Self::Text { secret: true }) {
                    items.clear();
                }
                items.iter_mut().for_each(|value| item.remove_secrets(value));
            }
            // The settings of a type hold no parts, and nothing else holds anything.
            (_, _) => {}
        }
    }

    /// Returns the paths of all keys, except those inside lists.
    pub(crate) fn paths(&self) -> BTreeSet<String> {
        let mut paths = BTreeSet::new();
        self.collect_paths("", &mut paths);
        paths
    }

    fn collect_paths(&self, path: &str, paths: &mut BTreeSet<String>) {
        if !path.is_empty() {
            paths.insert(path.to_owned());
        }
        match self {
            Self::Table(fields) => {
                for field in fields {
                    field.shape.collect_paths(&join(path, &field.name), paths);
                }
            }
            Self::Part(types) => {
                paths.insert(join(path, "type"));
                for built in &types.built {
                    built.shape.collect_paths(&join(path, built.name), paths);
                }
            }
            Self::Map(_)
            | Self::List(_)
            | Self::Text { .. }
            | Self::Choice(_)
            | Self::Integer { .. }
            | Self::Number
            | Self::Boolean
            | Self::Plugin(_)
            | Self::Any => {}
        }
    }

    /// Returns what a value must be, in words.
    pub(crate) fn describe(&self) -> String {
        match self {
            Self::Table(_) | Self::Map(_) | Self::Part(_) | Self::Plugin(_) => "a table".to_owned(),
            Self::List(_) => "a list".to_owned(),
            Self::Text { .. } => "a string".to_owned(),
            Self::Choice(choices) => format!("one of {}", choices.join(", ")),
            Self::Integer { .. } => "an integer".to_owned(),
            Self::Number => "a number".to_owned(),
            Self::Boolean => "true or false".to_owned(),
            Self::Any => "anything".to_owned(),
        }
    }
}

/// Returns the doc comment of a schema, in one line.
pub(crate) fn doc_of(schema: &Value) -> String {
    schema
        .get("description")
        .and_then(Value::as_str)
        .map(|text| text.split_whitespace().collect::<Vec<_>>().join(" "))
        .unwrap_or_default()
}

struct Reader<'a> {
    definitions: Option<&'a Map<String, Value>>,
}

/// How deep settings may nest; beyond, as in a type that holds itself, anything goes.
const DEEPEST: usize = 16;

impl Reader<'_> {
    fn shape(&self, schema: &Value, depth: usize) -> Shape {
        if depth > DEEPEST {
            return Shape::Any;
        }
        if let Some(name) = schema.get("$ref").and_then(Value::as_str) {
            let definition = name
                .strip_prefix("#/$defs/")
                .and_then(|name| self.definitions?.get(name));
            return definition.map_or(Shape::Any, |definition| self.shape(definition, depth + 1));
        }
        for key in ["anyOf", "oneOf", "allOf"] {
            if let Some(options) = schema.get(key).and_then(Value::as_array) {
                return self.options(options, depth);
            }
        }
        if let Some(choices) = schema.get("enum").and_then(Value::as_array) {
            return Shape::Choice(texts(choices));
        }
        if let Some(only) = schema.get("const").and_then(Value::as_str) {
            return Shape::Choice(vec![only.to_owned()]);
        }
        match type_of(schema) {
            Some("object") => self.table(schema, depth),
            Some("array") => Shape::List(Box::new(
                schema
                    .get("items")
                    .map_or(Shape::Any, |items| self.shape(items, depth + 1)),
            )),
            Some("string") => Shape::Text {
                secret: schema.get("format").and_then(Value::as_str) == Some(Secret::FORMAT),
            },
            Some("integer") => Shape::Integer {
                minimum: schema.get("minimum").and_then(Value::as_i64),
                maximum: schema.get("maximum").and_then(Value::as_i64),
            },
            Some("number") => Shape::Number,
            Some("boolean") => Shape::Boolean,
            Some(_) | None => Shape::Any,
        }
    }

    fn options(&self, options: &[Value], depth: usize) -> Shape {
        let mut shapes: Vec<Shape> = options
            .iter()
            .filter(|option| type_of(option) != Some("null"))
            .map(|option| self.shape(option, depth + 1))
            .collect();
        if shapes.len() == 1 {
            return shapes.remove(0);
        }
        let mut choices = Vec::new();
        for shape in shapes {
            let Shape::Choice(more) = shape else {
                return Shape::Any;
            };
            choices.extend(more);
        }
        Shape::Choice(choices)
    }

    fn table(&self, schema: &Value, depth: usize) -> Shape {
        let properties = schema.get("properties").and_then(Value::as_object);
        match (properties, schema.get("additionalProperties")) {
            (None, Some(values @ Value::Object(_))) => Shape::Map(Box::new(self.shape(values, depth + 1))),
            (None, None | Some(Value::Bool(true))) => Shape::Any,
            (properties, _) => {
                let required = schema
                    .get("required")
                    .and_then(Value::as_array)
                    .map(|names| texts(names))
                    .unwrap_or_default();
                let field = |(name, schema): (&String, &Value)| Field {
                    name: name.clone(),
                    doc: doc_of(schema),
                    shape: self.shape(schema, depth + 1),
                    required: required.contains(name),
                    default: schema
                        .get("default")
                        .filter(|default| !default.is_null())
                        .cloned(),
                    example: schema
                        .get("examples")
                        .and_then(Value::as_array)
                        .and_then(|examples| examples.first())
                        .cloned(),
                };
                Shape::Table(properties.into_iter().flatten().map(field).collect())
            }
        }
    }
}

/// Returns a schema's type, leaving out `null`, which TOML doesn't have.
fn type_of(schema: &Value) -> Option<&str> {
    match schema.get("type")? {
        Value::String(name) => Some(name),
        Value::Array(names) => names
            .iter()
            .filter_map(Value::as_str)
            .find(|name| *name != "null"),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => None,
    }
}

fn texts(values: &[Value]) -> Vec<String> {
    values
        .iter()
        .filter_map(Value::as_str)
        .map(str::to_owned)
        .collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use schemars::{JsonSchema, schema_for};

    use super::*;

    #[derive(JsonSchema)]
    #[expect(dead_code, reason = "only its schema is used")]
    struct Sample {
        /// How many.
        ///
        /// More of it.
        #[schemars(example = 3)]
        count: u32,
        word: Option<Secret>,
        inner: Inner,
        optional_inner: Option<Inner>,
        choice: Option<Choice>,
        sizes: Vec<u16>,
        map: BTreeMap<String, bool>,
    }

    #[derive(JsonSchema)]
    #[expect(dead_code, reason = "only its schema is used")]
    struct Inner {
        ratio: f64,
    }

    #[derive(JsonSchema)]
    #[serde(rename_all = "lowercase")]
    #[expect(dead_code, reason = "only its schema is used")]
    enum Choice {
        /// The first.
        First,
        /// The second.
        Second,
    }

    #[test]
    fn a_schema_gives_the_types_docs_and_needs_of_all_fields() {
        let shape = Shape::of(&schema_for!(Sample));
        let field = |name: &str| shape.fields().find(|field| field.name == name).unwrap();
        assert_eq!(field("count").doc, "How many. More of it.");
        assert_eq!(field("count").example, Some(3.into()));
        assert!(matches!(
            field("count").shape,
            Shape::Integer { minimum: Some(0), .. }
        ));
        assert_eq!(field("word").shape, Shape::Text { secret: true });
        assert!(!field("word").required && field("count").required);
        let inner = Shape::Table(vec![Field {
            name: "ratio".to_owned(),
            doc: String::new(),
            shape: Shape::Number,
            required: true,
            default: None,
            example: None,
        }]);
        assert_eq!(field("inner").shape, inner);
        assert_eq!(field("optional_inner").shape, inner);
        assert_eq!(
            field("choice").shape,
            Shape::Choice(vec!["first".to_owned(), "second".to_owned()])
        );
        assert!(
            matches!(&field("sizes").shape, Shape::List(item) if matches!(**item, Shape::Integer { .. }))
        );
        assert_eq!(field("map").shape, Shape::Map(Box::new(Shape::Boolean)));
    }
}
