//! `lucida config reference`: every key with its type, its default and its meaning, as Markdown.

use std::fmt::Write as _;

use super::layer;
use super::node::{Kind, Node, Origin, join};
use super::root_shape;
use super::shape::{Field, Shape, TypeShape, Types};
use super::show::inline;
use crate::registry::Registry;

const INTRODUCTION: &str = "\
# Configuration

This page is generated from the types with `cargo xtask generate`; `lucida config reference` prints it for your
build. [default.toml](default.toml) holds the defaults, with comments, and is compiled in.

## Layers

Later layers win, table by table and key by key; a list is replaced as a whole.

1. `default.toml`.
2. The file given with `--config` (or `$LUCIDA_CONFIG`).
3. Variables: `LUCIDA_` and the key's path in capitals, its steps joined with two underscores. So
   `LUCIDA_STORAGE__DISK__ROOT=/srv/photos` sets `storage.disk.root`. A string stays what it is, even if it is all
   digits; numbers, booleans, lists and tables are written as in a TOML file:
   `LUCIDA_PLUGINS='[{ type = \"exif\" }]'`.
4. Flags: `--set storage.disk.root=/srv/photos`, written like variables, and `--listen`.

`type` picks what a part is, and the table of that name configures it. So several can stay in one file, and one
word swaps them.

`lucida config check` says what is wrong, without opening a socket or loading a model: each wrong key with its full
path, the line or the variable it came from, and the nearest valid name. `lucida config show` prints the result of
all layers with the source of every value. Secrets never print.

Relative paths start at the working directory. The per-user cache with the models that `cargo xtask setup` puts
there is `$LUCIDA_CACHE_DIR`, else `$XDG_CACHE_HOME/lucida`, else `~/.cache/lucida`.
";

/// Prints the reference of everything in a registry.
#[must_use]
pub fn reference(registry: &Registry) -> String {
    let mut out = INTRODUCTION.to_owned();
    // A test reads the defaults; they can't be wrong here.
    let defaults =
        layer::toml(layer::DEFAULT, Origin::Default).unwrap_or_else(|_| Node::table(Origin::Default(1)));
    for section in root_shape(registry).fields() {
        let _ = write!(out, "\n## `{}`\n\n{}\n", section.name, section.doc);
        match &section.shape {
            Shape::Part(types) => part(&mut out, &section.name, types, defaults.get(&section.name)),
            Shape::List(item) => {
                if let Shape::Plugin(types) = &**item {
                    plugins(&mut out, types, defaults.get(&section.name));
                }
            }
            Shape::Table(_)
            | Shape::Map(_)
            | Shape::Text { .. }
            | Shape::Choice(_)
            | Shape::Integer { .. }
            | Shape::Number
            | Shape::Boolean
            | Shape::Plugin(_)
            | Shape::Any => keys(
                &mut out,
                &section.shape,
                &section.name,
                defaults.get(&section.name),
            ),
        }
    }
    out
}

fn part(out: &mut String, name: &str, types: &Types, defaults: Option<&Node>) {
    let default = defaults
        .and_then(|part| part.get("type"))
        .and_then(Node::text)
        .map(|default| format!("; `{default}` by default"))
        .unwrap_or_default();
    let names: Vec<String> = types.names().map(|name| format!("`{name}`")).collect();
    let _ = write!(
        out,
        "\n`{name}.type` is one of {}{default}.\n",
        if names.is_empty() {
            "none in this build".to_owned()
        } else {
            names.join(", ")
        }
    );
    for built in &types.built {
        let path = join(name, built.name);
        let doc = sentence(built);
        let _ = write!(out, "\n### `{name}.type = \"{}\"`\n\n{doc}\n", built.name);
        keys(
            out,
            &built.shape,
            &path,
            defaults.and_then(|part| part.get(built.name)),
        );
    }
}

fn plugins(out: &mut String, types: &Types, defaults: Option<&Node>) {
    let list: Vec<&str> = defaults
        .map(Node::items)
        .unwrap_or_default()
        .iter()
        .filter_map(|plugin| plugin.get("type").and_then(Node::text))
        .collect();
    let _ = write!(
        out,
        "\nEach is a table `[[plugins]]` with its `type` and that type's keys. By default: {}.\n",
        list.join(", ")
    );
    for built in &types.built {
        let doc = sentence(built);
        let _ = write!(out, "\n### `[[plugins]]` `type = \"{}\"`\n\n{doc}\n", built.name);
        keys(out, &built.shape, "", None);
    }
}

