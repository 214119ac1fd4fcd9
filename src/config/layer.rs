//! Reads the layers of a configuration: the compiled-in defaults, a file, variables, flags.

use std::collections::BTreeSet;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use toml_edit::{Document, Item, Table, Value};

use super::finding::{Finding, did_you_mean};
use super::node::{Kind, Node, Origin};
use super::shape::Shape;

/// `config/default.toml`.
pub(crate) const DEFAULT: &str = include_str!("../../config/default.toml");

/// The prefix of the variables that configure the server.
const PREFIX: &str = "LUCIDA_";

/// Reads TOML, `origin` being told the line of each value.
pub(crate) fn toml(text: &str, origin: impl Fn(usize) -> Origin) -> Result<Node, Finding> {
    let document = Document::parse(text).map_err(|error| {
        // Only the message: the library's own display shows the line, which may hold a secret.
        let line = error.span().map_or(1, |span| line_of(text, span.start));
        let message = error.message().split_whitespace().collect::<Vec<_>>().join(" ");
        Finding::new("", origin(line), format!("this is not TOML: {message}"))
    })?;
    let reader = Reader {
        text,
        origin: &origin,
    };
    Ok(reader.table(document.as_table(), None))
}

/// Reads the file given with `--config`.
pub(crate) fn file(path: &Path) -> Result<Node, Finding> {
    let shared: Arc<Path> = path.into();
    let text = std::fs::read_to_string(path).map_err(|error| {
        let origin = Origin::Flag(format!("--config {}", path.display()).into());
        Finding::new("", origin, format!("the file can't be read: {error}"))
    })?;
    toml(&text, |line| Origin::File(Arc::clone(&shared), line))
}

/// Reads the variables, whose values stay texts; names that can't be meant for the configuration are left alone.
pub(crate) fn variables(variables: &[(String, String)], shape: &Shape) -> (Node, Vec<Finding>) {
    let mut layer = Node::table(Origin::Variable("the environment".into()));
    let mut findings = Vec::new();
    let paths = shape.paths();
    for (name, value) in variables {
        let Some(rest) = name.strip_prefix(PREFIX) else {
            continue;
        };
        let origin = Origin::Variable(name.as_str().into());
        let path = rest.to_lowercase();
        let path: Vec<&str> = path.split("__").collect();
        if path.len() > 1 || shape.fields().any(|field| field.name == path[0]) {
            if path.iter().any(|key| key.is_empty()) {
                findings.push(Finding::new(
                    "",
                    origin,
                    "a key of this variable is empty: join keys with two underscores, \
                     as in LUCIDA_STORAGE__DISK__ROOT",
                ));
                continue;
            }
            let kind = Kind::Untyped(value.clone());
            layer.set(&path, Node { origin, kind });
        } else if let Some(meant) = meant_path(&path[0].replace("__", "_"), &paths) {
            let variable = format!("{PREFIX}{}", meant.replace('.', "__").to_uppercase());
            findings.push(Finding::new(
                meant,
                origin,
                format!(
                    "this variable has no effect{}",
                    did_you_mean(Some(variable.as_str()))
                ),
            ));
        }
    }
    (layer, findings)
}

/// Finds the key that is meant by a variable whose keys are joined with one underscore.
fn meant_path<'a>(name: &str, paths: &'a BTreeSet<String>) -> Option<&'a str> {
    paths
        .iter()
        .find(|path| path.contains('.') && path.replace('.', "_") == name)
        .map(String::as_str)
}

/// A setting from the command line: the key's path, the value's text, and the flag as it was written.
#[derive(Clone)]
pub struct Flag {
    path: String,
    value: String,
    spelled: String,
}

impl Flag {
    /// Makes the setting that a flag of its own stands for, such as `--listen`.
    #[must_use]
    pub fn new(path: &str, value: impl Into<String>, spelled: impl Into<String>) -> Self {
        Self {
            path: path.to_owned(),
            value: value.into(),
            spelled: spelled.into(),
        }
    }

