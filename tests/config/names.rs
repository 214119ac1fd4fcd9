//! Names of keys, tables, types and plugins that do not exist.

use lucida::Registry;
use lucida::config::{Config, Sources};

use crate::given::file;

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
             this build has: api-immich, api-ollama, api-openai, api-tei, api-weaviate, exif, frames, mcp, remote, thumbnail, url-ingest, webhook; did you mean `frames`?"]
    );
}

#[test]
fn a_plugin_without_a_type_is_answered_with_all_types() {
    assert_eq!(
        file("[[plugins]]\nstyle = \"golden\"\n").findings(),
        [
            "lucida.toml:1: plugins[0].type: must be set to the plugin's type; \
             this build has: api-immich, api-ollama, api-openai, api-tei, api-weaviate, exif, frames, mcp, remote, thumbnail, url-ingest, webhook"
        ]
    );
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
