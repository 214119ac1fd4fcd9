//! `lucida config show`: the merged configuration as TOML, secrets redacted, the source of every value beside it.

use std::fmt::Write as _;

use figment::value::{Dict, Value};

use super::literal::{inline, key, string};
use super::merged::Merged;
use crate::schema::{ValueKind, join};

/// What is shown in place of a secret.
const REDACTED: &str = "[redacted]";

/// Prints a merged configuration.
pub(super) fn show(merged: &Merged, schema: &ValueKind) -> String {
    let mut printer = Printer {
        merged,
        out: String::new(),
    };
    if let Some(values) = merged.root().as_dict() {
        printer.table(values, Some(schema), "");
    }
    printer.out.trim_start().to_owned()
}

struct Printer<'a> {
    merged: &'a Merged,
    out: String,
}

impl Printer<'_> {
    /// Prints a table: its plain keys first, since those behind a header belong to that header.
    ///
    /// Without a schema (a type that this build lacks), nothing says what is secret, so no string is shown.
    fn table(&mut self, values: &Dict, kind: Option<&ValueKind>, path: &str) {
        let selected = type_of(values);
        let entries = ordered(values, kind, selected);
        for (name, child) in entries.iter().filter(|(_, child)| !has_header(child)) {
            let value = value(child, key_kind(kind, name, selected));
            let source = self.merged.source_of(child, &join(path, name));
            // Writing to a string can't fail.
            let _ = writeln!(self.out, "{} = {value}  # {source}", key(name));
        }
        if let Some(kind) = settings_kind(kind, selected) {
            for field in kind.fields().filter(|field| !values.contains_key(&field.name)) {
                if let Some(default) = field.default.as_ref().and_then(inline) {
                    let _ = writeln!(
                        self.out,
                        "{} = {default}  # the type's own default",
                        key(&field.name)
                    );
                }
            }
        }
        for (name, child) in entries.iter().filter(|(_, child)| has_header(child)) {
            let header = join(path, &key(name));
            let kind_of_child = key_kind(kind, name, selected);
            match child {
                Value::Array(_, items) => {
                    let kind = item_kind(kind_of_child);
                    for (index, item) in items.iter().enumerate() {
                        let path = format!("{header}[{index}]");
                        let source = self.merged.source_of(item, &path);
                        let _ = writeln!(self.out, "\n[[{header}]]  # {source}");
                        if let Some(values) = item.as_dict() {
                            self.table(values, kind, &path);
                        }
                    }
                }
                Value::Dict(_, values) => {
                    let unused = matches!(kind, Some(ValueKind::Part(_))) && selected != Some(*name);
                    let remark = if unused { "  # not in use" } else { "" };
                    let _ = writeln!(self.out, "\n[{header}]{remark}");
                    self.table(values, kind_of_child, &header);
                }
                Value::String(..) | Value::Char(..) | Value::Bool(..) | Value::Num(..) | Value::Empty(..) => {
                }
            }
        }
    }
}

fn type_of(values: &Dict) -> Option<&str> {
    values.get("type").and_then(Value::as_str)
}

/// Returns a table's entries in the order of the reference, then those that it doesn't have.
fn ordered<'a>(
    values: &'a Dict,
    kind: Option<&'a ValueKind>,
    selected: Option<&str>,
) -> Vec<(&'a str, &'a Value)> {
    let mut names: Vec<&str> = match kind {
        Some(ValueKind::Part(types)) => std::iter::once("type").chain(types.names()).collect(),
        Some(ValueKind::Entry(_)) => vec!["type"],
        Some(_) | None => Vec::new(),
    };
    if let Some(kind) = settings_kind(kind, selected) {
        names.extend(kind.fields().map(|field| field.name.as_str()));
    }
    let known = names.iter().filter_map(|name| values.get_key_value(*name));
    let others = values.iter().filter(|(name, _)| !names.contains(&name.as_str()));
    known
        .chain(others)
        .map(|(name, value)| (name.as_str(), value))
        .collect()
}

/// Returns whether a value is printed behind a header of its own.
fn has_header(value: &Value) -> bool {
    match value {
        Value::Dict(..) => true,
        Value::Array(_, items) => {
            !items.is_empty() && items.iter().all(|item| matches!(item, Value::Dict(..)))
        }
        Value::String(..) | Value::Char(..) | Value::Bool(..) | Value::Num(..) | Value::Empty(..) => false,
    }
}

