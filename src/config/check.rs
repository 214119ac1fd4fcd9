//! Checks one layer against what a configuration may hold, key by key, before it is merged.

use std::collections::BTreeSet;
use std::sync::Arc;

use figment::value::{Dict, Map, Num, Tag, Value};
use figment::{Figment, Metadata, Profile, Provider};

use super::finding::Finding;
use super::place::{Places, keys};
use super::text;
use crate::names::{did_you_mean, nearest};
use crate::schema::{Field, Types, ValueKind, join};

/// A table has at most this many keys to be listed where none of them is near the wrong one.
const LISTED_KEYS: usize = 8;

/// Keys that other programs have, and the one here that has another name.
const SYNONYMS: &[(&str, &str)] = &[
    ("server.host", "server.listen"),
    ("server.port", "server.listen"),
    ("server.address", "server.listen"),
    ("server.bind", "server.listen"),
    ("worker.host", "worker.listen"),
    ("worker.port", "worker.listen"),
    ("log.level", "log.filter"),
];

/// What the strings of a layer may stand for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Strings {
    /// Nothing but strings, and what TOML has no way to write.
    Typed,
    /// Any type: the source knows only texts.
    Texts,
}

/// A layer whose values are all of the right type and whose keys all exist; what was wrong is left out.
pub(super) struct Checked {
    name: String,
    values: Dict,
    places: Arc<Places<String>>,
}

impl Provider for Checked {
    fn metadata(&self) -> Metadata {
        let places = Arc::clone(&self.places);
        Metadata::named(self.name.clone())
            .interpolater(move |_, keys| places.nearest(keys).cloned().unwrap_or_default())
    }

    fn data(&self) -> Result<Map<Profile, Dict>, figment::Error> {
        Ok(Map::from([(Profile::Default, self.values.clone())]))
    }
}

/// Checks a layer: gives its texts their types, and takes out what may not be in it.
pub(super) fn layer(
    name: &str,
    layer: &Figment,
    strings: Strings,
    schema: &ValueKind,
) -> (Checked, Vec<Finding>) {
    let mut checker = Checker {
        layer,
        paths: schema.paths(),
        places: Places::new(),
        findings: Vec::new(),
    };
    let values = match layer.find_value("") {
        Ok(values) => checker.check(
            values,
            schema,
            "",
            Written {
                tag: Tag::Default,
                strings,
            },
        ),
        Err(error) => {
            let place = error.metadata.as_ref().map(named);
            checker
                .findings
                .push(Finding::new(error.path.join("."), place, error.kind.to_string()));
            None
        }
    };
    let checked = Checked {
        name: name.to_owned(),
        values: values.and_then(Value::into_dict).unwrap_or_default(),
        places: Arc::new(checker.places),
    };
    (checked, checker.findings)
}

/// Returns where a provider that knows no places of its own reads from.
fn named(metadata: &Metadata) -> String {
    let source = metadata.source.as_ref();
    source.map_or_else(|| metadata.name.to_string(), ToString::to_string)
}

/// Returns the sentence about a type that this build doesn't have.
pub(super) fn unknown_type(types: &Types, name: &str) -> String {
    let (noun, has) = (types.noun, types.listed());
    match types.left_out.iter().find(|(known, _)| *known == name) {
        Some((_, feature)) => {
            format!("{noun} type `{name}` needs the feature `{feature}`; this build has: {has}")
        }
        None => {
            let known = types.names().chain(types.left_out.iter().map(|(name, _)| *name));
            let hint = did_you_mean(nearest(name, known));
            format!("{noun} type `{name}` is unknown; this build has: {has}{hint}")
        }
    }
}

/// How a value was written: by which provider, and what its strings may stand for.
#[derive(Clone, Copy)]
struct Written {
    tag: Tag,
    strings: Strings,
}

struct Checker<'a> {
    layer: &'a Figment,
    /// The paths of all keys.
    paths: BTreeSet<String>,
    places: Places<String>,
    findings: Vec<Finding>,
}

