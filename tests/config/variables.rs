//! Values as people write them, in environment variables above all.

use crate::given::{Given, variable};

#[test]
fn a_secret_of_digits_from_a_variable_stays_a_string() {
    let given = Given {
        file: Some("[storage]\ntype = \"vault\"\n[storage.vault]\nendpoint = \"http://v\"\n"),
        variables: vec![("LUCIDA_STORAGE__VAULT__TOKEN", "0012345678901234567890")],
        flags: vec!["storage.vault.spare_tokens=[\"007\"]"],
    };
    let config = given.config();
    assert_eq!(
        config.storage.settings()["token"].as_str(),
        Some("0012345678901234567890")
    );
    assert_eq!(config.storage.settings()["spare_tokens"][0].as_str(), Some("007"));
}

#[test]
fn numbers_booleans_lists_and_tables_in_variables_are_toml() {
    let given = Given {
        variables: vec![
            ("LUCIDA_SERVER__MAX_UPLOAD_BYTES", "1_000"),
            ("LUCIDA_INGEST__ACCEPT_TRUNCATED", "true"),
            (
                "LUCIDA_PLUGINS",
                "[{type = \"frames\", sizes_pixels = [1, 2]}, {type = \"exif\"}]",
            ),
            (
                "LUCIDA_RESILIENCE__QUEUE",
                "{tries = 7, timeout_ms = 5, backoff_min_ms = 1}",
            ),
        ],
        ..Given::default()
    };
    let config = given.config();
    assert_eq!(config.server.max_upload_bytes, 1000);
    assert!(config.ingest.accept_truncated);
    assert_eq!(
        config.plugins[0].settings(),
        &serde_json::json!({"sizes_pixels": [1, 2]})
    );
    // A table from a variable is merged like one from a file.
    assert_eq!(config.resilience.queue.tries, 7);
    assert_eq!(config.resilience.queue.backoff_max_ms, 1000);
}

#[test]
fn something_else_than_a_list_or_boolean_in_a_variable_says_how_to_write_it() {
    assert_eq!(
        variable("LUCIDA_PLUGINS", "exif").findings(),
        ["LUCIDA_PLUGINS: plugins: must be a list, written as TOML or JSON, such as [{type = \"exif\"}]"]
    );
    assert_eq!(
        variable("LUCIDA_INGEST__ACCEPT_TRUNCATED", "maybe").findings(),
        ["LUCIDA_INGEST__ACCEPT_TRUNCATED: ingest.accept_truncated: must be true or false, not `maybe`"]
    );
}

#[test]
fn a_variable_with_a_typo_names_the_nearest_key() {
    assert_eq!(
        variable("LUCIDA_STORAGE__DISK__ROTO", "x").findings(),
        ["LUCIDA_STORAGE__DISK__ROTO: storage.disk.roto: unknown key; did you mean `storage.disk.root`?"]
    );
}

#[test]
fn a_variable_joined_with_one_underscore_is_answered_with_the_right_name() {
    assert_eq!(
        variable("LUCIDA_STORAGE_DISK_ROOT", "x").findings(),
        [
            "LUCIDA_STORAGE_DISK_ROOT: storage.disk.root: this variable has no effect; \
             did you mean `LUCIDA_STORAGE__DISK__ROOT`?"
        ]
    );
}

#[test]
fn variables_of_others_are_left_alone() {
    let given = Given {
        variables: vec![
            ("LUCIDA_CACHE_DIR", "/x"),
            // What Kubernetes sets where a service is called `lucida`.
            ("LUCIDA_PORT", "tcp://10.0.0.1:80"),
            ("LUCIDA_SERVICE_HOST", "10.0.0.1"),
            ("LUCIDA_SERVER_PORT", "tcp://10.0.0.1:80"),
            ("PATH", "/bin"),
        ],
        ..Given::default()
    };
    given.config();
}

