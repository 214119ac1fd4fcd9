//! What a configuration may hold, which mistakes are found in one, and what is reported about it.

#![cfg(all(
    feature = "storage-disk",
    feature = "storage-s3",
    feature = "metadata-sqlite",
    feature = "index-embedded",
    feature = "queue-sqlite",
    feature = "queue-rabbitmq",
    feature = "embedder-onnx",
    feature = "plugin-api-immich",
    feature = "plugin-api-ollama",
    feature = "plugin-api-openai",
    feature = "plugin-api-tei",
    feature = "plugin-api-weaviate",
    feature = "plugin-exif",
    feature = "plugin-thumbnail"
))]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::path::PathBuf;

use async_trait::async_trait;
use lucida::Registry;
use lucida::config::{Config, Findings, Flag, Sources};
use lucida_core::{
    Error, Hook, Plugin, Result, Secret, Settings,
    config::{NoSettings, factory_fn},
};
use lucida_memory::{MemoryIndex, MemoryStorage};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A store that needs secrets.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "only read from the configuration")]
struct VaultConfig {
    /// Where it is.
    #[schemars(example = &"http://127.0.0.1:9000")]
    endpoint: String,
    /// What opens it.
    token: Secret,
    /// More of them.
    #[serde(default)]
    spare_tokens: Vec<Secret>,
    /// By name.
    #[serde(default)]
    named_tokens: BTreeMap<String, Secret>,
}

impl Settings for VaultConfig {
    fn validate(&self) -> Result<()> {
        if self.endpoint.starts_with("http") {
            return Ok(());
        }
        Err(Error::config(
            "endpoint",
            format!("`{}` is not a URL", self.endpoint),
        ))
    }
}

/// A plugin with a list.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct FramesConfig {
    /// How large.
    sizes_pixels: Vec<u32>,
    /// How it looks.
    style: Style,
}

#[derive(Debug, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Style {
    Plain,
    Golden,
}

impl Default for FramesConfig {
    fn default() -> Self {
        Self {
            sizes_pixels: vec![320],
            style: Style::Plain,
        }
    }
}

impl Settings for FramesConfig {
    fn validate(&self) -> Result<()> {
        match self.sizes_pixels.iter().position(|size| *size == 0) {
            Some(index) => Err(Error::config(
                format!("sizes_pixels[{index}]"),
                "must be at least 1",
            )),
            None => Ok(()),
        }
    }
}

struct Frames;

#[async_trait]
impl Plugin for Frames {
    fn name(&self) -> &'static str {
        "frames"
    }

    fn hooks(&self) -> &[Hook] {
        &[]
    }
}

fn registry() -> Registry {
    Registry::default()
        .with_storage(factory_fn("vault", |_: VaultConfig, _| async {
            Ok(MemoryStorage::new())
        }))
        .with_plugin(factory_fn("frames", |_: FramesConfig, _| async { Ok(Frames) }))
}

/// A configuration that is made of a file, variables and flags.
#[derive(Default)]
struct Given {
    file: Option<&'static str>,
    variables: Vec<(&'static str, &'static str)>,
    flags: Vec<&'static str>,
}

impl Given {
    fn load(&self) -> (std::result::Result<Config, Findings>, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lucida.toml");
        if let Some(text) = self.file {
            std::fs::write(&path, text).unwrap();
        }
        let sources = Sources {
            file: self.file.map(|_| path.clone()),
            variables: self
                .variables
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect(),
            flags: self.flags.iter().map(|flag| Flag::parse(flag).unwrap()).collect(),
        };
        (Config::load(&registry(), &sources), path)
    }

    fn config(&self) -> Config {
        self.load().0.unwrap()
    }

    /// Returns the findings, with the file's folder left out.
    fn findings(&self) -> Vec<String> {
        let (loaded, path) = self.load();
        let folder = format!("{}/", path.parent().unwrap().display());
        let findings = loaded.unwrap_err();
        assert_eq!(findings.all().len(), findings.to_string().lines().count());
        findings
            .to_string()
            .lines()
            .map(|line| line.replace(&folder, ""))
            .collect()
    }
}

fn file(text: &'static str) -> Given {
    Given {
        file: Some(text),
        ..Given::default()
    }
}

fn variable(name: &'static str, value: &'static str) -> Given {
    Given {
        variables: vec![(name, value)],
        ..Given::default()
    }
}

