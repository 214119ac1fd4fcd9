//! The command line: what it prints, where, and with which exit code.

#![cfg(all(
    feature = "storage-disk",
    feature = "storage-s3",
    feature = "metadata-sqlite",
    feature = "index-embedded",
    feature = "queue-sqlite",
    feature = "queue-rabbitmq",
    feature = "embedder-onnx",
    feature = "plugin-api-openai",
    feature = "plugin-exif",
    feature = "plugin-thumbnail"
))]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::Path;
use std::process::{Command, Output};

/// Runs the binary in a folder, with no variable of the tests' own environment that could configure it.
fn lucida(folder: &Path, arguments: &[&str], variables: &[(&str, &str)]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lucida"));
    command.current_dir(folder).args(arguments);
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("LUCIDA_") {
            command.env_remove(name);
        }
    }
    command.envs(variables.iter().copied()).output().unwrap()
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

#[test]
fn a_right_configuration_ends_with_0_and_leaves_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    let output = lucida(folder.path(), &["config", "check", "--offline-only"], &[]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn check_names_every_folder_file_and_model_that_can_not_be_used_and_opens_none_offline() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("taken"), "a file").unwrap();
    std::fs::create_dir_all(folder.path().join("cache/models/mine")).unwrap();
    std::fs::write(
        folder.path().join("my.toml"),
        "[[auth.keys]]\nname = \"a\"\nkey_file = \"no-key\"\nuser = \"alice\"\nscopes = [\"read\"]\n\
         [ingest]\nspool_dir = \"taken/spool\"\n\
         [storage.disk]\nroot = \"taken\"\n\
         [metadata.sqlite]\npath = \"cache\"\n\
         [embedder.onnx]\nmodel = \"mime\"\ntext_model = \"./texts\"\nlibrary = \"libonnxruntime.so\"\n",
    )
    .unwrap();
    let cache = folder.path().join("cache");
    let variables = [("LUCIDA_CACHE_DIR", cache.to_str().unwrap())];
    let arguments = ["config", "check", "--config", "my.toml"];
    let output = lucida(folder.path(), &arguments, &variables);
    assert_eq!(output.status.code(), Some(2));
    let found = stderr(&output);
    let found: Vec<_> = found.lines().collect();
    let expected = [
        ("my.toml:3: auth.keys[0].key_file: ", "no-key"),
        (
            "my.toml:7: ingest.spool_dir: ",
            "taken/spool can't be created: taken is a file",
        ),
        (
            "my.toml:9: storage.disk.root: ",
            "taken is a file; expected a folder",
        ),
        (
            "my.toml:11: metadata.sqlite.path: ",
            "cache is a folder; expected a file",
        ),
        ("my.toml:13: embedder.onnx.model: ", "the cache has `mine`"),
        ("my.toml:14: embedder.onnx.text_model: ", "./texts"),
        (
            "my.toml:15: embedder.onnx.library: ",
            "libonnxruntime.so (embedder.onnx.library)",
        ),
    ];
    assert_eq!(found.len(), expected.len(), "{found:?}");
    for (line, (start, part)) in found.iter().zip(expected) {
        assert!(line.starts_with(start) && line.contains(part), "{line}");
    }
    let offline = [&arguments[..], &["--offline-only"]].concat();
    let output = lucida(folder.path(), &offline, &variables);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
}

#[test]
fn check_refuses_a_model_that_takes_only_texts_and_accepts_it_for_texts() {
    let folder = tempfile::tempdir().unwrap();
    let models = Path::new(env!("CARGO_MANIFEST_DIR")).join("core/testkit/testdata/parity/models");
    let check = |kind: &str, model: &str, texts: &str| {
        let (model, texts) = (models.join(model), models.join(texts));
        std::fs::write(
            folder.path().join("my.toml"),
            format!(
                "[embedder]\ntype = \"{kind}\"\n[embedder.{kind}]\nmodel = \"{}\"\ntext_model = \"{}\"\n",
                model.display(),
                texts.display()
            ),
        )
        .unwrap();
        stderr(&lucida(
            folder.path(),
            &["config", "check", "--config", "my.toml"],
            &[],
        ))
    };
    for kind in ["onnx", "candle"] {
        let found = check(kind, "bert", "bert");
        let start = format!("my.toml:4: embedder.{kind}.model: the model `");
        assert!(
            found.starts_with(&start) && found.contains("takes only texts"),
            "{found}"
        );
        let found = check(kind, "clip", "bert");
        assert!(!found.contains("takes only texts"), "{found}");
    }
}