#[test]
fn lists_and_tables_in_variables_may_be_json_and_say_how_to_be_written() {
    let given = variable(
        "LUCIDA_AUTH__KEYS",
        "[{\"name\": \"a\", \"key\": \"00123456789\", \"key_file\": null, \"user\": \"alice\", \"scopes\": [\"read\"]}]",
    );
    let config = given.config();
    assert_eq!(config.auth.keys[0].key.as_ref().unwrap().expose(), "00123456789");
    assert_eq!(
        variable("LUCIDA_AUTH__KEYS", "alice").findings(),
        [
            "LUCIDA_AUTH__KEYS: auth.keys: must be a list, written as TOML or JSON, such as \
             [{name = \"laptop\", user = \"alice\", scopes = [\"embed\", \"read\", \"write\"]}]"
        ]
    );
    assert_eq!(
        variable("LUCIDA_RESILIENCE__QUEUE", "slow").findings(),
        [
            "LUCIDA_RESILIENCE__QUEUE: resilience.queue: must be a table, written as TOML or JSON, such as \
             {timeout_ms = 10_000}"
        ]
    );
}

#[test]
fn a_table_in_one_variable_and_a_key_of_it_in_another_are_merged() {
    let given = Given {
        variables: vec![
            ("LUCIDA_RESILIENCE__QUEUE__TRIES", "9"),
            ("LUCIDA_RESILIENCE__QUEUE", "{tries = 7, timeout_ms = 5}"),
        ],
        ..Given::default()
    };
    let queue = given.config().resilience.queue;
    assert_eq!((queue.tries, queue.timeout_ms), (9, 5));
}

#[test]
fn sizes_durations_and_booleans_are_taken_as_people_write_them() {
    let given = Given {
        file: Some(
            "[server]\nmax_upload_bytes = \"64MiB\"\nrequest_timeout_secs = \"5m\"\n\
             [ingest]\nmax_pixels = \"250MP\"\naccept_truncated = \"yes\"\nretry_min_ms = \"2s\"\n\
             [[plugins]]\ntype = \"frames\"\nsizes_pixels = [\"320px\", 1280]\n",
        ),
        variables: vec![
            ("LUCIDA_SERVER__WAIT_TIMEOUT_SECS", "60s"),
            ("LUCIDA_STORAGE__S3__PART_SIZE_BYTES", "16MB"),
            ("LUCIDA_STORAGE__S3__CHECKSUM", "off"),
        ],
        flags: vec!["ingest.orphan_grace_secs=2h", "embedder.onnx.preload=on"],
    };
    let config = given.config();
    assert_eq!(config.server.max_upload_bytes, 67_108_864);
    assert_eq!(config.server.request_timeout_secs, 300);
    assert_eq!(config.server.wait_timeout_secs, 60);
    assert_eq!(config.ingest.max_pixels, 250_000_000);
    assert!(config.ingest.accept_truncated);
    assert_eq!(config.ingest.retry_min_ms, 2000);
    assert_eq!(config.ingest.orphan_grace_secs, 7200);
    assert_eq!(
        config.plugins[0].settings()["sizes_pixels"],
        serde_json::json!([320, 1280])
    );
    assert_eq!(config.embedder.settings()["preload"], true);
    let shown = config.show();
    for line in [
        "part_size_bytes = 16000000  # LUCIDA_STORAGE__S3__PART_SIZE_BYTES",
        "checksum = false  # LUCIDA_STORAGE__S3__CHECKSUM",
    ] {
        assert!(shown.lines().any(|shown| shown == line), "{shown}");
    }
}

#[test]
fn a_duration_that_the_unit_can_not_hold_says_how_to_write_it() {
    assert_eq!(
        variable("LUCIDA_SERVER__REQUEST_TIMEOUT_SECS", "1500ms").findings(),
        [
            "LUCIDA_SERVER__REQUEST_TIMEOUT_SECS: server.request_timeout_secs: must be a number of seconds, \
             such as 90 or \"90s\" or \"5m\", not `1500ms`"
        ]
    );
}