#[test]
fn the_defaults_alone_are_a_whole_configuration() {
    let config = Given::default().config();
    assert_eq!(config.server.listen.to_string(), "127.0.0.1:8080");
    assert_eq!(config.server.max_upload_bytes, 134_217_728);
    assert_eq!(config.ingest.max_pixels, 250_000_000);
    assert_eq!(
        (config.storage.type_name(), config.storage.path()),
        ("disk", "storage.disk")
    );
    let plugins: Vec<_> = config.plugins.iter().map(lucida::Selection::type_name).collect();
    assert_eq!(plugins, ["exif", "thumbnail", "api-openai"]);
}

#[test]
fn stores_of_ones_own_are_shared_unless_they_say_otherwise() {
    let shared = || factory_fn("shared", |_: NoSettings, _| async { Ok(MemoryIndex::new()) });
    let text = "[index]\ntype = \"shared\"\n[ingest]\nworkers = 0\n";
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("lucida.toml");
    std::fs::write(&path, text).unwrap();
    let load = |registry: &Registry, workers| {
        let sources = Sources {
            file: Some(path.clone()),
            flags: vec![Flag::parse(&format!("ingest.workers={workers}")).unwrap()],
            ..Sources::default()
        };
        Config::load(registry, &sources).unwrap()
    };
    let registry = Registry::default().with_index(shared());
    load(&registry, 0).check_server(&registry).unwrap();
    load(&registry, 1).check_worker(&registry).unwrap();
    let registry = Registry::default().with_index(shared().in_one_process());
    load(&registry, 1).check_server(&registry).unwrap();
    for refused in [
        load(&registry, 0).check_server(&registry),
        load(&registry, 1).check_worker(&registry),
    ] {
        let findings = refused.unwrap_err();
        assert_eq!(findings.all().len(), 1, "{findings}");
        assert!(findings.to_string().contains("`shared`"), "{findings}");
    }
}

#[test]
fn later_layers_win_key_by_key() {
    let given = Given {
        file: Some("[server]\nlisten = \"127.0.0.1:1\"\nmax_embed_items = 2\nrequest_timeout_secs = 99\n"),
        variables: vec![
            ("LUCIDA_SERVER__LISTEN", "127.0.0.1:3"),
            ("LUCIDA_SERVER__MAX_EMBED_ITEMS", "4"),
        ],
        flags: vec!["server.listen=127.0.0.1:5"],
    };
    let server = given.config().server;
    assert_eq!(server.listen.to_string(), "127.0.0.1:5");
    assert_eq!(server.max_embed_items, 4);
    assert_eq!(server.request_timeout_secs, 99);
    assert_eq!(server.max_concurrent_requests, 256);
}

#[test]
fn one_word_swaps_a_part_whose_table_stays() {
    let config = file(
        "[storage]\ntype = \"memory\"\n[storage.disk]\nroot = \"elsewhere\"\n[storage.vault]\nendpoint = \"http://v\"\n",
    )
    .config();
    assert_eq!(config.storage.type_name(), "memory");
}

#[test]
fn an_unknown_key_names_its_path_its_line_and_the_nearest_key() {
    assert_eq!(
        file("[server]\n\nlisen = \"127.0.0.1:1\"\n").findings(),
        ["lucida.toml:3: server.lisen: unknown key; did you mean `server.listen`?"]
    );
}

#[test]
fn a_key_in_the_wrong_table_is_sent_to_the_right_one() {
    assert_eq!(
        file("[storage]\nroot = \"photos\"\n").findings(),
        ["lucida.toml:2: storage.root: unknown key; did you mean `storage.disk.root`?"]
    );
}

#[test]
fn an_unknown_table_is_an_unknown_key() {
    assert_eq!(
        file("\n[serverr]\nlisten = \"127.0.0.1:1\"\n").findings(),
        ["lucida.toml:2: serverr: unknown key; did you mean `server`?"]
    );
}

#[test]
fn a_key_of_a_type_that_is_not_chosen_is_checked_too() {
    assert_eq!(
        file("[storage.vault]\nendpoit = \"http://v\"\n").findings(),
        ["lucida.toml:2: storage.vault.endpoit: unknown key; did you mean `storage.vault.endpoint`?"]
    );
}

#[test]
fn an_unknown_type_names_the_nearest_one_and_all_there_are() {
    assert_eq!(
        file("[storage]\ntype = \"dsk\"\n").findings(),
        ["lucida.toml:2: storage.type: storage type `dsk` is unknown; \
             this build has: disk, memory, s3, vault; did you mean `disk`?"]
    );
}