#[test]
fn check_without_a_setup_says_how_to_get_the_model_and_the_library() {
    let folder = tempfile::tempdir().unwrap();
    let output = lucida(
        folder.path(),
        &["config", "check"],
        &[("LUCIDA_CACHE_DIR", "cache")],
    );
    let found = stderr(&output);
    let model = found.lines().next().unwrap();
    assert!(
        model.starts_with("embedder.onnx.model: model `starter` not found"),
        "{found}"
    );
    assert!(model.ends_with("run `lucida setup`"), "{found}");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn a_wrong_configuration_ends_with_2_for_every_command() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("bad.toml"), "[storage]\ntype = \"s4\"\n").unwrap();
    for command in [
        vec!["config", "check"],
        vec!["config", "show"],
        vec!["serve"],
        vec!["worker"],
        vec!["check"],
        vec!["import", "."],
    ] {
        let arguments = [command.as_slice(), &["--config", "bad.toml"]].concat();
        let output = lucida(folder.path(), &arguments, &[]);
        assert_eq!(output.status.code(), Some(2), "{command:?}");
        assert_eq!(stdout(&output), "", "{command:?}");
        assert_eq!(
            stderr(&output),
            "bad.toml:2: storage.type: storage type `s4` is unknown; this build has: disk, memory, s3\n",
            "{command:?}"
        );
    }
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
fn the_file_can_be_named_by_a_variable() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("my.toml"), "[search]\nmax_limit = 33\n").unwrap();
    let output = lucida(
        folder.path(),
        &["config", "show"],
        &[("LUCIDA_CONFIG", "my.toml")],
    );
    assert!(
        stdout(&output).contains("max_limit = 33  # my.toml:2\n"),
        "{}",
        stdout(&output)
    );
}

#[test]
fn a_flag_of_its_own_wins_over_everything() {
    let folder = tempfile::tempdir().unwrap();
    let output = lucida(
        folder.path(),
        &["serve", "--listen", "0.0.0.0:0"],
        &[("LUCIDA_SERVER__LISTEN", "127.0.0.1:0")],
    );
    assert_eq!(output.status.code(), Some(2));
    assert!(
        stderr(&output).starts_with("--listen: server.listen: `0.0.0.0:0` is reachable from other machines"),
        "{}",
        stderr(&output)
    );
}

#[test]
fn a_setting_without_a_value_ends_with_2_and_says_how_to_write_it() {
    let folder = tempfile::tempdir().unwrap();
    let output = lucida(folder.path(), &["config", "check", "--set", "server.listen"], &[]);
    assert_eq!(output.status.code(), Some(2));
    assert!(
        stderr(&output).contains("write it as key=value"),
        "{}",
        stderr(&output)
    );
}

#[test]
fn an_unknown_command_ends_with_2_and_the_version_with_0() {
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(lucida(folder.path(), &["serv"], &[]).status.code(), Some(2));
    let version = lucida(folder.path(), &["--version"], &[]);
    assert_eq!(version.status.code(), Some(0));
    assert_eq!(
        stdout(&version),
        format!("lucida {}\n", env!("CARGO_PKG_VERSION"))
    );
}

#[test]
fn the_reference_and_the_defaults_are_the_files_in_the_repository() {
    let folder = tempfile::tempdir().unwrap();
    for (command, written) in [
        ("reference", include_str!("../config/README.md")),
        ("defaults", include_str!("../config/default.toml")),
    ] {
        let output = lucida(folder.path(), &["config", command], &[]);
        assert_eq!(output.status.code(), Some(0));
        assert!(
            stdout(&output) == written,
            "`lucida config {command}` prints something else: run `cargo xtask generate`"
        );
    }
}

