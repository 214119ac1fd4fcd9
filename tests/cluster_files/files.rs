//! The files under test, found and parsed.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::Value;

/// Where the cluster's files are.
pub(crate) const CLUSTER: &str = "examples/cluster";

/// The path of a file of the repository.
pub(crate) fn path(relative: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(relative)
}

/// The text of a file of the repository.
pub(crate) fn text(relative: &str) -> String {
    std::fs::read_to_string(path(relative)).unwrap_or_else(|error| panic!("{relative}: {error}"))
}

/// The documents of a YAML file of the cluster, with anchors and merged keys resolved.
pub(crate) fn documents(name: &str) -> Vec<Value> {
    let text = text(&format!("{CLUSTER}/{name}"));
    serde_saphyr::from_multiple(&text).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// The one document of a YAML file of the cluster.
pub(crate) fn yaml(name: &str) -> Value {
    let mut documents = documents(name);
    assert_eq!(documents.len(), 1, "{name} is one document");
    documents.remove(0)
}

/// A TOML file of the repository.
pub(crate) fn toml(relative: &str) -> Value {
    let table: toml::Table = text(relative).parse().unwrap();
    serde_json::to_value(table).unwrap()
}

/// Every file below a folder of the cluster whose name ends so, by its path in the cluster.
pub(crate) fn ending(suffix: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut folders = vec![path(CLUSTER)];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            // These are made by whoever runs it, and not in the repository.
            let made = path.ends_with("cluster/secrets") || path.ends_with("cluster/models");
            if path.is_dir() && !made {
                folders.push(path);
            } else if path.to_string_lossy().ends_with(suffix) {
                let path = path.strip_prefix(self::path(CLUSTER)).unwrap();
                found.push(path.to_str().unwrap().to_owned());
            }
        }
    }
    found.sort();
    found
}

/// The texts of a list.
pub(crate) fn strings(list: &Value) -> Vec<String> {
    let items = list.as_array().into_iter().flatten();
    items.map(|item| item.as_str().unwrap().to_owned()).collect()
}

/// The entries of a table whose values are strings.
pub(crate) fn table(table: &Value) -> BTreeMap<String, String> {
    let entries = table.as_object().into_iter().flatten();
    entries
        .map(|(key, value)| (key.clone(), value.as_str().unwrap().to_owned()))
        .collect()
}

/// What follows `before` in a text, up to the end of the word.
pub(crate) fn word_after<'a>(text: &'a str, before: &str) -> Vec<&'a str> {
    let end = |c: char| c.is_whitespace() || ['"', '\'', ',', '\\'].contains(&c);
    text.match_indices(before)
        .map(|(at, _)| text[at + before.len()..].split(end).next().unwrap())
        .collect()
}

#[test]
fn every_yaml_file_can_be_parsed_and_is_no_empty_one() {
    let names = [ending(".yaml"), ending(".yml")].concat();
    assert!(names.len() > 10, "{names:?}");
    for name in names {
        let documents = documents(&name);
        assert!(documents.iter().all(Value::is_object), "{name}");
        assert!(!documents.is_empty(), "{name}");
    }
}
