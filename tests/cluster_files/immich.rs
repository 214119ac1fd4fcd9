//! The example that puts Lucida in the place of Immich's machine-learning container.

use lucida::Registry;
use lucida::config::{Config, Sources};
use serde_json::Value;

use crate::files::{path, text};

const FOLDER: &str = "examples/immich";

#[test]
fn immich_is_pointed_at_a_lucida_that_answers_for_its_default_model_without_a_key() {
    let compose: Value = serde_saphyr::from_str(&text(&format!("{FOLDER}/compose.yaml"))).unwrap();
    let services = compose["services"].as_object().unwrap();
    assert!(!services.contains_key("immich-machine-learning"));
    let immich = &services["immich-server"]["environment"];
    let lucida = &services["lucida"]["environment"];

    // As compose fills in what example.env has.
    let (mut keys, env) = (
        lucida["LUCIDA_AUTH__KEYS"].as_str().unwrap().to_owned(),
        text(&format!("{FOLDER}/example.env")),
    );
    let key = env.lines().find_map(|line| line.strip_prefix("LUCIDA_KEY="));
    let (start, end) = (keys.find("${LUCIDA_KEY").unwrap(), keys.find('}').unwrap());
    keys.replace_range(start..=end, key.unwrap());
    let sources = Sources {
        file: Some(path(&format!("{FOLDER}/lucida.toml"))),
        variables: vec![("LUCIDA_AUTH__KEYS".to_owned(), keys)],
        flags: Vec::new(),
    };
    let config = Config::load(&Registry::default(), &sources).unwrap();

    let listen = config.server.listen.to_string();
    let (_, port) = listen.rsplit_once(':').unwrap();
    assert_eq!(
        immich["IMMICH_MACHINE_LEARNING_URL"],
        format!("http://lucida:{port}")
    );
    assert_eq!(config.auth.keys.len(), 1);
    let [plugin] = &config.plugins[..] else {
        panic!("{} plugins", config.plugins.len());
    };
    assert_eq!(plugin.type_name(), "api-immich");
    assert_eq!(plugin.settings()["auth"], "none");
    assert_eq!(config.embedder.settings()["model"], "immich-app/ViT-B-32__openai");
}

#[test]
fn what_compose_mounts_and_asks_for_is_there() {
    let compose = text(&format!("{FOLDER}/compose.yaml"));
    let parsed: Value = serde_saphyr::from_str(&compose).unwrap();
    let env = text(&format!("{FOLDER}/example.env"));
    for variable in compose.split("${").skip(1) {
        let name = variable.split([':', '}']).next().unwrap();
        assert!(
            env.contains(&format!("\n{name}=")),
            "{name} is not in example.env"
        );
    }
    let volumes = parsed["volumes"].as_object().unwrap();
    for (service, description) in parsed["services"].as_object().unwrap() {
        for mount in description["volumes"].as_array().into_iter().flatten() {
            let source = mount.as_str().unwrap().split(':').next().unwrap();
            let is_there = match source.strip_prefix("./") {
                Some(file) => path(&format!("{FOLDER}/{file}")).exists(),
                None => {
                    source.starts_with('/')
                        || source.starts_with("${")
                        || source == "$"
                        || volumes.contains_key(source)
                }
            };
            assert!(is_there, "{service}: {source}");
        }
    }
}
