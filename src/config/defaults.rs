//! `lucida config defaults`: every key with its default and its meaning, as TOML. The first layer is read from it, so the
//! settings types are the only place where a default is written.

use super::literal::inline;
use super::root;
use crate::registry::Registry;
use crate::schema::{Field, Types, ValueKind, join};

/// What `config show` calls the text.
pub(super) const NAME: &str = "default.toml";

/// How wide a comment is.
const COLUMNS: usize = 118;

const INTRODUCTION: &str = "\
Lucida's defaults: every key, with its meaning. Generated from the settings types; `lucida config defaults` prints it.
Put what should differ into a file (`lucida serve --config FILE`), into variables (`LUCIDA_STORAGE__DISK__ROOT=/srv/photos`)
or into flags (`--set storage.disk.root=/srv/photos`); later ones win. A key behind `#` has no default and shows an example.
Relative paths start at the working directory. `lucida config show` prints the result, `lucida config check` checks it.";

/// Prints the defaults of everything in a registry.
#[must_use]
pub fn defaults(registry: &Registry) -> String {
    toml(&root::schema(registry))
}

/// Prints the defaults of a schema.
pub(super) fn toml(schema: &ValueKind) -> String {
    let mut writer = Writer {
        out: String::new(),
        documented: Vec::new(),
    };
    for line in INTRODUCTION.lines() {
        writer.line(&format!("# {line}"));
    }
    for section in schema.fields() {
        match &section.kind {
            ValueKind::Part(types) => writer.part(section, types),
            ValueKind::List(item) => {
                if let ValueKind::Entry(types) = &**item {
                    writer.entries(section, types);
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
            | ValueKind::Any => writer.table(&section.name, &section.doc, &section.kind),
        }
    }
    writer.out
}

struct Writer {
    out: String,
    /// The tables whose keys were explained, so that the same keys aren't explained once more.
    documented: Vec<(String, Vec<(String, String)>)>,
}

impl Writer {
    fn line(&mut self, line: &str) {
        self.out.push_str(line.trim_end());
        self.out.push('\n');
    }

    fn comment(&mut self, text: &str) {
        let mut line = String::from("#");
        for word in text.split_whitespace() {
            if line.len() + 1 + word.len() > COLUMNS {
                let full = std::mem::replace(&mut line, String::from("#"));
                self.line(&full);
            }
            line.push(' ');
            line.push_str(word);
        }
        if line.len() > 1 {
            self.line(&line);
        }
    }

    fn part(&mut self, section: &Field, types: &Types) {
        self.line("");
        self.comment(&section.doc);
        self.line(&format!("[{}]", section.name));
        self.comment(&format!("One of {}.", types.listed()));
        for default in types.default {
            self.line(&format!("type = \"{default}\""));
        }
        for built in &types.built {
            if built.kind.fields().next().is_some() {
                self.table(&join(&section.name, built.name), &built.doc, &built.kind);
            }
        }
    }

    /// Writes the default entries. Their keys are no layer's: a list replaces another as a whole, and an entry's keys have
    /// the defaults of its type wherever it is written.
    fn entries(&mut self, section: &Field, types: &Types) {
        self.line("");
        self.comment(&section.doc);
        if types.default.is_empty() {
            self.example(section, types);
        }
        for built in types.default.iter().filter_map(|name| types.get(name)) {
            self.line("");
            self.comment(&built.doc);
            self.line(&format!("[[{}]]", section.name));
            self.line(&format!("type = \"{}\"", built.name));
            for field in built.kind.fields() {
                self.comment(&field.doc);
                self.commented_out(field);
            }
        }
    }

    /// Shows an entry of a list that is empty by default, with the keys that all types have.
    fn example(&mut self, section: &Field, types: &Types) {
        self.line("");
        self.line(&format!("#[[{}]]", section.name));
        self.comment(&format!(
            "One of {}; the keys of the type follow, without a table of their own.",
            types.listed()
        ));
        let last = types.names().last().unwrap_or("…");
        self.line(&format!("#type = \"{last}\""));
        for field in &types.common {
            self.comment(&field.doc);
            self.commented_out(field);
        }
    }

    fn table(&mut self, path: &str, doc: &str, kind: &ValueKind) {
        let keys: Vec<(String, String)> = kind
            .fields()
            .map(|field| (field.name.clone(), field.doc.clone()))
            .collect();
        let same = self.documented.iter().find(|(_, known)| *known == keys);
        let same = same.map(|(path, _)| path.clone()).filter(|_| !keys.is_empty());
        self.line("");
        self.comment(doc);
        if let Some(same) = &same {
            self.comment(&format!("Its keys are explained at [{same}]."));
        }
        self.line(&format!("[{path}]"));
        for field in kind.fields().filter(|field| !is_table(&field.kind)) {
            if same.is_none() {
                self.comment(&field.doc);
            }
            match field.default.as_ref().and_then(inline) {
                Some(default) => self.line(&format!("{} = {default}", field.name)),
                None => self.commented_out(field),
            }
            self.list_of_tables(&join(path, &field.name), &field.kind);
        }
        if same.is_none() {
            self.documented.push((path.to_owned(), keys));
        }
        for field in kind.fields().filter(|field| is_table(&field.kind)) {
            self.table(&join(path, &field.name), &field.doc, &field.kind);
        }
    }

    fn commented_out(&mut self, field: &Field) {
        let shown = field.default.as_ref().or(field.example.as_ref()).and_then(inline);
        let shown = shown.unwrap_or_else(|| "\"…\"".to_owned());
        self.line(&format!("#{} = {shown}", field.name));
    }

    /// Shows what one table of a list can hold.
    fn list_of_tables(&mut self, path: &str, kind: &ValueKind) {
        let ValueKind::List(item) = kind else {
            return;
        };
        if item.fields().next().is_none() {
            return;
        }
        self.line("#");
        self.line(&format!("#     [[{path}]]"));
        for field in item.fields() {
            let shown = field
                .example
                .as_ref()
                .and_then(inline)
                .unwrap_or_else(|| "\"…\"".to_owned());
            self.line(&format!("#     {} = {shown}", field.name));
        }
    }
}

fn is_table(kind: &ValueKind) -> bool {
    matches!(kind, ValueKind::Table(_))
}