#[test]
fn the_printed_defaults_are_a_configuration_that_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let defaults = stdout(&lucida(folder.path(), &["config", "defaults"], &[]));
    std::fs::write(folder.path().join("my.toml"), defaults).unwrap();
    let values = |arguments: &[&str]| -> Vec<String> {
        let shown = stdout(&lucida(folder.path(), arguments, &[]));
        let value = |line: &str| line.split("  # ").next().unwrap_or_default().to_owned();
        shown.lines().map(value).collect()
    };
    let shown = values(&["config", "show"]);
    assert!(
        shown.contains(&"listen = \"127.0.0.1:8080\"".to_owned()),
        "{shown:?}"
    );
    assert_eq!(values(&["config", "show", "--config", "my.toml"]), shown);
}

#[test]
fn a_worker_that_could_do_nothing_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let output = lucida(folder.path(), &["worker", "--workers", "0"], &[]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("--workers"), "{}", stderr(&output));
    assert!(
        stderr(&output).contains("ingest.workers: is 0"),
        "{}",
        stderr(&output)
    );
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn a_worker_that_could_share_nothing_with_a_server_is_refused_store_by_store() {
    let folder = tempfile::tempdir().unwrap();
    let output = lucida(folder.path(), &["worker"], &[("LUCIDA_QUEUE__TYPE", "memory")]);
    assert_eq!(output.status.code(), Some(2));
    let told = stderr(&output);
    let told: Vec<_> = told.lines().collect();
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(
        told[0].starts_with("index.type: index type `embedded` is for one process at a time"),
        "{told:?}"
    );
    assert_eq!(
        told[1],
        "LUCIDA_QUEUE__TYPE: queue.type: queue type `memory` is for one process at a time, so a worker can't share it \
         with a server: choose a queue type that processes can share (rabbitmq, sqlite), or let the server work \
         itself (ingest.workers)"
    );
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn a_server_that_leaves_its_work_to_nobody_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    for arguments in [["serve"].as_slice(), &["config", "check"]] {
        let output = lucida(folder.path(), arguments, &[("LUCIDA_INGEST__WORKERS", "0")]);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        let told = stderr(&output);
        let begin = "LUCIDA_INGEST__WORKERS: ingest.workers: is 0, and index type `embedded` is for one process at a time";
        assert!(told.starts_with(begin), "{told}");
        assert_eq!(told.lines().count(), 1, "{told}");
    }
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn dropping_a_model_of_an_empty_library_says_that_it_has_none() {
    let folder = tempfile::tempdir().unwrap();
    let output = lucida(folder.path(), &["models", "drop", "clip"], &[]);
    assert_eq!(output.status.code(), Some(1));
    let found = stderr(&output);
    assert_eq!(
        found.lines().last(),
        Some("error: the library has no vectors yet, so none of a model `clip`")
    );
    assert!(found.ends_with('\n'), "{found:?}");
}

#[test]
fn importing_a_folder_that_is_not_there_names_it() {
    let folder = tempfile::tempdir().unwrap();
    let output = lucida(folder.path(), &["import", "holiday"], &[]);
    assert_eq!(output.status.code(), Some(1));
    let errors = stderr(&output);
    assert!(
        errors.contains("can't import holiday: no such file or folder"),
        "{errors}"
    );
    assert!(!errors.contains("run the same command again"), "{errors}");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "", "nothing was done");
}

/// A library's model and a further one, which a test damages.
#[cfg(feature = "embedder-candle")]
struct TwoModels {
    folder: tempfile::TempDir,
}

#[cfg(feature = "embedder-candle")]
impl TwoModels {
    fn new(further: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        for (name, fixture) in [("library", "clip"), ("further", further)] {
            let from = lucida_testkit::parity::model_folder(fixture);
            lucida_testkit::parity_texts::copy_folder(&from, &folder.path().join(name));
        }
        let models = Self { folder };
        models.configure("library", "");
        models
    }

