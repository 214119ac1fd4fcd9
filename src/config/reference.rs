//! `lucida config reference`: every key with its type, its default and its meaning, as Markdown.

use std::fmt::Write as _;

use super::literal::inline;
use super::root;
use crate::registry::Registry;
use crate::schema::{Field, TypeKind, Types, Unit, ValueKind, join};

const INTRODUCTION: &str = "\
# Configuration

This page is generated from the settings types with `cargo xtask generate`; `lucida config reference` prints it for your
build. [default.toml](default.toml) has the same keys as a file to start from; `lucida config defaults` prints it.

## Layers

Later layers win, table by table and key by key; a list is replaced as a whole.

1. The defaults.
2. The file given with `--config` (or `$LUCIDA_CONFIG`).
3. Variables: `LUCIDA_` and the key's path in capitals, joined with two underscores. So
   `LUCIDA_STORAGE__DISK__ROOT=/srv/photos` sets `storage.disk.root`. A string stays a string, even if it is all digits;
   lists and tables are written as TOML or JSON: `LUCIDA_PLUGINS='[{type = \"exif\"}]'`.
4. Flags: `--set storage.disk.root=/srv/photos`, written like variables, and `--listen`.

A custom binary can add layers between the file and the variables: `Registry::with_config_layer` takes any figment provider, as
in [`examples/custom`](../examples/custom/README.md).

## Values

- A size is a number of bytes, or a string with a unit: `33554432`, `\"32MiB\"`, `\"32MB\"`.
- A duration is a number in the unit that the key's name ends with, or a string with its own unit: `timeout_ms = 1500`,
  `\"1500ms\"`, `\"60s\"`, `\"5m\"`, `\"1h 30m\"`, `\"2d\"`.
- A boolean is `true` or `false`; `\"yes\"`, `\"no\"`, `\"on\"` and `\"off\"` are accepted too.

`type` selects what a part is, and the table of that name configures it. So the tables of several types can stay in one file, and
one word swaps them.

`lucida config check` reports every mistake with the key's full path, the line or the variable it came from, and the nearest
valid name. It also opens the folders and files that are named, without loading a model or changing anything; `--offline-only`
leaves them alone, and `--models` opens the folders of the models, too: tensors, tokenizers and graphs are located, and nothing is
loaded. `lucida config show` prints the merged configuration with the source of every value. Secrets are never
printed.

Relative paths start at the working directory. The per-user cache, where `lucida setup` puts models and libraries, is
`$LUCIDA_CACHE_DIR`, else `$XDG_CACHE_HOME/lucida`, else `~/.cache/lucida`.
";

/// Prints the reference of everything in a registry.
#[must_use]
pub fn reference(registry: &Registry) -> String {
    let mut out = INTRODUCTION.to_owned();
    for section in root::schema(registry).fields() {
        let _ = write!(out, "\n## `{}`\n\n{}\n", section.name, section.doc);
        match &section.kind {
            ValueKind::Part(types) => part(&mut out, &section.name, types),
            ValueKind::List(item) => {
                if let ValueKind::Entry(types) = &**item {
                    entries(&mut out, &section.name, types);
                }
            }
            ValueKind::Table(_)
            | ValueKind::Map(_)
            | ValueKind::Text { .. }
            | ValueKind::Choice(_)
            | ValueKind::Integer { .. }
            | ValueKind::Number
            | ValueKind::Boolean
            | ValueKind::Entry(_)
            | ValueKind::Any => keys(&mut out, &section.kind, &section.name),
        }
    }
    out
}

fn part(out: &mut String, name: &str, types: &Types) {
    let names: Vec<String> = types.names().map(|name| format!("`{name}`")).collect();
    let names = if names.is_empty() {
        "none in this build".to_owned()
    } else {
        names.join(", ")
    };
    let default: String = types
        .default
        .iter()
        .map(|default| format!("; the default is `{default}`"))
        .collect();
    let _ = write!(out, "\n`{name}.type` is one of {names}{default}.\n");
    for built in &types.built {
        let path = join(name, built.name);
        let doc = sentence(built);
        let _ = write!(out, "\n### `{name}.type = \"{}\"`\n\n{doc}\n", built.name);
        keys(out, &built.kind, &path);
    }
}

