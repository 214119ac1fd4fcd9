//! `config/production.toml` is right and complete, and gives no secret away.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use serde_json::Value;

use crate::files::{path, text, toml};
use crate::lucida::{printed_within, run};

/// Where the file's secrets are.
pub(crate) const SECRETS: &str = "/run/secrets/";

/// What stands for a secret, and must be printed nowhere.
const MARKER: &str = "marker-4f1d0c";

/// The parts that are servers.
const PARTS: [&str; 4] = ["storage", "metadata", "index", "queue"];

/// How long unavailable stores may keep a command busy before what it printed is looked at.
const PATIENCE: Duration = Duration::from_secs(20);

/// The name of every secret that the file names.
pub(crate) fn secrets() -> Vec<String> {
    let text = text("config/production.toml");
    let settings = text.lines().filter(|line| !line.starts_with('#'));
    let files = settings.filter_map(|line| line.split_once(SECRETS));
    files
        .map(|(_, name)| name.trim_end_matches('"').to_owned())
        .collect()
}

/// A secret of the form that its reader asks for.
fn secret(name: &str) -> String {
    match name {
        "mongodb_uri" => format!("mongodb://lucida:{MARKER}@127.0.0.1:1/?serverSelectionTimeoutMS=500"),
        "rabbitmq_uri" => format!("amqp://lucida:{MARKER}@127.0.0.1:1/%2f"),
        _ => format!("{MARKER}-{name}"),
    }
}

#[test]
fn production_toml_is_right() {
    let config = path("config/production.toml");
    let output = run(
        &[
            "config",
            "check",
            "--offline-only",
            "--config",
            config.to_str().unwrap(),
        ],
        &BTreeMap::new(),
    );
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

#[test]
fn production_toml_holds_no_secret_and_every_part_is_a_server() {
    let config = toml("config/production.toml");
    for (part, kind) in PARTS.into_iter().zip(["s3", "mongodb", "qdrant", "rabbitmq"]) {
        assert_eq!(config[part]["type"], kind);
    }
    assert_eq!(config["log"]["format"], "json");
    assert_eq!(config["ingest"]["workers"], 0);
    let mut inline = Vec::new();
    secrets_inline("", &config, &mut inline);
    assert_eq!(inline, Vec::<String>::new());
    let secrets = secrets();
    assert_eq!(secrets.len(), 6, "{secrets:?}");
}

/// Finds keys by the names that secrets have in Lucida.
fn secrets_inline(place: &str, value: &Value, found: &mut Vec<String>) {
    const NAMES: [&str; 7] = [
        "key",
        "uri",
        "api_key",
        "secret_access_key",
        "session_token",
        "token",
        "password",
    ];
    for (name, value) in value.as_object().into_iter().flatten() {
        let place = format!("{place}.{name}");
        if NAMES.contains(&&**name) {
            found.push(place);
        } else {
            secrets_inline(&place, value, found);
        }
    }
    for item in value.as_array().into_iter().flatten() {
        secrets_inline(place, item, found);
    }
}

#[test]
fn secrets_that_are_written_into_the_file_are_not_shown() {
    let folder = tempfile::tempdir().unwrap();
    let inlined: String = text("config/production.toml")
        .lines()
        .map(|line| match line.split_once(SECRETS) {
            Some((setting, name)) if !line.starts_with('#') => {
                let key = setting
                    .split('=')
                    .next()
                    .unwrap()
                    .trim()
                    .strip_suffix("_file")
                    .unwrap();
                format!("{key} = \"{}\"\n", secret(name.trim_end_matches('"')))
            }
            Some(_) | None => format!("{line}\n"),
        })
        .collect();
    assert_eq!(inlined.matches(MARKER).count(), secrets().len());
    let file = folder.path().join("inlined.toml");
    std::fs::write(&file, inlined).unwrap();
    for command in [["show"].as_slice(), &["check", "--offline-only"]] {
        let config = ["--config", file.to_str().unwrap()];
        let output = run(
            &[["config"].as_slice(), command, &config].concat(),
            &BTreeMap::new(),
        );
        let printed = [output.stdout, output.stderr].concat();
        let printed = String::from_utf8(printed).unwrap();
        assert!(output.status.success(), "{printed}");
        assert!(!printed.contains(MARKER), "{printed}");
        if command == ["show"] {
            assert_eq!(
                printed.matches("[redacted]").count(),
                secrets().len(),
                "{printed}"
            );
        }
    }
}

/// Puts the file into a folder, with its secrets beside it, its stores at addresses where nobody listens, and the model
/// that needs no download.
fn with_stores_away(folder: &Path) -> String {
    for name in secrets() {
        std::fs::write(folder.join(&name), secret(&name)).unwrap();
    }
    let text = text("config/production.toml")
        .replace(SECRETS, &format!("{}/", folder.display()))
        .replace("https://s3.example.com", "http://127.0.0.1:1")
        .replace("https://qdrant.example.com:6334", "http://127.0.0.1:1")
        .replace(
            "/var/lib/lucida/spool",
            &folder.join("spool").display().to_string(),
        )
        .replace("0.0.0.0:", "127.0.0.1:")
        .replace("\"/models/clip-ViT-B-32\"", "\"starter\"")
        .replace("text_model =", "#text_model =")
        .replace("\"int8\"", "\"fp32\"");
    let file = folder.join("away.toml");
    std::fs::write(&file, text).unwrap();
    file.to_str().unwrap().to_owned()
}

#[test]
fn a_store_that_is_away_is_named_without_its_secret() {
    let folder = tempfile::tempdir().unwrap();
    let config = with_stores_away(folder.path());
    for away in PARTS {
        let mut arguments = vec!["check", "--config", &config, "--set", "log.filter=debug"];
        let others: Vec<_> = PARTS
            .iter()
            .filter(|part| **part != away)
            .map(|part| format!("{part}.type=memory"))
            .collect();
        for other in &others {
            arguments.extend(["--set", other]);
        }
        let printed = printed_within(folder.path(), &arguments, PATIENCE);
        assert!(
            printed.contains(away) && !printed.contains(&config),
            "{away}: {printed}"
        );
        assert!(!printed.contains(MARKER), "{away}: {printed}");
    }
}

#[test]
fn a_server_whose_stores_are_away_logs_no_secret() {
    let folder = tempfile::tempdir().unwrap();
    let config = with_stores_away(folder.path());
    let arguments = [
        "serve",
        "--listen",
        "127.0.0.1:0",
        "--config",
        &config,
        "--set",
        "log.filter=debug",
    ];
    let printed = printed_within(folder.path(), &arguments, PATIENCE);
    assert!(!printed.is_empty() && !printed.contains(&config), "{printed}");
    assert!(!printed.contains(MARKER), "{printed}");
}