    fn configure(&self, library: &str, server: &str) {
        let config = format!(
            "[server]\nlisten = \"127.0.0.1:0\"\n{server}\
             [embedder]\ntype = \"candle\"\n[embedder.candle]\nmodel = \"./{library}\"\n\
             [[models]]\nname = \"second\"\ntype = \"candle\"\nmodel = \"./further\"\n"
        );
        std::fs::write(self.folder.path().join("my.toml"), config).unwrap();
    }

    fn run(&self, arguments: &[&str]) -> Output {
        let arguments = [arguments, &["--config", "my.toml"]].concat();
        lucida(self.folder.path(), &arguments, &[])
    }

    fn check_models(&self) -> Output {
        self.run(&["config", "check", "--models"])
    }

    fn replace(&self, file: &str, from: &str, to: &str) {
        let path = self.folder.path().join(file);
        let bytes = std::fs::read(&path).unwrap();
        let at = bytes
            .windows(from.len())
            .position(|window| window == from.as_bytes());
        let at = at.unwrap_or_else(|| panic!("{from} is not in {file}"));
        let whole = [&bytes[..at], to.as_bytes(), &bytes[at + from.len()..]].concat();
        std::fs::write(&path, whole).unwrap();
    }

    /// Checks that `config check --models` and the start refuse the models with these words, and the usual check doesn't.
    fn assert_refused(&self, key: &str, words: &[&str]) {
        let usual = self.run(&["config", "check"]);
        assert_eq!(usual.status.code(), Some(0), "{}", stderr(&usual));
        let checked = self.check_models();
        assert_eq!(checked.status.code(), Some(2), "{}", stdout(&checked));
        let found = stderr(&checked);
        assert!(found.starts_with("my.toml:") && found.contains(key), "{found}");
        let started = self.run(&["serve"]);
        assert_ne!(started.status.code(), Some(0));
        for word in words {
            assert!(found.contains(word), "{word}: {found}");
            let log = stdout(&started) + &stderr(&started);
            assert!(log.contains(word), "{word}: {log}");
        }
    }
}

#[cfg(feature = "embedder-candle")]
#[test]
fn check_models_names_the_engine_that_runs_a_jina_clip() {
    let models = TwoModels::new("jina-clip-v2");
    models.assert_refused("models[0].model", &["`jina_clip`", "`onnx`"]);
}

#[cfg(all(feature = "embedder-candle", feature = "embedder-onnx"))]
#[test]
fn check_models_names_the_engine_that_computes_a_mobile_clip_without_an_export() {
    let models = TwoModels::new("mobileclip");
    let whole = models.check_models();
    assert_eq!(whole.status.code(), Some(0), "{}", stderr(&whole));
    models.replace(
        "my.toml",
        "\"second\"\ntype = \"candle\"",
        "\"second\"\ntype = \"onnx\"",
    );
    let checked = models.check_models();
    assert_eq!(checked.status.code(), Some(2), "{}", stdout(&checked));
    let found = stderr(&checked);
    assert!(
        found.contains("models[0].model") && found.contains("`candle`"),
        "{found}"
    );
}

#[cfg(all(feature = "embedder-candle", feature = "embedder-onnx"))]
#[test]
fn check_models_names_the_files_that_a_jina_clip_lacks_and_where_they_are_published() {
    let models = TwoModels::new("jina-clip-v2");
    models.replace(
        "my.toml",
        "\"second\"\ntype = \"candle\"",
        "\"second\"\ntype = \"onnx\"",
    );
    let whole = models.check_models();
    assert_eq!(whole.status.code(), Some(0), "{}", stderr(&whole));
    std::fs::remove_dir_all(models.folder.path().join("further/onnx")).unwrap();
    std::fs::write(models.folder.path().join("further/model.safetensors"), "").unwrap();
    let checked = models.check_models();
    assert_eq!(checked.status.code(), Some(2), "{}", stdout(&checked));
    let found = stderr(&checked);
    for word in ["models[0].model", "`onnx/model.onnx`", "`jinaai/jina-clip-v2`"] {
        assert!(found.contains(word), "{word}: {found}");
    }
}

