//! The provider of TOML: the config file, and the defaults.
//!
//! figment's own `Toml` reads with another version of the library, knows no lines, and prints lines in its errors, which
//! may hold secrets.

use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use figment::value::{Dict, Map, Value};
use figment::{Metadata, Profile, Provider};
use toml_edit::{Document, Item, Table};

use super::finding::Finding;
use super::place::Places;

/// A TOML document with the line of each value.
pub(super) struct Toml {
    /// What messages call it.
    name: String,
    /// What kind of layer it is, for the metadata.
    layer: &'static str,
    values: Dict,
    lines: Arc<Places<usize>>,
}

impl Toml {
    /// Reads a document.
    ///
    /// # Errors
    /// That it is not TOML, with the line but without what it holds: that may be a secret.
    pub(super) fn parse(layer: &'static str, name: &str, text: &str) -> Result<Self, Finding> {
        let document = Document::parse(text).map_err(|error| {
            let line = error.span().map_or(1, |span| line_of(text, span.start));
            let message = error.message().split_whitespace().collect::<Vec<_>>().join(" ");
            Finding::new(
                "",
                Some(format!("{name}:{line}")),
                format!("this is not TOML: {message}"),
            )
        })?;
        let mut reader = Reader {
            text,
            keys: Vec::new(),
            lines: Places::new(),
        };
        let values = reader.table(document.as_table());
        Ok(Self {
            name: name.to_owned(),
            layer,
            values,
            lines: Arc::new(reader.lines),
        })
    }

    /// Reads the file given with `--config`.
    ///
    /// # Errors
    /// That it can't be read, or is not TOML.
    pub(super) fn file(path: &Path) -> Result<Self, Finding> {
        let name = path.display().to_string();
        let text = std::fs::read_to_string(path).map_err(|error| {
            Finding::new(
                "",
                Some(format!("--config {name}")),
                format!("the file can't be read: {error}"),
            )
        })?;
        Self::parse("config file", &name, &text)
    }
}

impl Provider for Toml {
    fn metadata(&self) -> Metadata {
        let (name, lines) = (self.name.clone(), Arc::clone(&self.lines));
        Metadata::from(self.layer, self.name.as_str()).interpolater(move |_, keys| {
            let line = lines.nearest(keys).copied().unwrap_or(1);
            format!("{name}:{line}")
        })
    }

    fn data(&self) -> Result<Map<Profile, Dict>, figment::Error> {
        Ok(Map::from([(Profile::Default, self.values.clone())]))
    }
}

/// Parses one TOML value, as variables and flags hold it.
pub(super) fn value(text: &str) -> Option<Value> {
    let document = format!("value = {text}");
    let parsed = Toml::parse("", "", &document).ok()?;
    // One value only: a line break could add others.
    let only = parsed.values.len() == 1;
    parsed.values.into_values().next().filter(|_| only)
}

struct Reader<'a> {
    text: &'a str,
    /// The keys of what is being read.
    keys: Vec<String>,
    lines: Places<usize>,
}

impl Reader<'_> {
    /// Reads something behind a key.
    fn within<R>(&mut self, key: impl Into<String>, read: impl FnOnce(&mut Self) -> R) -> R {
        self.keys.push(key.into());
        let read = read(self);
        self.keys.pop();
        read
    }

    fn note(&mut self, span: Option<Range<usize>>) {
        if let Some(span) = span {
            let line = line_of(self.text, span.start);
            self.lines.insert(&self.keys, line);
        }
    }

    fn table(&mut self, table: &Table) -> Dict {
        let mut values = Dict::new();
        for (name, item) in table {
            let key = table.key(name).and_then(toml_edit::Key::span);
            if let Some(value) = self.within(name, |reader| reader.item(item, key)) {
                values.insert(name.to_owned(), value);
            }
        }
        values
    }

    fn item(&mut self, item: &Item, key: Option<Range<usize>>) -> Option<Value> {
        match item {
            Item::None => None,
            Item::Value(value) => Some(self.value(value, key)),
            Item::Table(table) => {
                self.note(table.span().or(key));
                Some(Value::from(self.table(table)))
            }
            Item::ArrayOfTables(tables) => {
                self.note(tables.iter().next().and_then(Table::span).or(key));
                let items: Vec<Value> = tables
                    .iter()
                    .enumerate()
                    .map(|(index, table)| {
                        self.within(index.to_string(), |reader| {
                            reader.note(table.span());
                            Value::from(reader.table(table))
                        })
                    })
                    .collect();
                Some(Value::from(items))
            }
        }
    }

    fn value(&mut self, value: &toml_edit::Value, key: Option<Range<usize>>) -> Value {
        self.note(key.or_else(|| value.span()));
        match value {
            toml_edit::Value::String(text) => Value::from(text.value().clone()),
            toml_edit::Value::Integer(number) => Value::from(*number.value()),
            toml_edit::Value::Float(number) => Value::from(*number.value()),
            toml_edit::Value::Boolean(yes) => Value::from(*yes.value()),
            toml_edit::Value::Datetime(time) => Value::from(time.value().to_string()),
            toml_edit::Value::Array(items) => {
                let items: Vec<Value> = items
                    .iter()
                    .enumerate()
                    .map(|(index, item)| self.within(index.to_string(), |reader| reader.value(item, None)))
                    .collect();
                Value::from(items)
            }
            toml_edit::Value::InlineTable(table) => {
                let values: Dict = table
                    .iter()
                    .map(|(name, value)| {
                        let key = table.key(name).and_then(toml_edit::Key::span);
                        let value = self.within(name, |reader| reader.value(value, key));
                        (name.to_owned(), value)
                    })
                    .collect();
                Value::from(values)
            }
        }
    }
}

/// Returns the line, counted from 1, of a place in a text.
fn line_of(text: &str, place: usize) -> usize {
    1 + text.bytes().take(place).filter(|byte| *byte == b'\n').count()
}
