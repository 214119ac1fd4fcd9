//! The keys that must be set and are not.

use figment::value::Value;

use super::finding::Finding;
use super::literal;
use super::merged::Merged;
use crate::schema::{ValueKind, join};

/// Finds the keys that must be set and are not.
pub(super) fn find(merged: &Merged, schema: &ValueKind) -> Vec<Finding> {
    let mut search = Missing {
        merged,
        findings: Vec::new(),
    };
    search.within(merged.root(), schema, "", "");
    search.findings
}

struct Missing<'a> {
    merged: &'a Merged,
    findings: Vec<Finding>,
}

impl Missing<'_> {
    /// Looks into a value; `cause` is the path of the key that made it be used.
    fn within(&mut self, value: &Value, kind: &ValueKind, path: &str, cause: &str) {
        match kind {
            ValueKind::Table(fields) => {
                for field in fields {
                    let path_of_field = join(path, &field.name);
                    match value.as_dict().and_then(|values| values.get(&field.name)) {
                        Some(value) => self.within(value, &field.kind, &path_of_field, cause),
                        None if field.required => {
                            let example = field.example.as_ref().and_then(literal::inline);
                            let example = example.map(|example| format!(", such as {example}"));
                            let message = format!("must be set{}", example.unwrap_or_default());
                            let place = self.merged.place_of(if cause.is_empty() { path } else { cause });
                            self.findings.push(Finding::new(path_of_field, place, message));
                        }
                        None => {}
                    }
                }
            }
            ValueKind::List(item) => {
                for (index, value) in value.as_array().unwrap_or_default().iter().enumerate() {
                    let path = format!("{path}[{index}]");
                    self.within(value, item, &path, &path);
                }
            }
            ValueKind::Map(item) => {
                for (name, value) in value.as_dict().into_iter().flatten() {
                    self.within(value, item, &join(path, name), cause);
                }
            }
            ValueKind::Part(types) => {
                let values = value.as_dict();
                let selected = values.and_then(|values| values.get("type")?.as_str());
                if let Some(built) = selected.and_then(|name| types.get(name)) {
                    let empty = Value::from(figment::value::Dict::new());
                    let settings = values.and_then(|values| values.get(built.name)).unwrap_or(&empty);
                    let cause = join(path, "type");
                    self.within(settings, &built.kind, &join(path, built.name), &cause);
                }
            }
            ValueKind::Entry(types) => {
                let selected = value.as_dict().and_then(|values| values.get("type")?.as_str());
                if let Some(built) = selected.and_then(|name| types.get(name)) {
                    self.within(value, &built.kind, path, path);
                }
            }
            ValueKind::Text { .. }
            | ValueKind::Choice(_)
            | ValueKind::Integer { .. }
            | ValueKind::Number
            | ValueKind::Boolean
            | ValueKind::Any => {}
        }
    }
}