    /// Parses the `key.path=value` of `--set`.
    ///
    /// # Errors
    /// A sentence, where there is no `=` or an empty key.
    pub fn parse(setting: &str) -> Result<Self, String> {
        // The setting isn't repeated: its value may be a secret.
        let (path, value) = setting
            .split_once('=')
            .ok_or("write it as key=value, such as server.listen=127.0.0.1:9000")?;
        let path = path.trim();
        if path.split('.').any(str::is_empty) {
            return Err(format!("`{path}` has an empty key"));
        }
        Ok(Self::new(path, value, format!("--set {path}")))
    }
}

/// Reads the flags, whose values stay texts.
pub(crate) fn flags(flags: &[Flag]) -> Node {
    let mut layer = Node::table(Origin::Flag("the command line".into()));
    for flag in flags {
        let path: Vec<&str> = flag.path.split('.').collect();
        layer.set(
            &path,
            Node {
                origin: Origin::Flag(flag.spelled.as_str().into()),
                kind: Kind::Untyped(flag.value.clone()),
            },
        );
    }
    layer
}

/// Parses the text of a variable or a flag as a TOML value.
pub(crate) fn value(text: &str, origin: &Origin) -> Option<Kind> {
    let document = format!("value = {text}");
    let parsed = toml(&document, |_| origin.clone()).ok()?;
    // One value only: a line break could add others.
    match parsed.entries() {
        [(_, node)] => Some(node.kind.clone()),
        _ => None,
    }
}

struct Reader<'a, F> {
    text: &'a str,
    origin: &'a F,
}

impl<F: Fn(usize) -> Origin> Reader<'_, F> {
    fn at(&self, span: Option<Range<usize>>) -> Origin {
        (self.origin)(span.map_or(1, |span| line_of(self.text, span.start)))
    }

    fn table(&self, table: &Table, key: Option<Range<usize>>) -> Node {
        let entries = table
            .iter()
            .filter_map(|(name, item)| {
                let key = table.key(name).and_then(toml_edit::Key::span);
                Some((name.to_owned(), self.item(item, key)?))
            })
            .collect();
        Node {
            origin: self.at(table.span().or(key)),
            kind: Kind::Table(entries),
        }
    }

    fn item(&self, item: &Item, key: Option<Range<usize>>) -> Option<Node> {
        match item {
            Item::None => None,
            Item::Value(value) => Some(self.value(value, key)),
            Item::Table(table) => Some(self.table(table, key)),
            Item::ArrayOfTables(tables) => {
                let items: Vec<Node> = tables.iter().map(|table| self.table(table, None)).collect();
                let origin = items
                    .first()
                    .map_or_else(|| self.at(key), |first| first.origin.clone());
                Some(Node {
                    origin,
                    kind: Kind::List(items),
                })
            }
        }
    }

    fn value(&self, value: &Value, key: Option<Range<usize>>) -> Node {
        let origin = self.at(key.or_else(|| value.span()));
        let kind = match value {
            Value::String(text) => Kind::Text(text.value().clone()),
            Value::Integer(number) => Kind::Integer(*number.value()),
            Value::Float(number) => Kind::Float(*number.value()),
            Value::Boolean(yes) => Kind::Boolean(*yes.value()),
            Value::Datetime(time) => Kind::Text(time.value().to_string()),
            Value::Array(items) => Kind::List(items.iter().map(|item| self.value(item, None)).collect()),
            Value::InlineTable(table) => Kind::Table(
                table
                    .iter()
                    .map(|(name, value)| {
                        let key = table.key(name).and_then(toml_edit::Key::span);
                        (name.to_owned(), self.value(value, key))
                    })
                    .collect(),
            ),
        };
        Node { origin, kind }
    }
}

/// Returns the line, counted from 1, of a place in a text.
fn line_of(text: &str, place: usize) -> usize {
    1 + text.bytes().take(place).filter(|byte| *byte == b'\n').count()
}