/// Returns what is said of a type; of one without keys, that it has none.
fn sentence(built: &TypeShape) -> &str {
    if built.shape.fields().next().is_none() {
        "It has no keys."
    } else if built.doc.is_empty() {
        "Its keys:"
    } else {
        &built.doc
    }
}

fn keys(out: &mut String, shape: &Shape, path: &str, defaults: Option<&Node>) {
    let mut rows = Vec::new();
    for field in shape.fields() {
        row(
            field,
            &join(path, &field.name),
            defaults.and_then(|table| table.get(&field.name)),
            &mut rows,
        );
    }
    if rows.is_empty() {
        return;
    }
    out.push_str("\n| key | type | default | meaning |\n| --- | --- | --- | --- |\n");
    for row in rows {
        let _ = writeln!(out, "{row}");
    }
}

fn row(field: &Field, path: &str, default: Option<&Node>, rows: &mut Vec<String>) {
    if let Shape::Table(fields) = &field.shape {
        for inner in fields {
            let default = default.and_then(|table| table.get(&inner.name));
            row(inner, &join(path, &inner.name), default, rows);
        }
        return;
    }
    let shown = match default {
        Some(node) => match &node.kind {
            Kind::Integer(number) => grouped(*number),
            Kind::Untyped(_)
            | Kind::Text(_)
            | Kind::Float(_)
            | Kind::Boolean(_)
            | Kind::List(_)
            | Kind::Table(_) => inline(&node.to_json()).unwrap_or_default(),
        },
        None => match &field.default {
            Some(default) => default
                .as_i64()
                .map(grouped)
                .or_else(|| inline(default))
                .unwrap_or_default(),
            None => String::new(),
        },
    };
    let shown = match (shown.is_empty(), field.required) {
        (false, _) => format!("`{}`", shown.replace('|', "\\|")),
        (true, true) => "must be set".to_owned(),
        (true, false) => "none".to_owned(),
    };
    let example = field
        .example
        .as_ref()
        .filter(|_| shown == "none" || shown == "must be set")
        .and_then(inline)
        .map(|example| format!(" Example: `{example}`."))
        .unwrap_or_default();
    rows.push(format!(
        "| `{path}` | {} | {shown} | {}{example} |",
        kind(&field.shape),
        field.doc.replace('|', "\\|")
    ));
    if let Shape::List(item) = &field.shape {
        for inner in item.fields() {
            row(inner, &format!("{path}[].{}", inner.name), None, rows);
        }
    }
}

fn kind(shape: &Shape) -> String {
    match shape {
        Shape::Text { secret: true } => "secret string".to_owned(),
        Shape::Text { secret: false } => "string".to_owned(),
        Shape::Choice(choices) => choices
            .iter()
            .map(|choice| format!("`\"{choice}\"`"))
            .collect::<Vec<_>>()
            .join(" or "),
        Shape::Integer { .. } => "integer".to_owned(),
        Shape::Number => "number".to_owned(),
        Shape::Boolean => "boolean".to_owned(),
        Shape::List(item) => format!("list of {}", plural(item)),
        Shape::Map(item) => format!("table of {}", plural(item)),
        Shape::Table(_) | Shape::Part(_) | Shape::Plugin(_) => "table".to_owned(),
        Shape::Any => "any".to_owned(),
    }
}

fn plural(item: &Shape) -> String {
    if let Shape::Choice(_) = item {
        return kind(item);
    }
    format!("{}s", kind(item))
}

/// Writes an integer with its thousands apart, as TOML allows.
fn grouped(number: i64) -> String {
    let digits = number.unsigned_abs().to_string();
    let mut out = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) && digits.len() > 4 {
            out.push('_');
        }
        out.push(digit);
    }
    if number < 0 { format!("-{out}") } else { out }
}

#[cfg(test)]
mod tests {
    use super::grouped;

    #[test]
    fn long_numbers_are_grouped() {
        assert_eq!(grouped(0), "0");
        assert_eq!(grouped(8080), "8080");
        assert_eq!(grouped(33_554_432), "33_554_432");
        assert_eq!(grouped(-100_000), "-100_000");
    }
}
