//! What is shown of a configuration, and that no secret is.

use lucida::config::{Config, Sources};

use crate::given::{Given, line_of_default, registry};

/// A configuration with a secret in each place where there can be one, all of which hold the word `hunter2`.
fn with_secrets() -> Given {
    Given {
        file: Some(
            "[storage]\ntype = \"vault\"\n\
             [storage.vault]\nendpoint = \"http://v\"\ntoken = \"hunter2-file\"\n\
             spare_tokens = [\"hunter2-a\", \"hunter2-b\"]\n\
             [storage.vault.named_tokens]\nfirst = \"hunter2-c\"\n\
             [[auth.keys]]\nname = \"laptop\"\nkey = \"hunter2-key\"\nuser = \"alice\"\nscopes = [\"read\"]\n",
        ),
        variables: vec![("LUCIDA_STORAGE__VAULT__TOKEN", "hunter2-variable")],
        flags: Vec::new(),
    }
}

#[test]
fn secrets_are_never_shown() {
    let config = with_secrets().config();
    let shown = config.show();
    for text in [
        shown.as_str(),
        &format!("{config:?}"),
        &format!("{:?}", config.storage),
        &format!("{:?}", config.auth),
        &format!("{:?}", config.auth.load().unwrap()),
    ] {
        assert!(!text.contains("hunter2"), "{text}");
    }
    assert!(
        shown.contains("token = \"[redacted]\"  # LUCIDA_STORAGE__VAULT__TOKEN"),
        "{shown}"
    );
    assert!(shown.contains("first = \"[redacted]\""), "{shown}");
    assert!(
        shown.contains("spare_tokens = [\"[redacted]\", \"[redacted]\"]"),
        "{shown}"
    );
    assert!(shown.contains("key = \"[redacted]\""), "{shown}");
}

#[test]
fn secrets_are_in_no_error() {
    for (text, variables) in [
        // A secret that forgot its quotes.
        (
            "[storage]\ntype = \"vault\"\n[storage.vault]\nendpoint = \"http://v\"\ntoken = 4711471147114711\n",
            vec![],
        ),
        // One behind a wrong name.
        ("[storage.vault]\ntokn = \"4711471147114711\"\n", vec![]),
        // One in something that is not a list, and one in something that is not a table.
        ("", vec![("LUCIDA_AUTH__KEYS", "4711471147114711")]),
        ("", vec![("LUCIDA_AUTH", "{keys = 4711471147114711")]),
        (
            "",
            vec![("LUCIDA_STORAGE__VAULT__SPARE_TOKENS", "[\"4711471147114711\"")],
        ),
        // One that is too short, one with a blank in it.
        (
            "[[auth.keys]]\nname = \"a\"\nkey = \"4711\"\nuser = \"alice\"\nscopes = [\"read\"]\n",
            vec![],
        ),
        (
            "[[auth.keys]]\nname = \"a\"\nkey = \"47114711 4711\"\nuser = \"alice\"\nscopes = [\"read\"]\n",
            vec![],
        ),
    ] {
        let given = Given {
            file: Some(text),
            variables,
            flags: Vec::new(),
        };
        let findings = given.findings();
        assert!(!findings.join("\n").contains("4711"), "{findings:?}");
    }
}

#[test]
fn show_names_the_source_of_every_value_and_reads_back_the_same() {
    let given = Given {
        file: Some("[search]\nmax_limit = 30\n[[plugins]]\ntype = \"frames\"\nsizes_pixels = [9]\n"),
        variables: vec![("LUCIDA_SEARCH__DEFAULT_LIMIT", "7")],
        flags: vec!["log.format=json"],
    };
    let (config, path) = given.load();
    let shown = config.unwrap().show();
    for line in [
        "default_limit = 7  # LUCIDA_SEARCH__DEFAULT_LIMIT".to_owned(),
        format!("max_limit = 30  # {}:2", path.display()),
        "format = \"json\"  # --set log.format".to_owned(),
        format!(
            "listen = \"127.0.0.1:8080\"  # default.toml:{}",
            line_of_default("listen")
        ),
        format!("[[plugins]]  # {}:3", path.display()),
        format!("sizes_pixels = [9]  # {}:5", path.display()),
        "style = \"plain\"  # the type's own default".to_owned(),
    ] {
        assert!(
            shown.lines().any(|shown| shown == line),
            "`{line}` is not in\n{shown}"
        );
    }
    let folder = tempfile::tempdir().unwrap();
    let again = folder.path().join("again.toml");
    std::fs::write(&again, &shown).unwrap();
    let sources = Sources {
        file: Some(again),
        ..Sources::default()
    };
    let again = Config::load(&registry(), &sources).unwrap();
    let values = |text: &str| -> Vec<String> {
        let value = |line: &str| line.split("  # ").next().unwrap_or_default().to_owned();
        text.lines().map(value).collect()
    };
    assert_eq!(values(&again.show()), values(&shown));
}
