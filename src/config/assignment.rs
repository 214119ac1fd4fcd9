//! The providers of variables and flags: one key each, whose value stays a text until the type of its key is known.
//!
//! figment's own `Env` gives every text a type before anything knows what its key wants, and so turns a secret of digits
//! into a number.

use std::collections::BTreeSet;

use figment::value::{Dict, Map, Value};
use figment::{Metadata, Profile, Provider};

use super::finding::Finding;
use crate::names::did_you_mean;
use crate::schema::ValueKind;

/// The prefix of the variables that configure the server.
const PREFIX: &str = "LUCIDA_";

/// A variable or a flag that sets one key.
///
/// Each is a provider of its own, so that a table in one and a key of that table in another are merged.
#[derive(Clone)]
pub(super) struct Assignment {
    layer: &'static str,
    /// The variable's name, or the flag.
    place: String,
    keys: Vec<String>,
    text: String,
}

impl Provider for Assignment {
    fn metadata(&self) -> Metadata {
        let place = self.place.clone();
        Metadata::named(self.layer).interpolater(move |_, _| place.clone())
    }

    fn data(&self) -> Result<Map<Profile, Dict>, figment::Error> {
        let leaf = Value::from(self.text.as_str());
        let value = self
            .keys
            .iter()
            .rev()
            .fold(leaf, |value, key| Value::from(Dict::from([(key.clone(), value)])));
        Ok(Map::from([(
            Profile::Default,
            value.into_dict().unwrap_or_default(),
        )]))
    }
}

/// Reads the variables; names that can't be meant for the configuration are left alone.
pub(super) fn variables(
    variables: &[(String, String)],
    schema: &ValueKind,
) -> (Vec<Assignment>, Vec<Finding>) {
    let paths = schema.paths();
    let mut assignments = Vec::new();
    let mut findings = Vec::new();
    for (name, value) in variables {
        let Some(rest) = name.strip_prefix(PREFIX) else {
            continue;
        };
        let lower = rest.to_lowercase();
        let keys: Vec<String> = lower.split("__").map(str::to_owned).collect();
        if keys.len() > 1 || schema.field(&lower).is_some() {
            if keys.iter().any(String::is_empty) {
                let message = "a key of this variable is empty: join keys with two underscores, as in \
                               LUCIDA_STORAGE__DISK__ROOT";
                findings.push(Finding::new("", Some(name.clone()), message));
                continue;
            }
            assignments.push(Assignment {
                layer: "environment",
                place: name.clone(),
                keys,
                text: value.clone(),
            });
        } else if let Some(meant) = meant_path(&lower, &paths) {
            let variable = format!("{PREFIX}{}", meant.replace('.', "__").to_uppercase());
            let message = format!("this variable has no effect{}", did_you_mean(Some(&variable)));
            findings.push(Finding::new(meant, Some(name.clone()), message));
        }
    }
    // A table before its keys, whatever order the system lists them in.
    assignments.sort_by(|left, right| {
        let depth = left.keys.len().cmp(&right.keys.len());
        depth.then_with(|| left.place.cmp(&right.place))
    });
    (assignments, findings)
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
pub struct Flag(Assignment);

impl Flag {
    /// Makes the setting that a flag such as `--listen` stands for.
    #[must_use]
    pub fn new(path: &str, value: impl Into<String>, spelled: impl Into<String>) -> Self {
        Self(Assignment {
            layer: "command line",
            place: spelled.into(),
            keys: path.split('.').map(str::to_owned).collect(),
            text: value.into(),
        })
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

    pub(super) fn assignment(&self) -> &Assignment {
        &self.0
    }
}