fn entries(out: &mut String, name: &str, types: &Types) {
    let default = if types.default.is_empty() {
        "none".to_owned()
    } else {
        types.default.join(", ")
    };
    let common = if types.common.is_empty() {
        ""
    } else {
        ", these keys"
    };
    let _ = write!(
        out,
        "\nEach is a table `[[{name}]]` with its `type`{common} and the keys of that type. By default: {default}.\n"
    );
    keys(out, &ValueKind::Table(types.common.clone()), "");
    for built in &types.built {
        let doc = sentence(built);
        let _ = write!(out, "\n### `[[{name}]]` `type = \"{}\"`\n\n{doc}\n", built.name);
        let is_own = |field: &&Field| types.common.iter().all(|common| common.name != field.name);
        let own = built.kind.fields().filter(is_own).cloned().collect();
        keys(out, &ValueKind::Table(own), "");
    }
}

/// Returns what is said of a type; of one without keys, that it has none.
fn sentence(built: &TypeKind) -> &str {
    if built.kind.fields().next().is_none() {
        "It has no keys."
    } else if built.doc.is_empty() {
        "Its keys:"
    } else {
        &built.doc
    }
}

fn keys(out: &mut String, kind: &ValueKind, path: &str) {
    let mut rows = Vec::new();
    for field in kind.fields() {
        row(field, &join(path, &field.name), &mut rows);
    }
    if rows.is_empty() {
        return;
    }
    out.push_str("\n| key | type | default | meaning |\n| --- | --- | --- | --- |\n");
    for row in rows {
        let _ = writeln!(out, "{row}");
    }
}

fn row(field: &Field, path: &str, rows: &mut Vec<String>) {
    if let ValueKind::Table(fields) = &field.kind {
        for inner in fields {
            row(inner, &join(path, &inner.name), rows);
        }
        return;
    }
    let shown = match (field.default.as_ref().and_then(inline), field.required) {
        (Some(default), _) => format!("`{}`", default.replace('|', "\\|")),
        (None, true) => "must be set".to_owned(),
        (None, false) => "none".to_owned(),
    };
    let example = field
        .example
        .as_ref()
        .filter(|_| field.default.is_none())
        .and_then(inline)
        .map(|example| format!(" Example: `{example}`."))
        .unwrap_or_default();
    rows.push(format!(
        "| `{path}` | {} | {shown} | {}{example} |",
        kind_of(&field.kind),
        field.doc.replace('|', "\\|")
    ));
    if let ValueKind::List(item) = &field.kind {
        for inner in item.fields() {
            row(inner, &format!("{path}[].{}", inner.name), rows);
        }
    }
}

fn kind_of(kind: &ValueKind) -> String {
    match kind {
        ValueKind::Text { secret: true } => "secret string".to_owned(),
        ValueKind::Text { secret: false } => "string".to_owned(),
        ValueKind::Choice(choices) => choices
            .iter()
            .map(|choice| format!("`\"{choice}\"`"))
            .collect::<Vec<_>>()
            .join(" or "),
        ValueKind::Integer { unit, .. } => match unit {
            None | Some(Unit::Pixels) => "integer".to_owned(),
            Some(Unit::Bytes) => "size".to_owned(),
            Some(Unit::Seconds | Unit::Milliseconds) => "duration".to_owned(),
        },
        ValueKind::Number => "number".to_owned(),
        ValueKind::Boolean => "boolean".to_owned(),
        ValueKind::List(item) => format!("list of {}", plural(item)),
        ValueKind::Map(item) => format!("table of {}", plural(item)),
        ValueKind::Table(_) | ValueKind::Part(_) | ValueKind::Entry(_) => "table".to_owned(),
        ValueKind::Any => "any".to_owned(),
    }
}

fn plural(item: &ValueKind) -> String {
    if let ValueKind::Choice(_) = item {
        return kind_of(item);
    }
    format!("{}s", kind_of(item))
}
