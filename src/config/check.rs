//! Compares a layer with what a configuration may hold, key by key.

use std::collections::BTreeSet;

use super::finding::{Finding, did_you_mean, nearest};
use super::layer;
use super::node::{Kind, Node, Origin, join};
use super::shape::{Shape, Types};

/// A table has at most this many keys to be listed where none of them is near the wrong one.
const LISTED_KEYS: usize = 8;

/// Gives every text from a variable or a flag its type, and takes out of a layer what may not be there.
pub(crate) fn layer(node: &mut Node, shape: &Shape) -> Vec<Finding> {
    let mut checker = Checker {
        paths: shape.paths(),
        findings: Vec::new(),
    };
    checker.check(node, shape, "");
    checker.findings
}

/// Finds the keys that must be set and are not.
pub(crate) fn missing(node: &Node, shape: &Shape, path: &str, findings: &mut Vec<Finding>) {
    match shape {
        Shape::Table(fields) => {
            for field in fields {
                match node.get(&field.name) {
                    Some(child) => missing(child, &field.shape, &join(path, &field.name), findings),
                    None if field.required => {
                        let example = field
                            .example
                            .as_ref()
                            .map(|example| format!(", such as {example}"))
                            .unwrap_or_default();
                        findings.push(Finding::new(
                            join(path, &field.name),
                            node.origin.clone(),
                            format!("must be set{example}"),
                        ));
                    }
                    None => {}
                }
            }
        }
        Shape::List(item) => {
            for (index, node) in node.items().iter().enumerate() {
                missing(node, item, &format!("{path}[{index}]"), findings);
            }
        }
        Shape::Map(item) => {
            for (name, node) in node.entries() {
                missing(node, item, &join(path, name), findings);
            }
        }
        Shape::Part(types) => {
            let chosen = node
                .get("type")
                .and_then(Node::text)
                .and_then(|name| types.get(name));
            if let Some(chosen) = chosen {
                let empty = Node::table(origin_of_type(node));
                let settings = node.get(chosen.name).unwrap_or(&empty);
                missing(settings, &chosen.shape, &join(path, chosen.name), findings);
            }
        }
        Shape::Plugin(types) => {
            let chosen = node
                .get("type")
                .and_then(Node::text)
                .and_then(|name| types.get(name));
            if let Some(chosen) = chosen {
                missing(node, &chosen.shape, path, findings);
            }
        }
        Shape::Text { .. }
        | Shape::Choice(_)
        | Shape::Integer { .. }
        | Shape::Number
        | Shape::Boolean
        | Shape::Any => {}
    }
}

/// Returns where the `type` of a part was written.
pub(crate) fn origin_of_type(part: &Node) -> Origin {
    part.get("type").unwrap_or(part).origin.clone()
}