impl Checker<'_> {
    /// Returns the value as it is merged, `None` where it must not be.
    fn check(&mut self, value: Value, kind: &ValueKind, path: &str, mut written: Written) -> Option<Value> {
        if !value.tag().is_default() {
            written.tag = value.tag();
        }
        if let Value::Empty(..) = value {
            return None;
        }
        let value = if let Value::Char(_, char) = value {
            Value::from(char.to_string())
        } else {
            value
        };
        let value = match value.as_str() {
            None => value,
            Some(text) if written.strings == Strings::Texts => match text::typed(text, kind) {
                Some(typed) => {
                    written.strings = Strings::Typed;
                    typed
                }
                None => return self.refuse_text(text, kind, path, written),
            },
            Some(text) => text::quoted(text, kind).unwrap_or(value),
        };
        if let Some(place) = self.place(path, written) {
            let keys: Vec<String> = keys(path).into_iter().map(str::to_owned).collect();
            self.places.insert(&keys, place);
        }
        match (kind, value) {
            (ValueKind::Table(fields), Value::Dict(_, values)) => {
                Some(self.table(values, fields, path, written))
            }
            (ValueKind::Part(types), Value::Dict(_, values)) => Some(self.part(values, types, path, written)),
            (ValueKind::Entry(types), Value::Dict(_, values)) => {
                Some(self.entry(values, types, path, written))
            }
            (ValueKind::Map(item), Value::Dict(_, values)) => {
                let mut checked = Dict::new();
                for (name, value) in values {
                    if let Some(value) = self.check(value, item, &join(path, &name), written) {
                        checked.insert(name, value);
                    }
                }
                Some(Value::from(checked))
            }
            (ValueKind::List(item), Value::Array(_, items)) => {
                let mut checked = Vec::new();
                for (index, value) in items.into_iter().enumerate() {
                    // An item that is refused keeps its place, so that the others keep their index.
                    let item = self.check(value, item, &format!("{path}[{index}]"), written);
                    checked.push(item.unwrap_or_else(|| Value::from(Dict::new())));
                }
                Some(Value::from(checked))
            }
            (ValueKind::Choice(choices), Value::String(_, text)) => {
                if choices.contains(&text) {
                    return Some(Value::from(text));
                }
                let hint = did_you_mean(nearest(&text, choices.iter().map(String::as_str)));
                let message = format!("`{text}` is not one of {}{hint}", choices.join(", "));
                self.find(path, written, message)
            }
            (ValueKind::Integer { minimum, maximum, .. }, Value::Num(_, number)) => {
                let Some(integer) = integer(number) else {
                    return self.refuse(&Value::from(number), kind, path, written);
                };
                let message = match (minimum, maximum) {
                    (Some(minimum), _) if integer < i128::from(*minimum) => {
                        format!("must be at least {minimum}, not {integer}")
                    }
                    (_, Some(maximum)) if integer > i128::from(*maximum) => {
                        format!("must be at most {maximum}, not {integer}")
                    }
                    _ => return Some(Value::from(number)),
                };
                self.find(path, written, message)
            }
            (ValueKind::Text { .. }, Value::String(_, text)) => Some(Value::from(text)),
            (ValueKind::Number, Value::Num(_, number)) => Some(Value::from(number)),
            (ValueKind::Boolean, Value::Bool(_, yes)) => Some(Value::from(yes)),
            (ValueKind::Any, value) => Some(self.anything(value, path, written)),
            (
                ValueKind::Table(_)
                | ValueKind::Map(_)
                | ValueKind::List(_)
                | ValueKind::Text { .. }
                | ValueKind::Choice(_)
                | ValueKind::Integer { .. }
                | ValueKind::Number
                | ValueKind::Boolean
                | ValueKind::Part(_)
                | ValueKind::Entry(_),
                value,
            ) => self.refuse(&value, kind, path, written),
        }
    }

    fn table(&mut self, mut values: Dict, fields: &[Field], path: &str, written: Written) -> Value {
        let known = fields.iter().map(|field| (field.name.as_str(), &field.kind));
        let checked = self.known_keys(&mut values, known, path, written);
        let names: Vec<&str> = fields.iter().map(|field| field.name.as_str()).collect();
        self.unknown_keys(values, path, &names, written);
        Value::from(checked)
    }

    fn part(&mut self, mut values: Dict, types: &Types, path: &str, written: Written) -> Value {
        let text = ValueKind::Text { secret: false };
        let tables = types.built.iter().map(|built| (built.name, &built.kind));
        // A file may serve several builds, so the table of a type that this one lacks is left as it is.
        let left_out = types.left_out.iter().map(|(name, _)| (*name, &ValueKind::Any));
        let known = std::iter::once(("type", &text)).chain(tables).chain(left_out);
        let checked = self.known_keys(&mut values, known, path, written);
        let names: Vec<&str> = std::iter::once("type").chain(types.names()).collect();
        self.unknown_keys(values, path, &names, written);
        Value::from(checked)
    }

    fn entry(&mut self, mut values: Dict, types: &Types, path: &str, written: Written) -> Value {
        let noun = types.noun;
        let path_of_type = join(path, "type");
        let refused = Value::from(Dict::new());
        let Some(name) = values.remove("type") else {
            let message = format!(
                "must be set to the {noun}'s type; this build has: {}",
                types.listed()
            );
            self.find(&path_of_type, written, message);
            return refused;
        };
        let text = ValueKind::Text { secret: false };
        let Some(name) = self.check(name, &text, &path_of_type, written) else {
            return refused;
        };
        let name = name.into_string().unwrap_or_default();
        let Some(built) = types.get(&name) else {
            let message = unknown_type(types, &name);
            self.find(&path_of_type, written, message);
            return refused;
        };
        let known = built
            .kind
            .fields()
            .map(|field| (field.name.as_str(), &field.kind));
        let mut checked = self.known_keys(&mut values, known, path, written);
        checked.insert("type".to_owned(), Value::from(name));
        let fields = built.kind.fields().map(|field| field.name.as_str());
        let names: Vec<&str> = std::iter::once("type").chain(fields).collect();
        self.unknown_keys(values, path, &names, written);
        Value::from(checked)
    }

    /// Checks the values of known keys and returns the accepted ones; what is left in `values` has an unknown key.
    fn known_keys<'k>(
        &mut self,
        values: &mut Dict,
        known: impl Iterator<Item = (&'k str, &'k ValueKind)>,
        path: &str,
        written: Written,
    ) -> Dict {
        let mut checked = Dict::new();
        for (name, kind) in known {
            let Some(value) = values.remove(name) else {
                continue;
            };
            if let Some(value) = self.check(value, kind, &join(path, name), written) {
                checked.insert(name.to_owned(), value);
            }
        }
        checked
    }

    /// Keeps a value as it is, with the places of all values in it.
    fn anything(&mut self, value: Value, path: &str, written: Written) -> Value {
        match value {
            Value::String(_, text) => Value::from(text),
            Value::Char(_, char) => Value::from(char),
            Value::Bool(_, yes) => Value::from(yes),
            Value::Num(_, number) => Value::from(number),
            Value::Empty(_, empty) => Value::from(empty),
            Value::Dict(_, values) => {
                let mut kept = Dict::new();
                for (name, value) in values {
                    let value = self.check(value, &ValueKind::Any, &join(path, &name), written);
                    kept.extend(value.map(|value| (name, value)));
                }
                Value::from(kept)
            }
            Value::Array(_, items) => {
                let mut kept = Vec::new();
                for (index, item) in items.into_iter().enumerate() {
                    kept.extend(self.check(item, &ValueKind::Any, &format!("{path}[{index}]"), written));
                }
                Value::from(kept)
            }
        }
    }

    fn unknown_keys(&mut self, values: Dict, path: &str, names: &[&str], written: Written) {
        for (name, value) in values {
            let tag = if value.tag().is_default() {
                written.tag
            } else {
                value.tag()
            };
            let path = join(path, &name);
            let meant = self.meant(&path, &name, names);
            let message = match &meant {
                Some(meant) => format!("unknown key{}", did_you_mean(Some(meant.as_str()))),
                None if (1..=LISTED_KEYS).contains(&names.len()) => {
                    format!("unknown key; expected one of {}", names.join(", "))
                }
                None => "unknown key".to_owned(),
            };
            let place = self.place(&path, Written { tag, ..written });
            let finding = Finding::new(path, place, message);
            self.findings.push(match meant {
                Some(meant) => finding.meaning(meant),
                None => finding,
            });
        }
    }

    /// Guesses which key was meant by an unknown one.
    fn meant(&self, path: &str, name: &str, names: &[&str]) -> Option<String> {
        let table = path.strip_suffix(name).unwrap_or_default().trim_end_matches('.');
        let synonym = SYNONYMS
            .iter()
            .find(|(known, _)| *known == path)
            .map(|(_, meant)| (*meant).to_owned());
        let near = || nearest(name, names.iter().copied()).map(|near| join(table, near));
        let elsewhere = || {
            let end = format!(".{name}");
            self.paths.iter().find(|known| known.ends_with(&end)).cloned()
        };
        synonym.or_else(near).or_else(elsewhere)
    }

    /// Refuses a value of a wrong type. The value itself is not repeated: it may be, or hold, a secret.
    fn refuse(&mut self, value: &Value, kind: &ValueKind, path: &str, written: Written) -> Option<Value> {
        let (wanted, found) = (kind.describe(), describe(value));
        let message = match kind {
            ValueKind::Text { .. } | ValueKind::Choice(_) => {
                format!("must be {wanted}, not {found}: put it in quotes")
            }
            ValueKind::Table(_)
            | ValueKind::Map(_)
            | ValueKind::List(_)
            | ValueKind::Integer { .. }
            | ValueKind::Number
            | ValueKind::Boolean
            | ValueKind::Part(_)
            | ValueKind::Entry(_)
            | ValueKind::Any => format!("must be {wanted}, not {found}"),
        };
        self.find(path, written, message)
    }

    /// Refuses the text of a variable or a flag.
    fn refuse_text(&mut self, text: &str, kind: &ValueKind, path: &str, written: Written) -> Option<Value> {
        let wanted = kind.describe();
        let message = match kind {
            // These can hold secrets, so the text is not repeated.
            ValueKind::List(item) => {
                format!(
                    "must be {wanted}, written as TOML or JSON, such as {}",
                    list_example(item)
                )
            }
            ValueKind::Table(_) | ValueKind::Map(_) | ValueKind::Part(_) | ValueKind::Entry(_) => {
                format!(
                    "must be {wanted}, written as TOML or JSON, such as {}",
                    table_example(kind)
                )
            }
            ValueKind::Text { .. }
            | ValueKind::Choice(_)
            | ValueKind::Integer { .. }
            | ValueKind::Number
            | ValueKind::Boolean
            | ValueKind::Any => format!("must be {wanted}, not `{text}`"),
        };
        self.find(path, written, message)
    }

    fn find(&mut self, path: &str, written: Written, message: String) -> Option<Value> {
        let place = self.place(path, written);
        self.findings.push(Finding::new(path, place, message));
        None
    }

    /// Returns where a value was written.
    fn place(&self, path: &str, written: Written) -> Option<String> {
        let metadata = self.layer.get_metadata(written.tag)?;
        let (profile, keys) = (Profile::Default, keys(path));
        let place = metadata.interpolate(&profile, &keys);
        // What figment gives for a provider that has no interpolater.
        let unknown = place == format!("{profile}.{}", keys.join("."));
        Some(if unknown { named(metadata) } else { place })
    }
}

