//! Which layer wins, and what a configuration is without any.

use lucida::Registry;
use lucida::config::{Config, Flag, Sources};
use lucida_core::config::NoSettings;
use lucida_core::config::factory_fn;
use lucida_memory::MemoryIndex;

use crate::given::{Given, file, registry};

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
fn custom_stores_are_shared_unless_they_say_otherwise() {
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
    assert!(
        found.place().unwrap().contains("tests/config/layers.rs"),
        "{findings}"
    );
}
