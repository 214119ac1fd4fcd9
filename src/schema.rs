//! What a configuration may hold: the keys, their types, defaults and documentation, read from JSON schemas.
//!
//! Below both the registry, which describes each type's settings with it, and the configuration, which checks the layers
//! against it and generates `config/default.toml` and the reference from it.

use std::collections::BTreeSet;

use lucida_core::Secret;
use schemars::Schema;
use serde_json::{Map, Value};

/// What a value may be.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum ValueKind {
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
    /// An integer, with its bounds and the unit that the key's name ends with.
    Integer {
        minimum: Option<i64>,
        maximum: Option<i64>,
        unit: Option<Unit>,
    },
    /// Any number.
    Number,
    /// True or false.
    Boolean,
    /// A part: the table with its `type`, and a sub-table for each type.
    Part(Types),
    /// An entry of a list such as `[[plugins]]`: a table with its `type`, and beside it the keys of that type.
    Entry(Types),
    /// Something that the schema says nothing more about.
    Any,
}

/// The unit of an integer, by the end of its key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unit {
    /// `_bytes`
    Bytes,
    /// `_secs`
    Seconds,
    /// `_ms`
    Milliseconds,
    /// `_pixels`
    Pixels,
}

/// A key of a table.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Field {
    pub(crate) name: String,
    /// The doc comment, in one line.
    pub(crate) doc: String,
    pub(crate) kind: ValueKind,
    /// Whether it must be set.
    pub(crate) required: bool,
    /// The default that its settings type has; a table's are those of its keys.
    pub(crate) default: Option<Value>,
    pub(crate) example: Option<Value>,
}

/// The types that a part or an entry can have.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Types {
    /// What a type is of, in messages: `storage`, `plugin`.
    pub(crate) noun: &'static str,
    /// The types that this build has, by name.
    pub(crate) built: Vec<TypeKind>,
    /// The types that it could have, and the feature for each.
    pub(crate) left_out: Vec<(&'static str, &'static str)>,
    /// The types that are used without any configuration: one of a part, any number of entries.
    pub(crate) default: &'static [&'static str],
    /// The keys of an entry that are the same for every type; the types' own tables have them as well.
    pub(crate) common: Vec<Field>,
}

/// A type and its keys.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct TypeKind {
    pub(crate) name: &'static str,
    /// The doc comment of its settings, in one line.
    pub(crate) doc: String,
    pub(crate) kind: ValueKind,
}

impl Unit {
    fn of(key: &str) -> Option<Self> {
        let (_, unit) = key.rsplit_once('_')?;
        match unit {
            "bytes" => Some(Self::Bytes),
            "secs" => Some(Self::Seconds),
            "ms" => Some(Self::Milliseconds),
            "pixels" => Some(Self::Pixels),
            _ => None,
        }
    }

    /// Returns what a value must be, in words, with both ways to write it.
    const fn describe(self) -> &'static str {
        match self {
            Self::Bytes => "a number of bytes, such as 33554432 or \"32MiB\"",
            Self::Seconds => "a number of seconds, such as 90 or \"90s\" or \"5m\"",
            Self::Milliseconds => "a number of milliseconds, such as 1500 or \"1500ms\" or \"2s\"",
            Self::Pixels => "a number of pixels, such as 100000000 or \"100MP\"",
        }
    }
}

impl Types {
    /// Adds keys to the tables of all types, in place of those of the same name.
    pub(crate) fn with_common(mut self, common: Vec<Field>) -> Self {
        for built in &mut self.built {
            let own = built
                .kind
                .fields()
                .filter(|field| common.iter().all(|common| common.name != field.name))
                .cloned();
            built.kind = ValueKind::Table(common.iter().cloned().chain(own).collect());
        }
        self.common = common;
        self
    }

    pub(crate) fn get(&self, name: &str) -> Option<&TypeKind> {
        self.built.iter().find(|built| built.name == name)
    }