#[test]
fn a_type_that_this_build_lacks_names_its_feature_and_a_default_plugin_is_left_out() {
    let registry = Registry::empty()
        .with_storage(lucida_memory::storage_factory())
        .with_queue(lucida_memory::queue_factory());
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("lucida.toml");
    // A table of a type that this build lacks does no harm: the file may serve other builds, too.
    std::fs::write(
        &path,
        "[storage]\ntype = \"disk\"\n[queue]\ntype = \"memory\"\n[queue.sqlite]\npath = \"q\"\n",
    )
    .unwrap();
    let sources = Sources {
        file: Some(path.clone()),
        ..Sources::default()
    };
    let findings = Config::load(&registry, &sources).unwrap_err();
    let told: Vec<_> = findings
        .all()
        .iter()
        .map(|finding| (finding.path(), finding.message()))
        .collect();
    assert_eq!(
        told,
        [
            (
                "storage.type",
                "storage type `disk` needs the feature `storage-disk`; this build has: memory"
            ),
            (
                "metadata.type",
                "metadata type `sqlite` needs the feature `metadata-sqlite`; this build has: none"
            ),
            (
                "index.type",
                "index type `embedded` needs the feature `index-embedded`; this build has: none"
            ),
            (
                "embedder.type",
                "embedder type `onnx` needs the feature `embedder-onnx`; this build has: none"
            ),
        ]
    );
    assert_eq!(
        findings.all()[0].place(),
        Some(format!("{}:2", path.display()).as_str())
    );
}

#[test]
fn an_unknown_plugin_names_its_place_in_the_list() {
    assert_eq!(
        file("[[plugins]]\ntype = \"exif\"\n\n[[plugins]]\ntype = \"fames\"\n").findings(),
        ["lucida.toml:5: plugins[1].type: plugin type `fames` is unknown; \
             this build has: api-immich, api-ollama, api-openai, api-tei, api-weaviate, exif, frames, remote, thumbnail, url-ingest; did you mean `frames`?"]
    );
}

#[test]
fn a_plugin_without_a_type_is_told_which_there_are() {
    assert_eq!(
        file("[[plugins]]\nstyle = \"golden\"\n").findings(),
        [
            "lucida.toml:1: plugins[0].type: must be set to the plugin's type; \
             this build has: api-immich, api-ollama, api-openai, api-tei, api-weaviate, exif, frames, remote, thumbnail, url-ingest"
        ]
    );
}

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