fn integer(number: Num) -> Option<i128> {
    number
        .to_i128()
        .or_else(|| i128::try_from(number.to_u128()?).ok())
}

/// Returns a value's type in words, with its article.
fn describe(value: &Value) -> &'static str {
    match value {
        Value::String(..) | Value::Char(..) => "a string",
        Value::Num(_, number) if integer(*number).is_some() => "an integer",
        Value::Num(..) => "a number",
        Value::Bool(..) => "a boolean",
        Value::Array(..) => "a list",
        Value::Dict(..) => "a table",
        Value::Empty(..) => "nothing",
    }
}

/// Shows how a list is written.
fn list_example(item: &ValueKind) -> String {
    match item {
        ValueKind::Integer { .. } | ValueKind::Number => "[1, 2]".to_owned(),
        ValueKind::Table(_) | ValueKind::Map(_) | ValueKind::Part(_) | ValueKind::Entry(_) => {
            format!("[{}]", table_example(item))
        }
        ValueKind::List(_)
        | ValueKind::Text { .. }
        | ValueKind::Choice(_)
        | ValueKind::Boolean
        | ValueKind::Any => "[\"a\", \"b\"]".to_owned(),
    }
}

/// Shows how a table is written: with what must be set in it, or any key.
fn table_example(kind: &ValueKind) -> String {
    let pair = |field: &Field| {
        let example = field.example.as_ref().or(field.default.as_ref());
        let value = example.and_then(super::literal::inline);
        format!("{} = {}", field.name, value.unwrap_or_else(|| "…".to_owned()))
    };
    match kind {
        ValueKind::Entry(types) | ValueKind::Part(types) => {
            let name = types.default.first().copied().or_else(|| types.names().next());
            format!("{{type = \"{}\"}}", name.unwrap_or("…"))
        }
        ValueKind::Table(fields) if fields.iter().any(|field| field.required) => {
            let required: Vec<_> = fields.iter().filter(|field| field.required).map(pair).collect();
            format!("{{{}}}", required.join(", "))
        }
        ValueKind::Table(fields) => {
            let simple = |field: &&Field| field.example.is_some() || field.default.is_some();
            let first = fields.iter().find(simple).map(pair);
            format!("{{{}}}", first.unwrap_or_else(|| "key = \"value\"".to_owned()))
        }
        ValueKind::Map(_)
        | ValueKind::List(_)
        | ValueKind::Text { .. }
        | ValueKind::Choice(_)
        | ValueKind::Integer { .. }
        | ValueKind::Number
        | ValueKind::Boolean
        | ValueKind::Any => "{key = \"value\"}".to_owned(),
    }
}