fn key_kind<'a>(kind: Option<&'a ValueKind>, name: &str, selected: Option<&str>) -> Option<&'a ValueKind> {
    match kind? {
        table @ ValueKind::Table(_) => table.field(name).map(|field| &field.kind),
        ValueKind::Part(_) | ValueKind::Entry(_) if name == "type" => Some(&ValueKind::Any),
        ValueKind::Part(types) => types.get(name).map(|built| &built.kind),
        entry @ ValueKind::Entry(_) => {
            let kind = settings_kind(Some(entry), selected)?;
            kind.field(name).map(|field| &field.kind)
        }
        ValueKind::Map(item) => Some(item),
        ValueKind::Any => Some(&ValueKind::Any),
        ValueKind::List(_)
        | ValueKind::Text { .. }
        | ValueKind::Choice(_)
        | ValueKind::Integer { .. }
        | ValueKind::Number
        | ValueKind::Boolean => None,
    }
}

/// Returns the kind whose fields are the table's own keys.
fn settings_kind<'a>(kind: Option<&'a ValueKind>, selected: Option<&str>) -> Option<&'a ValueKind> {
    let kind = kind?;
    let ValueKind::Entry(types) = kind else {
        return Some(kind);
    };
    types.get(selected?).map(|built| &built.kind)
}

fn item_kind(kind: Option<&ValueKind>) -> Option<&ValueKind> {
    match kind? {
        ValueKind::List(item) => Some(item),
        ValueKind::Any => Some(&ValueKind::Any),
        ValueKind::Table(_)
        | ValueKind::Map(_)
        | ValueKind::Text { .. }
        | ValueKind::Choice(_)
        | ValueKind::Integer { .. }
        | ValueKind::Number
        | ValueKind::Boolean
        | ValueKind::Part(_)
        | ValueKind::Entry(_) => None,
    }
}

fn value(value_of: &Value, kind: Option<&ValueKind>) -> String {
    match value_of {
        Value::String(_, text) => {
            let hidden = matches!(kind, None | Some(ValueKind::Text { secret: true }));
            string(if hidden { REDACTED } else { text })
        }
        Value::Char(_, char) => string(&char.to_string()),
        Value::Num(_, number) => match (number.to_i128(), number.to_u128()) {
            (Some(number), _) => number.to_string(),
            (None, Some(number)) => number.to_string(),
            (None, None) => toml::Value::Float(number.to_f64().unwrap_or_default()).to_string(),
        },
        Value::Bool(_, yes) => yes.to_string(),
        Value::Empty(..) => "\"\"".to_owned(),
        Value::Array(_, items) => {
            let kind = item_kind(kind);
            let items: Vec<String> = items.iter().map(|item| value(item, kind)).collect();
            format!("[{}]", items.join(", "))
        }
        Value::Dict(_, values) => {
            let selected = type_of(values);
            let entries: Vec<String> = ordered(values, kind, selected)
                .into_iter()
                .map(|(name, child)| {
                    format!("{} = {}", key(name), value(child, key_kind(kind, name, selected)))
                })
                .collect();
            format!("{{ {} }}", entries.join(", "))
        }
    }
}

#[cfg(test)]
mod tests {
    use figment::Figment;

    use crate::config::check::{self, Strings};
    use crate::config::merged::Merged;
    use crate::config::root;
    use crate::config::toml::Toml;
    use crate::registry::Registry;

    #[test]
    fn nothing_of_a_type_that_this_build_lacks_is_shown() {
        let registry = Registry::empty().with_storage(lucida_memory::storage_factory());
        let text =
            "[storage]\ntype = \"memory\"\n[storage.disk]\nroot = \"hunter2\"\nsizes = [1, [\"hunter2\"]]\n";
        let schema = root::schema(&registry);
        let file = Figment::from(Toml::parse("config file", "my.toml", text).unwrap());
        let (checked, findings) = check::layer("config file", &file, Strings::Typed, &schema);
        assert_eq!(findings, []);
        let shown = super::show(&Merged::new(Figment::from(checked)), &schema);
        assert_eq!(
            shown,
            "[storage]\ntype = \"memory\"  # my.toml:2\n\n\
             [storage.disk]  # not in use\n\
             root = \"[redacted]\"  # my.toml:4\n\
             sizes = [1, [\"[redacted]\"]]  # my.toml:5\n"
        );
    }
}