fn line_of_default(key: &str) -> usize {
    let text = include_str!("../config/default.toml");
    1 + text.lines().position(|line| line.starts_with(key)).unwrap()
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
fn all_errors_of_all_layers_are_told_at_once() {
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
fn a_file_that_is_no_toml_names_the_line_without_showing_it() {
    let findings = file("[storage.vault]\nendpoint = \"http://v\"\ntoken = \"hunter2hunter2\n").findings();
    assert_eq!(findings.len(), 1);
    assert!(
        findings[0].starts_with("lucida.toml:3: this is not TOML: "),
        "{findings:?}"
    );
    assert!(!findings[0].contains("hunter2"), "{findings:?}");
}

#[test]
fn a_file_that_is_not_there_is_an_error() {
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
fn a_list_or_boolean_in_a_variable_that_is_none_says_how_to_write_it() {
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
fn a_variable_joined_with_one_underscore_is_told_the_right_name() {
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
fn listening_beyond_loopback_without_a_key_is_refused() {
    assert_eq!(
        file("[server]\nlisten = \"0.0.0.0:8080\"\n").findings(),
        [
            "lucida.toml:2: server.listen: `0.0.0.0:8080` is reachable from other machines, and no key is configured: \
             add one in [[auth.keys]], or listen on 127.0.0.1"
        ]
    );
    file(
        "[server]\nlisten = \"0.0.0.0:8080\"\n[[auth.keys]]\nname = \"a\"\nkey = \"opensesame\"\nuser = \"alice\"\nscopes = [\"read\"]\n",
    )
    .config();
}

#[test]
fn an_address_without_a_port_says_how_to_write_it() {
    assert_eq!(
        variable("LUCIDA_SERVER__LISTEN", "localhost").findings(),
        [
            "LUCIDA_SERVER__LISTEN: server.listen: `localhost` is not an address with a port; \
             expected one like 127.0.0.1:8080, localhost:8080, [::]:8080 or 8080"
        ]
    );
}

#[test]
fn a_key_is_given_in_exactly_one_way() {
    assert_eq!(
        file("[[auth.keys]]\nname = \"a\"\nuser = \"alice\"\nscopes = [\"read\"]\n").findings(),
        ["lucida.toml:1: auth.keys[0]: needs exactly one of `key`, `key_file` and `key_sha256`"]
    );
    assert_eq!(
        file(
            "[[auth.keys]]\nname = \"a\"\nkey = \"opensesame\"\nkey_file = \"k\"\nuser = \"alice\"\nscopes = [\"read\"]\n"
        )
        .findings(),
        ["lucida.toml:1: auth.keys[0]: needs exactly one of `key`, `key_file` and `key_sha256`"]
    );
}

#[test]
fn a_wrong_scope_user_or_digest_of_a_key_is_named() {
    assert_eq!(
        file("[[auth.keys]]\nname = \"a\"\nkey = \"opensesame\"\nuser = \"alice\"\nscopes = [\"reed\"]\n")
            .findings(),
        [
            "lucida.toml:5: auth.keys[0].scopes[0]: `reed` is not one of embed, read, write; did you mean `read`?"
        ]
    );
    let user =
        file("[[auth.keys]]\nname = \"a\"\nkey = \"opensesame\"\nuser = \"a/b\"\nscopes = [\"read\"]\n")
            .findings();
    assert_eq!(user.len(), 1);
    assert!(
        user[0].starts_with("lucida.toml:4: auth.keys[0].user: user `a/b` is not valid"),
        "{user:?}"
    );
    assert_eq!(
        file("[[auth.keys]]\nname = \"a\"\nkey_sha256 = \"abc\"\nuser = \"alice\"\nscopes = [\"read\"]\n")
            .findings(),
        ["lucida.toml:3: auth.keys[0].key_sha256: must be 64 hexadecimal digits, as `sha256sum` prints"]
    );
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
fn only_the_typo_is_reported_and_not_what_it_causes() {
    assert_eq!(
        file("[metadata]\ntype = \"mongodb\"\n[metadata.mongodb]\nurii = \"mongodb://db\"\n").findings(),
        ["lucida.toml:4: metadata.mongodb.urii: unknown key; did you mean `metadata.mongodb.uri`?"]
    );
    assert_eq!(
        file("[metadata]\ntype = \"mongodb\"\n[metadata.mongo]\nuri = \"mongodb://db\"\n").findings(),
        ["lucida.toml:3: metadata.mongo: unknown key; did you mean `metadata.mongodb`?"]
    );
    assert_eq!(
        file("[metdata.mongodb]\nuri = \"mongodb://db\"\n[metadata]\ntype = \"mongodb\"\n").findings(),
        ["lucida.toml:1: metdata: unknown key; did you mean `metadata`?"]
    );
    assert_eq!(
        file("[search]\ndefault_limit = 500\nmax_limt = 1000\n").findings(),
        ["lucida.toml:3: search.max_limt: unknown key; did you mean `search.max_limit`?"]
    );
    assert_eq!(
        file("[server]\nlisten = \"0.0.0.0:80\"\n[[auth.key]]\nname = \"a\"\n").findings(),
        ["lucida.toml:3: auth.key: unknown key; did you mean `auth.keys`?"]
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
fn a_key_that_other_servers_have_is_sent_to_the_right_one() {
    assert_eq!(
        file("[server]\nhost = \"127.0.0.1\"\nport = 80\n[log]\nlevel = \"debug\"\n").findings(),
        [
            "lucida.toml:2: server.host: unknown key; did you mean `server.listen`?",
            "lucida.toml:3: server.port: unknown key; did you mean `server.listen`?",
            "lucida.toml:5: log.level: unknown key; did you mean `log.filter`?",
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

#[test]
fn a_layer_of_a_custom_binary_wins_over_the_file_and_loses_against_variables() {
    let registry = registry()
        .with_config_layer(("search.default_limit", 5))
        .with_config_layer(figment::providers::Serialized::default("ingest.workers", "7"))
        .with_config_layer(figment::providers::Serialized::default("ingest.max_attempts", 8));
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("lucida.toml");
    std::fs::write(&path, "[search]\ndefault_limit = 4\nmax_limit = 44\n").unwrap();
    let sources = Sources {
        file: Some(path),
        variables: vec![("LUCIDA_INGEST__MAX_ATTEMPTS".to_owned(), "9".to_owned())],
        flags: Vec::new(),
    };
    let config = Config::load(&registry, &sources).unwrap();
    assert_eq!((config.search.default_limit, config.search.max_limit), (5, 44));
    assert_eq!((config.ingest.workers, config.ingest.max_attempts), (7, 9));

    let registry = registry.with_config_layer(figment::providers::Serialized::default("ingest.wokers", 2));
    let findings = Config::load(&registry, &sources).unwrap_err();
    let found = &findings.all()[0];
    assert_eq!(found.path(), "ingest.wokers");
    assert!(found.place().unwrap().contains("tests/config.rs"), "{findings}");
}

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
        // One in a list that is none, and one in a table that is none.
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