    pub(crate) fn names(&self) -> impl Iterator<Item = &'static str> {
        self.built.iter().map(|built| built.name)
    }

    /// Returns the names of the types that this build has, for a message.
    pub(crate) fn listed(&self) -> String {
        let names: Vec<_> = self.names().collect();
        if names.is_empty() {
            "none".to_owned()
        } else {
            names.join(", ")
        }
    }
}

impl ValueKind {
    /// Reads a schema that schemars made.
    pub(crate) fn of(schema: &Schema) -> Self {
        let root = schema.as_value();
        let definitions = root.get("$defs").and_then(Value::as_object);
        Reader { definitions }.kind(root, 0)
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

    /// Returns a table's field.
    pub(crate) fn field(&self, name: &str) -> Option<&Field> {
        self.fields().find(|field| field.name == name)
    }

    /// Takes every secret out of a value of this kind.
    pub(crate) fn remove_secrets(&self, value: &mut Value) {
        match (self, value) {
            (Self::Table(fields), Value::Object(object)) => {
                for field in fields {
                    if matches!(field.kind, Self::Text { secret: true }) {
                        object.remove(&field.name);
                    } else if let Some(value) = object.get_mut(&field.name) {
                        field.kind.remove_secrets(value);
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
                    field.kind.collect_paths(&join(path, &field.name), paths);
                }
            }
            Self::Part(types) => {
                paths.insert(join(path, "type"));
                for built in &types.built {
                    built.kind.collect_paths(&join(path, built.name), paths);
                }
            }
            Self::Map(_)
            | Self::List(_)
            | Self::Text { .. }
            | Self::Choice(_)
            | Self::Integer { .. }
            | Self::Number
            | Self::Boolean
            | Self::Entry(_)
            | Self::Any => {}
        }
    }

    /// Returns what a value must be, in words.
    pub(crate) fn describe(&self) -> String {
        match self {
            Self::Table(_) | Self::Map(_) | Self::Part(_) | Self::Entry(_) => "a table".to_owned(),
            Self::List(_) => "a list".to_owned(),
            Self::Text { .. } => "a string".to_owned(),
            Self::Choice(choices) => format!("one of {}", choices.join(", ")),
            Self::Integer { unit: Some(unit), .. } => unit.describe().to_owned(),
            Self::Integer { unit: None, .. } => "an integer".to_owned(),
            Self::Number => "a number".to_owned(),
            Self::Boolean => "true or false".to_owned(),
            Self::Any => "anything".to_owned(),
        }
    }
}

/// Appends a key to a path.
pub(crate) fn join(path: &str, key: &str) -> String {
    if path.is_empty() {
        key.to_owned()
    } else if key.is_empty() {
        path.to_owned()
    } else {
        format!("{path}.{key}")
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
    fn kind(&self, schema: &Value, depth: usize) -> ValueKind {
        if depth > DEEPEST {
            return ValueKind::Any;
        }
        if let Some(name) = schema.get("$ref").and_then(Value::as_str) {
            let definition = name
                .strip_prefix("#/$defs/")
                .and_then(|name| self.definitions?.get(name));
            return definition.map_or(ValueKind::Any, |definition| self.kind(definition, depth + 1));
        }
        for key in ["anyOf", "oneOf", "allOf"] {
            if let Some(options) = schema.get(key).and_then(Value::as_array) {
                return self.options(options, depth);
            }
        }
        if let Some(choices) = schema.get("enum").and_then(Value::as_array) {
            return ValueKind::Choice(texts(choices));
        }
        if let Some(only) = schema.get("const").and_then(Value::as_str) {
            return ValueKind::Choice(vec![only.to_owned()]);
        }
        match type_of(schema) {
            Some("object") => self.table(schema, depth),
            Some("array") => ValueKind::List(Box::new(
                schema
                    .get("items")
                    .map_or(ValueKind::Any, |items| self.kind(items, depth + 1)),
            )),
            Some("string") => ValueKind::Text {
                secret: schema.get("format").and_then(Value::as_str) == Some(Secret::FORMAT),
            },
            Some("integer") => ValueKind::Integer {
                minimum: schema.get("minimum").and_then(Value::as_i64),
                maximum: schema.get("maximum").and_then(Value::as_i64),
                unit: None,
            },
            Some("number") => ValueKind::Number,
            Some("boolean") => ValueKind::Boolean,
            Some(_) | None => ValueKind::Any,
        }
    }

    fn options(&self, options: &[Value], depth: usize) -> ValueKind {
        let mut kinds: Vec<ValueKind> = options
            .iter()
            .filter(|option| type_of(option) != Some("null"))
            .map(|option| self.kind(option, depth + 1))
            .collect();
        if kinds.len() == 1 {
            return kinds.remove(0);
        }
        let mut choices = Vec::new();
        for kind in kinds {
            let ValueKind::Choice(more) = kind else {
                return ValueKind::Any;
            };
            choices.extend(more);
        }
        ValueKind::Choice(choices)
    }

    fn table(&self, schema: &Value, depth: usize) -> ValueKind {
        let properties = schema.get("properties").and_then(Value::as_object);
        match (properties, schema.get("additionalProperties")) {
            (None, Some(values @ Value::Object(_))) => ValueKind::Map(Box::new(self.kind(values, depth + 1))),
            (None, None | Some(Value::Bool(true))) => ValueKind::Any,
            (properties, _) => {
                let required = schema
                    .get("required")
                    .and_then(Value::as_array)
                    .map(|names| texts(names))
                    .unwrap_or_default();
                let field = |(name, schema): (&String, &Value)| {
                    let field = Field {
                        name: name.clone(),
                        doc: doc_of(schema),
                        kind: with_unit(self.kind(schema, depth + 1), Unit::of(name)),
                        required: required.contains(name),
                        default: None,
                        example: schema
                            .get("examples")
                            .and_then(Value::as_array)
                            .and_then(|examples| examples.first())
                            .cloned(),
                    };
                    with_default(field, schema.get("default"))
                };
                ValueKind::Table(properties.into_iter().flatten().map(field).collect())
            }
        }
    }
}

fn with_unit(kind: ValueKind, unit: Option<Unit>) -> ValueKind {
    if let ValueKind::Integer { minimum, maximum, .. } = kind {
        return ValueKind::Integer {
            minimum,
            maximum,
            unit,
        };
    }
    if let ValueKind::List(item) = kind {
        return ValueKind::List(Box::new(with_unit(*item, unit)));
    }
    kind
}

/// Gives a field its default; that of a table goes to its keys, each of which can be set alone.
fn with_default(mut field: Field, default: Option<&Value>) -> Field {
    match (&mut field.kind, default) {
        (_, None | Some(Value::Null)) => {}
        (ValueKind::Table(fields), Some(Value::Object(defaults))) => {
            for inner in fields {
                if let Some(default) = defaults.get(&inner.name).filter(|default| !default.is_null()) {
                    inner.required = false;
                    *inner = with_default(inner.clone(), Some(default));
                }
            }
        }
        (_, Some(default)) => field.default = Some(default.clone()),
    }
    field
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
        let kind = ValueKind::of(&schema_for!(Sample));
        let field = |name: &str| kind.field(name).unwrap();
        assert_eq!(field("count").doc, "How many. More of it.");
        assert_eq!(field("count").example, Some(3.into()));
        assert!(matches!(
            field("count").kind,
            ValueKind::Integer { minimum: Some(0), .. }
        ));
        assert_eq!(field("word").kind, ValueKind::Text { secret: true });
        assert!(!field("word").required && field("count").required);
        let inner = ValueKind::Table(vec![Field {
            name: "ratio".to_owned(),
            doc: String::new(),
            kind: ValueKind::Number,
            required: true,
            default: None,
            example: None,
        }]);
        assert_eq!(field("inner").kind, inner);
        assert_eq!(field("optional_inner").kind, inner);
        assert_eq!(
            field("choice").kind,
            ValueKind::Choice(vec!["first".to_owned(), "second".to_owned()])
        );
        assert!(
            matches!(&field("sizes").kind, ValueKind::List(item) if matches!(**item, ValueKind::Integer { .. }))
        );
        assert_eq!(field("map").kind, ValueKind::Map(Box::new(ValueKind::Boolean)));
    }
}
