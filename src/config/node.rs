//! A configuration as a tree in which every value knows where it was written.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use serde_json::{Map, Number, Value};

/// Where a value was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// In `config/default.toml`, which is compiled in, in this line.
    Default(usize),
    /// In the file given with `--config`, in this line.
    File(Arc<Path>, usize),
    /// In this environment variable.
    Variable(Arc<str>),
    /// In this flag.
    Flag(Arc<str>),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default(line) => write!(f, "default.toml:{line}"),
            Self::File(path, line) => write!(f, "{}:{line}", path.display()),
            Self::Variable(name) => f.write_str(name),
            Self::Flag(flag) => f.write_str(flag),
        }
    }
}

/// A value and where it was written. It may hold a secret, so it doesn't print.
#[derive(Clone)]
pub(crate) struct Node {
    pub(crate) origin: Origin,
    pub(crate) kind: Kind,
}

/// What a [`Node`] holds.
#[derive(Clone)]
pub(crate) enum Kind {
    /// A text from a variable or a flag, whose type is not known before the schema is.
    Untyped(String),
    Text(String),
    Integer(i64),
    Float(f64),
    Boolean(bool),
    List(Vec<Node>),
    /// In the order of writing.
    Table(Vec<(String, Node)>),
}

impl Kind {
    /// Returns the type in words, with its article.
    pub(crate) const fn describe(&self) -> &'static str {
        match self {
            Self::Untyped(_) | Self::Text(_) => "a string",
            Self::Integer(_) => "an integer",
            Self::Float(_) => "a number",
            Self::Boolean(_) => "a boolean",
            Self::List(_) => "a list",
            Self::Table(_) => "a table",
        }
    }
}

impl Node {
    /// Makes an empty table.
    pub(crate) const fn table(origin: Origin) -> Self {
        Self {
            origin,
            kind: Kind::Table(Vec::new()),
        }
    }

    /// Returns the value of a key of a table.
    pub(crate) fn get(&self, key: &str) -> Option<&Self> {
        self.entries()
            .iter()
            .find(|(name, _)| name == key)
            .map(|(_, node)| node)
    }

    /// Returns a table's entries; nothing else has any.
    pub(crate) fn entries(&self) -> &[(String, Self)] {
        if let Kind::Table(entries) = &self.kind {
            entries
        } else {
            &[]
        }
    }

    /// Returns a list's items; nothing else has any.
    pub(crate) fn items(&self) -> &[Self] {
        if let Kind::List(items) = &self.kind {
            items
        } else {
            &[]
        }
    }

    /// Returns a text.
    pub(crate) fn text(&self) -> Option<&str> {
        if let Kind::Text(text) | Kind::Untyped(text) = &self.kind {
            Some(text)
        } else {
            None
        }
    }

    /// Sets the value at a path of table keys; what is no table on the way there is replaced.
    pub(crate) fn set(&mut self, path: &[&str], value: Self) {
        let Some((first, rest)) = path.split_first() else {
            *self = value;
            return;
        };
        if !matches!(self.kind, Kind::Table(_)) {
            self.kind = Kind::Table(Vec::new());
        }
        let Kind::Table(entries) = &mut self.kind else {
            return;
        };
        if let Some((_, child)) = entries.iter_mut().find(|(name, _)| name == first) {
            child.set(rest, value);
        } else {
            let mut child = Self::table(value.origin.clone());
            child.set(rest, value);
            entries.push(((*first).to_owned(), child));
        }
    }

    /// Puts a later layer over this one: tables key by key, everything else as a whole.
    pub(crate) fn merge(&mut self, over: Self) {
        match (&mut self.kind, over.kind) {
            (Kind::Table(below), Kind::Table(above)) => {
                for (name, node) in above {
                    if let Some((_, child)) = below.iter_mut().find(|(existing, _)| *existing == name) {
                        child.merge(node);
                    } else {
                        below.push((name, node));
                    }
                }
            }
            (kind, over_kind) => {
                *kind = over_kind;
                self.origin = over.origin;
            }
        }
    }

    /// Returns the origin of the value at `path` (such as `plugins[1].sizes_pixels[0]`), or of the nearest table or
    /// list around it that was written at all.
    pub(crate) fn origin_of(&self, path: &str) -> Origin {
        let mut node = self;
        for step in path.split(['.', '[']).map(|step| step.trim_end_matches(']')) {
            let child = match (&node.kind, step.parse::<usize>()) {
                (Kind::List(items), Ok(index)) => items.get(index),
                _ => node.get(step),
            };
            match child {
                Some(child) => node = child,
                None => break,
            }
        }
        node.origin.clone()
    }

    /// Returns the value as JSON, for deserialising.
    pub(crate) fn to_json(&self) -> Value {
        match &self.kind {
            Kind::Untyped(text) | Kind::Text(text) => Value::String(text.clone()),
            Kind::Integer(number) => Value::Number((*number).into()),
            Kind::Float(number) => Number::from_f64(*number).map_or(Value::Null, Value::Number),
            Kind::Boolean(yes) => Value::Bool(*yes),
            Kind::List(items) => items.iter().map(Self::to_json).collect(),
            Kind::Table(entries) => entries
                .iter()
                .map(|(name, node)| (name.clone(), node.to_json()))
                .collect::<Map<_, _>>()
                .into(),
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