/// Returns the sentence about a type that this build doesn't have.
pub(crate) fn unknown_type(types: &Types, name: &str) -> String {
    let noun = types.noun;
    let has = types.names().collect::<Vec<_>>().join(", ");
    let has = if has.is_empty() { "none" } else { has.as_str() };
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

struct Checker {
    /// The paths of all keys there are.
    paths: BTreeSet<String>,
    findings: Vec<Finding>,
}

impl Checker {
    /// Checks a value, and tells whether it may stay.
    fn check(&mut self, node: &mut Node, shape: &Shape, path: &str) -> bool {
        if let Kind::Untyped(text) = &node.kind {
            match typed(text, shape, &node.origin) {
                Some(kind) => node.kind = kind,
                None => return self.refuse(node, shape, path),
            }
        }
        match (shape, &mut node.kind) {
            (Shape::Table(fields), Kind::Table(entries)) => {
                let names: Vec<&str> = fields.iter().map(|field| field.name.as_str()).collect();
                entries.retain_mut(
                    |(name, node)| match fields.iter().find(|field| field.name == *name) {
                        Some(field) => self.check(node, &field.shape, &join(path, name)),
                        None => self.unknown_key(node, name, path, &names),
                    },
                );
                true
            }
            (Shape::Part(types), Kind::Table(entries)) => {
                let names: Vec<&str> = std::iter::once("type").chain(types.names()).collect();
                entries.retain_mut(|(name, node)| {
                    let path_of_key = join(path, name);
                    if name == "type" {
                        self.check(node, &Shape::Text { secret: false }, &path_of_key)
                    } else if let Some(built) = types.get(name) {
                        self.check(node, &built.shape, &path_of_key)
                    } else if types.is_left_out(name) {
                        // A file may serve several builds; what is chosen is checked later.
                        true
                    } else {
                        self.unknown_key(node, name, path, &names)
                    }
                });
                true
            }
            (Shape::Plugin(types), Kind::Table(_)) => {
                self.plugin(node, types, path);
                true
            }
            (Shape::Map(item), Kind::Table(entries)) => {
                entries.retain_mut(|(name, node)| self.check(node, item, &join(path, name)));
                true
            }
            (Shape::List(item), Kind::List(items)) => {
                for (index, node) in items.iter_mut().enumerate() {
                    self.check(node, item, &format!("{path}[{index}]"));
                }
                true
            }
            (Shape::Choice(choices), Kind::Text(text)) => {
                let known = choices.iter().any(|choice| choice == text);
                if !known {
                    let hint = did_you_mean(nearest(text, choices.iter().map(String::as_str)));
                    let message = format!("`{text}` is none of {}{hint}", choices.join(", "));
                    self.findings
                        .push(Finding::new(path, node.origin.clone(), message));
                }
                known
            }
            (Shape::Integer { minimum, maximum }, Kind::Integer(number)) => {
                let message = match (minimum, maximum) {
                    (Some(minimum), _) if *number < *minimum => {
                        format!("must be at least {minimum}, not {number}")
                    }
                    (_, Some(maximum)) if *number > *maximum => {
                        format!("must be at most {maximum}, not {number}")
                    }
                    _ => return true,
                };
                self.findings
                    .push(Finding::new(path, node.origin.clone(), message));
                false
            }
            (Shape::Any, _)
            | (Shape::Text { .. }, Kind::Text(_))
            | (Shape::Number, Kind::Float(_) | Kind::Integer(_))
            | (Shape::Boolean, Kind::Boolean(_)) => true,
            (
                Shape::Table(_)
                | Shape::Map(_)
                | Shape::List(_)
                | Shape::Text { .. }
                | Shape::Choice(_)
                | Shape::Integer { .. }
                | Shape::Number
                | Shape::Boolean
                | Shape::Part(_)
                | Shape::Plugin(_),
                _,
            ) => self.refuse(node, shape, path),
        }
    }

    fn plugin(&mut self, node: &mut Node, types: &Types, path: &str) {
        let Some(name) = node.get("type") else {
            let has = types.names().collect::<Vec<_>>().join(", ");
            let message = format!("must be set to the plugin's type; this build has: {has}");
            self.findings
                .push(Finding::new(join(path, "type"), node.origin.clone(), message));
            return;
        };
        let origin = name.origin.clone();
        let Some(name) = name.text() else {
            let message = format!("must be a string, not {}", name.kind.describe());
            self.findings
                .push(Finding::new(join(path, "type"), origin, message));
            return;
        };
        let Some(built) = types.get(name) else {
            let message = unknown_type(types, name);
            self.findings
                .push(Finding::new(join(path, "type"), origin, message));
            return;
        };
        let names: Vec<&str> = std::iter::once("type")
            .chain(built.shape.fields().map(|field| field.name.as_str()))
            .collect();
        let Kind::Table(entries) = &mut node.kind else {
            return;
        };
        entries.retain_mut(|(name, node)| {
            if name == "type" {
                return true;
            }
            match built.shape.fields().find(|field| field.name == *name) {
                Some(field) => self.check(node, &field.shape, &join(path, name)),
                None => self.unknown_key(node, name, path, &names),
            }
        });
    }

    fn unknown_key(&mut self, node: &Node, name: &str, path: &str, names: &[&str]) -> bool {
        let elsewhere = || {
            let end = format!(".{name}");
            self.paths
                .iter()
                .find(|known| known.ends_with(&end))
                .map(String::as_str)
        };
        let meant = nearest(name, names.iter().copied())
            .map(|near| join(path, near))
            .or_else(|| elsewhere().map(str::to_owned));
        let message = match meant {
            Some(meant) => format!("unknown key{}", did_you_mean(Some(meant.as_str()))),
            None if (1..=LISTED_KEYS).contains(&names.len()) => {
                format!("unknown key; there is: {}", names.join(", "))
            }
            None => "unknown key".to_owned(),
        };
        self.findings
            .push(Finding::new(join(path, name), node.origin.clone(), message));
        false
    }

    /// Refuses a value of a wrong type. The value itself is not repeated: it may be, or hold, a secret.
    fn refuse(&mut self, node: &Node, shape: &Shape, path: &str) -> bool {
        let wanted = shape.describe();
        let message = match (&node.kind, shape) {
            (Kind::Untyped(_), Shape::List(_)) => {
                format!("must be {wanted} as in a TOML file, such as [\"a\", \"b\"]")
            }
            (Kind::Untyped(_), Shape::Table(_) | Shape::Map(_) | Shape::Part(_) | Shape::Plugin(_)) => {
                format!("must be {wanted} as in a TOML file, such as {{key = \"value\"}}")
            }
            (Kind::Untyped(text), _) => format!("must be {wanted}, and `{text}` is none"),
            (kind, Shape::Text { .. } | Shape::Choice(_)) => {
                format!("must be {wanted}, not {}: put it in quotes", kind.describe())
            }
            (kind, _) => format!("must be {wanted}, not {}", kind.describe()),
        };
        self.findings
            .push(Finding::new(path, node.origin.clone(), message));
        false
    }
}

/// Reads the text of a variable or a flag as what it has to be.
fn typed(text: &str, shape: &Shape, origin: &Origin) -> Option<Kind> {
    let parsed = || layer::value(text.trim(), origin);
    match shape {
        Shape::Text { .. } | Shape::Choice(_) => Some(Kind::Text(text.to_owned())),
        Shape::Integer { .. } => parsed().filter(|kind| matches!(kind, Kind::Integer(_))),
        Shape::Number => parsed().filter(|kind| matches!(kind, Kind::Float(_) | Kind::Integer(_))),
        Shape::Boolean => parsed().filter(|kind| matches!(kind, Kind::Boolean(_))),
        Shape::List(_) => parsed().filter(|kind| matches!(kind, Kind::List(_))),
        Shape::Table(_) | Shape::Map(_) | Shape::Part(_) | Shape::Plugin(_) => {
            parsed().filter(|kind| matches!(kind, Kind::Table(_)))
        }
        Shape::Any => Some(parsed().unwrap_or_else(|| Kind::Text(text.to_owned()))),
    }
}
