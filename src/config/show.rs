//! `lucida config show`: the merged configuration as TOML, secrets redacted, the source of every value beside it.

use std::fmt::Write as _;

use super::node::{Kind, Node, join};
use super::shape::Shape;

/// What stands in the place of a secret.
const REDACTED: &str = "[redacted]";

/// Prints a tree.
pub(super) fn show(tree: &Node, shape: &Shape) -> String {
    let mut out = String::new();
    table(&mut out, tree, Some(shape), "");
    out.trim_start().to_owned()
}

/// Prints a table: its own keys first, since those behind a header belong to that header.
///
/// Without a shape (a type that this build lacks), nothing says what is secret, so no string is shown.
fn table(out: &mut String, node: &Node, shape: Option<&Shape>, path: &str) {
    let chosen = node.get("type").and_then(Node::text);
    for (name, child) in node.entries().iter().filter(|(_, child)| !has_header(child)) {
        let shape = key_shape(shape, name, chosen);
        let value = value(child, shape);
        // Writing to a string can't fail.
        let _ = writeln!(out, "{} = {value}  # {}", key(name), child.origin);
    }
    if let Some(shape) = settings_shape(shape, chosen) {
        for field in shape.fields().filter(|field| node.get(&field.name).is_none()) {
            if let Some(default) = field.default.as_ref().and_then(inline) {
                let _ = writeln!(out, "{} = {default}  # the type's own default", key(&field.name));
            }
        }
    }
    for (name, child) in node.entries().iter().filter(|(_, child)| has_header(child)) {
        let path = join(path, &key(name));
        let shape_of_child = key_shape(shape, name, chosen);
        if let Kind::List(items) = &child.kind {
            let shape = item_shape(shape_of_child);
            for item in items {
                let _ = writeln!(out, "\n[[{path}]]  # {}", item.origin);
                table(out, item, shape, &path);
            }
            continue;
        }
        let unused = matches!(shape, Some(Shape::Part(_))) && chosen != Some(name.as_str());
        let remark = if unused { "  # not in use" } else { "" };
        let _ = writeln!(out, "\n[{path}]{remark}");
        table(out, child, shape_of_child, &path);
    }
}

/// Tells whether a value is printed behind a header of its own.
fn has_header(node: &Node) -> bool {
    match &node.kind {
        Kind::Table(_) => true,
        Kind::List(items) => {
            !items.is_empty() && items.iter().all(|item| matches!(item.kind, Kind::Table(_)))
        }
        Kind::Untyped(_) | Kind::Text(_) | Kind::Integer(_) | Kind::Float(_) | Kind::Boolean(_) => false,
    }
}

fn key_shape<'a>(shape: Option<&'a Shape>, name: &str, chosen: Option<&str>) -> Option<&'a Shape> {
    match shape? {
        table @ Shape::Table(_) => table
            .fields()
            .find(|field| field.name == name)
            .map(|field| &field.shape),
        Shape::Part(_) | Shape::Plugin(_) if name == "type" => Some(&Shape::Any),
        Shape::Part(types) => types.get(name).map(|built| &built.shape),
        plugin @ Shape::Plugin(_) => settings_shape(Some(plugin), chosen)?
            .fields()
            .find(|field| field.name == name)
            .map(|field| &field.shape),
        Shape::Map(item) => Some(item),
        Shape::Any => Some(&Shape::Any),
        Shape::List(_)
        | Shape::Text { .. }
        | Shape::Choice(_)
        | Shape::Integer { .. }
        | Shape::Number
        | Shape::Boolean => None,
    }
}

/// Returns the shape whose fields are the table's own keys.
fn settings_shape<'a>(shape: Option<&'a Shape>, chosen: Option<&str>) -> Option<&'a Shape> {
    let shape = shape?;
    let Shape::Plugin(types) = shape else {
        return Some(shape);
    };
    types.get(chosen?).map(|built| &built.shape)
}

fn item_shape(shape: Option<&Shape>) -> Option<&Shape> {
    match shape? {
        Shape::List(item) => Some(item),
        Shape::Any => Some(&Shape::Any),
        Shape::Table(_)
        | Shape::Map(_)
        | Shape::Text { .. }
        | Shape::Choice(_)
        | Shape::Integer { .. }
        | Shape::Number
        | Shape::Boolean
        | Shape::Part(_)
        | Shape::Plugin(_) => None,
    }
}

fn value(node: &Node, shape: Option<&Shape>) -> String {
    match &node.kind {
        Kind::Untyped(text) | Kind::Text(text) => {
            let hidden = matches!(shape, None | Some(Shape::Text { secret: true }));
            string(if hidden { REDACTED } else { text })
        }
        Kind::Integer(number) => number.to_string(),
        Kind::Float(number) => toml::Value::Float(*number).to_string(),
        Kind::Boolean(yes) => yes.to_string(),
        Kind::List(items) => {
            let shape = item_shape(shape);
            let items: Vec<String> = items.iter().map(|item| value(item, shape)).collect();
            format!("[{}]", items.join(", "))
        }
        Kind::Table(entries) => {
            let chosen = node.get("type").and_then(Node::text);
            let entries: Vec<String> = entries
                .iter()
                .map(|(name, node)| {
                    format!("{} = {}", key(name), value(node, key_shape(shape, name, chosen)))
                })
                .collect();
            format!("{{ {} }}", entries.join(", "))
        }
    }
}

/// Writes JSON as TOML in one line; `None` for what TOML lacks.
pub(super) fn inline(json: &serde_json::Value) -> Option<String> {
    toml::Value::try_from(json).ok().map(|value| value.to_string())
}

fn string(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}

/// Quotes a key where TOML needs it.
fn key(name: &str) -> String {
    let bare = !name.is_empty()
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte));
    if bare { name.to_owned() } else { string(name) }
}

#[cfg(test)]
mod tests {
    use lucida_core::memory;

    use crate::config::layer;
    use crate::config::node::Origin;
    use crate::config::root_shape;
    use crate::registry::Registry;

    #[test]
    fn nothing_of_a_type_that_this_build_lacks_is_shown() {
        let registry = Registry::empty().with_storage(memory::storage_factory());
        let text =
            "[storage]\ntype = \"memory\"\n[storage.disk]\nroot = \"hunter2\"\nsizes = [1, [\"hunter2\"]]\n";
        let tree = layer::toml(text, Origin::Default).unwrap();
        let shown = super::show(&tree, &root_shape(&registry));
        assert_eq!(
            shown,
            "[storage]\ntype = \"memory\"  # default.toml:2\n\n\
             [storage.disk]  # not in use\n\
             root = \"[redacted]\"  # default.toml:4\n\
             sizes = [1, [\"[redacted]\"]]  # default.toml:5\n"
        );
    }

    #[test]
    fn keys_and_strings_are_quoted_as_toml_needs_it() {
        assert_eq!(super::key("a-b_1"), "a-b_1");
        assert_eq!(super::key("a b"), "\"a b\"");
        let text = "tab\t\"quote\" back\\slash";
        let read: toml::Table = format!("key = {}", super::string(text)).parse().unwrap();
        assert_eq!(read["key"].as_str(), Some(text));
    }
}
