//! Values that can not be, and all that is wrong at once.

use lucida::config::{Config, Sources};

use crate::given::{Given, file, registry, variable};

#[test]
fn a_wrong_type_says_what_it_must_be() {
    assert_eq!(
        file("[server]\nmax_upload_bytes = \"much\"\nmax_embed_items = \"64\"\n\n[ingest]\naccept_truncated = 1\n")
            .findings(),
        [
            "lucida.toml:2: server.max_upload_bytes: must be a number of bytes, such as 33554432 or \"32MiB\", not a string",
            "lucida.toml:3: server.max_embed_items: must be an integer, not a string",
            "lucida.toml:6: ingest.accept_truncated: must be true or false, not an integer",
        ]
    );
}

#[test]
fn a_bad_value_is_named_with_its_bound() {
    assert_eq!(
        file("[search]\ndefault_limit = 500\n").findings(),
        ["lucida.toml:2: search.max_limit: must be at least default_limit, which is 500"]
    );
    assert_eq!(
        file("[ingest]\nworkers = -1\n").findings(),
        ["lucida.toml:2: ingest.workers: must be at least 0, not -1"]
    );
}

#[test]
fn a_bad_choice_names_the_choices_and_the_nearest() {
    assert_eq!(
        variable("LUCIDA_LOG__FORMAT", "jsn").findings(),
        ["LUCIDA_LOG__FORMAT: log.format: `jsn` is not one of pretty, json; did you mean `json`?"]
    );
}

#[test]
fn a_bad_item_of_a_plugins_list_is_named_by_its_index_and_line() {
    assert_eq!(
        file("[[plugins]]\ntype = \"exif\"\n[[plugins]]\ntype = \"frames\"\nsizes_pixels = [\n  0,\n  320,\n]\n").findings(),
        ["lucida.toml:6: plugins[1].sizes_pixels[0]: must be at least 1"]
    );
    assert_eq!(
        file("[[plugins]]\ntype = \"frames\"\nsizes_pixels = [1, \"2\"]\nstyle = \"goldn\"\n").findings(),
        [
            "lucida.toml:3: plugins[0].sizes_pixels[1]: must be a number of pixels, such as 100000000 or \"100MP\", not a string",
            "lucida.toml:4: plugins[0].style: `goldn` is not one of plain, golden; did you mean `golden`?",
        ]
    );
}

#[test]
fn what_a_chosen_type_needs_must_be_set() {
    assert_eq!(
        file("[storage]\ntype = \"vault\"\n").findings(),
        [
            "lucida.toml:2: storage.vault.endpoint: must be set, such as \"http://127.0.0.1:9000\"",
            "lucida.toml:2: storage.vault.token: must be set",
        ]
    );
    assert_eq!(
        file("[[auth.keys]]\nname = \"a\"\nkey = \"opensesame\"\nuser = \"alice\"\n").findings(),
        ["lucida.toml:1: auth.keys[0].scopes: must be set, such as [\"embed\", \"read\", \"write\"]"]
    );
}

#[test]
fn all_errors_of_all_layers_are_reported_at_once() {
    let given = Given {
        file: Some("[server]\nlisen = 1\nmax_upload_bytes = 0\n[queue]\ntype = \"kafka\"\n"),
        variables: vec![("LUCIDA_INGEST__WORKERS", "many")],
        flags: vec!["search.max_limits=5"],
    };
    assert_eq!(
        given.findings(),
        [
            "lucida.toml:2: server.lisen: unknown key; did you mean `server.listen`?",
            "LUCIDA_INGEST__WORKERS: ingest.workers: must be an integer, not `many`",
            "--set search.max_limits: search.max_limits: unknown key; did you mean `search.max_limit`?",
            "lucida.toml:3: server.max_upload_bytes: must be at least 1",
            "lucida.toml:5: queue.type: queue type `kafka` is unknown; this build has: memory, rabbitmq, sqlite",
        ]
    );
}

#[test]
fn a_file_that_is_not_toml_names_the_line_without_showing_it() {
    let findings = file("[storage.vault]\nendpoint = \"http://v\"\ntoken = \"hunter2hunter2\n").findings();
    assert_eq!(findings.len(), 1);
    assert!(
        findings[0].starts_with("lucida.toml:3: this is not TOML: "),
        "{findings:?}"
    );
    assert!(!findings[0].contains("hunter2"), "{findings:?}");
}

#[test]
fn a_missing_file_is_an_error() {
    let sources = Sources {
        file: Some("/no/such/lucida.toml".into()),
        ..Sources::default()
    };
    let findings = Config::load(&registry(), &sources).unwrap_err().to_string();
    assert!(
        findings.starts_with("--config /no/such/lucida.toml: the file can't be read"),
        "{findings}"
    );
}

#[test]
fn a_default_that_another_key_contradicts_is_reported_at_that_key() {
    let given = Given {
        file: Some("[metadata]\ntype = \"mongodb\"\n"),
        variables: vec![("LUCIDA_SERVER__REQUEST_TIMEOUT_SECS", "10")],
        ..Given::default()
    };
    assert_eq!(
        given.findings(),
        [
            "LUCIDA_SERVER__REQUEST_TIMEOUT_SECS: server.wait_timeout_secs: must be below request_timeout_secs, which is 10",
            "lucida.toml:2: metadata.mongodb.uri: metadata.mongodb needs exactly one of `uri` and `uri_file`",
        ]
    );
}

#[test]
fn a_log_level_that_does_not_exist_is_refused_with_the_nearest() {
    assert_eq!(
        file("[log]\nfilter = \"verbos\"\n").findings(),
        [
            "lucida.toml:2: log.filter: `verbos` is not a level; expected one of off, error, warn, info, debug, trace, \
             or a target with its level, such as `lucida=debug`; did you mean `debug`?"
        ]
    );
}