#[cfg(feature = "embedder-candle")]
#[test]
fn check_models_opens_every_folder_and_loads_nothing() {
    let models = TwoModels::new("bert");
    let output = models.check_models();
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let written: Vec<_> = std::fs::read_dir(models.folder.path()).unwrap().collect();
    assert_eq!(written.len(), 3, "{written:?}");
    let both = models.run(&["config", "check", "--models", "--offline-only"]);
    assert_eq!(both.status.code(), Some(2));
}

#[cfg(all(feature = "embedder-candle", not(feature = "cuda")))]
#[test]
fn a_graphics_card_that_the_build_has_no_kernels_for_is_refused_with_the_feature() {
    let models = TwoModels::new("bert");
    let path = models.folder.path().join("my.toml");
    let config = std::fs::read_to_string(&path).unwrap();
    let config = config.replace("[embedder.candle]\n", "[embedder.candle]\ndevice = \"cuda:1\"\n");
    std::fs::write(&path, config).unwrap();
    for arguments in [["config", "check"].as_slice(), &["serve"]] {
        let refused = models.run(arguments);
        assert_ne!(refused.status.code(), Some(0));
        let found = stdout(&refused) + &stderr(&refused);
        assert!(
            found.contains("embedder.candle.device")
                && found.contains("device `cuda:1` needs the feature `cuda`; this build has: cpu"),
            "{found}"
        );
    }
}

#[cfg(feature = "embedder-candle")]
#[test]
fn a_missing_tensor_is_named_with_its_file() {
    let models = TwoModels::new("bert");
    let tensor = "encoder.layer.1.attention.self.query.weight";
    models.replace(
        "further/model.safetensors",
        tensor,
        "encoder.layer.1.attention.self.query.weighs",
    );
    models.assert_refused("models[0].model", &["further/model.safetensors", tensor]);
}

#[cfg(feature = "embedder-candle")]
#[test]
fn half_a_sharded_checkpoint_is_refused_with_the_file_that_is_missing() {
    let models = TwoModels::new("xlm-roberta");
    let shard = "model-00002-of-00002.safetensors";
    std::fs::remove_file(models.folder.path().join("further").join(shard)).unwrap();
    models.assert_refused("models[0].model", &[shard]);
}

#[cfg(feature = "embedder-candle")]
#[test]
fn a_tokenizer_without_a_special_token_is_refused_with_the_token() {
    let models = TwoModels::new("bert");
    models.replace("further/vocab.txt", "[SEP]", "[sep]");
    models.assert_refused("models[0].model", &["further/vocab.txt", "`[SEP]`"]);
}

#[cfg(feature = "embedder-candle")]
#[test]
fn a_projection_of_another_size_is_refused_with_the_tensor() {
    let models = TwoModels::new("bert");
    models.replace(
        "library/config.json",
        "\"projection_dim\": 32",
        "\"projection_dim\": 48",
    );
    models.assert_refused("embedder.candle.model", &["visual_projection.weight", "48"]);
}

#[cfg(feature = "embedder-candle")]
#[test]
fn a_model_larger_than_the_memory_of_all_is_refused_with_both_figures() {
    let models = TwoModels::new("bert");
    let bytes = 1_000;
    models.configure("library", &format!("models_memory_bytes = {bytes}\n"));
    models.assert_refused(
        "models[0].model",
        &["bytes of weights", "1000 (server.models_memory_bytes)"],
    );
}

#[cfg(feature = "embedder-candle")]
#[test]
fn a_text_model_is_refused_as_the_model_of_a_library_also_at_the_start() {
    let models = TwoModels::new("bert");
    models.configure("further", "");
    let checked = models.check_models();
    assert_eq!(checked.status.code(), Some(2));
    assert!(
        stderr(&checked).contains("takes only texts"),
        "{}",
        stderr(&checked)
    );
    let started = models.run(&["serve"]);
    assert_ne!(started.status.code(), Some(0));
    let log = stdout(&started) + &stderr(&started);
    assert!(log.contains("pictures"), "{log}");
}
