//! Compose, Kubernetes, systemd, the image and Prometheus agree with the program and with each other.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::files::{CLUSTER, documents, path, strings, table, text, toml, word_after, yaml};
use crate::lucida::run;
use crate::production::{SECRETS, secrets};

/// The part of an address behind the last colon.
fn port(address: &str) -> u64 {
    address.rsplit(':').next().unwrap().parse().unwrap()
}

/// The ports of an API process and of a worker.
fn ports() -> (u64, u64) {
    let config = toml("config/production.toml");
    let listen = |section: &str| port(config[section]["listen"].as_str().unwrap());
    (listen("server"), listen("worker"))
}

/// The least that a process may take to stop before it is killed, in seconds: an API process answers its requests and
/// then finishes its tasks, a worker its photos, each for as long as the configuration allows.
fn least_stop_secs(command: &str) -> u64 {
    let config = toml("config/production.toml");
    let allowed = config["server"]["shutdown_timeout_secs"].as_u64().unwrap();
    if command == "serve" { 2 * allowed } else { allowed }
}

/// Fails unless the program takes these arguments, and these variables over `production.toml`.
fn check_process(place: &str, arguments: &[String], variables: &BTreeMap<String, String>) {
    let mut variables = variables.clone();
    assert_eq!(
        variables.remove("LUCIDA_CONFIG").as_deref(),
        Some("/etc/lucida/production.toml"),
        "{place}"
    );
    assert!(
        ["serve", "worker"].contains(&&*arguments[0]),
        "{place}: {arguments:?}"
    );
    let help: Vec<_> = arguments.iter().map(String::as_str).chain(["--help"]).collect();
    let output = run(&help, &BTreeMap::new());
    assert!(
        output.status.success(),
        "{place}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    for name in variables.keys() {
        assert!(
            name.starts_with("LUCIDA_") || name == "ORT_DYLIB_PATH",
            "{place}: {name}"
        );
    }
    let config = path("config/production.toml");
    let output = run(
        &[
            "config",
            "check",
            "--offline-only",
            "--config",
            config.to_str().unwrap(),
        ],
        &variables,
    );
    assert!(
        output.status.success(),
        "{place}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
}

/// The services of the compose file that run Lucida, by the command.
fn services(compose: &Value) -> Vec<(&str, &Value, String)> {
    let services = compose["services"].as_object().unwrap().iter();
    let lucida = services.filter(|(_, service)| service["image"] == compose["x-lucida"]["image"]);
    lucida
        .map(|(name, service)| (&**name, service, strings(&service["command"])[0].clone()))
        .collect()
}

#[test]
fn compose_runs_what_there_is_with_settings_that_there_are() {
    let compose = yaml("compose.yaml");
    let services = services(&compose);
    assert_eq!(services.len(), 4);
    for (name, service, command) in services {
        check_process(
            name,
            &strings(&service["command"]),
            &table(&service["environment"]),
        );
        let given = strings(&service["secrets"]);
        for secret in secrets() {
            assert!(given.contains(&secret), "{name} isn't given {secret}");
        }
        assert!(
            strings(&service["volumes"])
                .contains(&"../../config/production.toml:/etc/lucida/production.toml:ro".into())
        );
        let grace = service["stop_grace_period"]
            .as_str()
            .unwrap()
            .trim_end_matches('s');
        assert!(
            grace.parse::<u64>().unwrap() > least_stop_secs(&command),
            "{name}: {grace}"
        );
        // Without a check of its own a service has the image's, which asks an API process.
        let test = &service["healthcheck"]["test"];
        let asked = if test.is_null() {
            ["CMD", "lucida", "health"].map(str::to_owned).to_vec()
        } else {
            strings(test)
        };
        assert_eq!(asked[..3], ["CMD", "lucida", "health"], "{name}");
        let asks_worker = asked[3..] == ["--worker"];
        assert!(asks_worker || asked.len() == 3, "{name}: {asked:?}");
        assert_eq!(asks_worker, command == "worker", "{name}");
    }
}

#[test]
fn compose_names_files_secrets_volumes_and_networks_that_there_are() {
    let compose = yaml("compose.yaml");
    let made = text(&format!("{CLUSTER}/make-secrets.sh"));
    for (name, secret) in compose["secrets"].as_object().unwrap() {
        assert_eq!(secret["file"], format!("secrets/{name}"));
        assert!(
            made.contains(&format!("| put {name}\n")),
            "make-secrets.sh makes no {name}"
        );
    }
    let has = |list: &str, name: &str| {
        !compose[list][name].is_null() || compose[list].as_object().unwrap().contains_key(name)
    };
    for (service, settings) in compose["services"].as_object().unwrap() {
        for secret in settings["secrets"].as_array().into_iter().flatten() {
            let name = secret["source"].as_str().or(secret.as_str()).unwrap();
            assert!(has("secrets", name), "{service}: {name}");
        }
        for network in strings(&settings["networks"]) {
            assert!(has("networks", &network), "{service}: {network}");
        }
        for volume in strings(&settings["volumes"]) {
            let source = volume.split(':').next().unwrap();
            if source.starts_with("./models") || source.starts_with('/') {
                continue;
            }
            let there = if source.starts_with('.') {
                path(CLUSTER).join(source).exists()
            } else {
                has("volumes", source)
            };
            assert!(there, "{service}: {volume}");
        }
    }
}

#[test]
fn compose_runs_the_qdrant_that_the_client_is_made_for() {
    let lock = toml("Cargo.lock");
    let packages = lock["package"].as_array().unwrap();
    let client = packages
        .iter()
        .find(|package| package["name"] == "qdrant-client")
        .unwrap();
    let (minor, _) = client["version"].as_str().unwrap().rsplit_once('.').unwrap();
    let compose = yaml("compose.yaml");
    let image = compose["services"]["qdrant"]["image"].as_str().unwrap();
    assert!(
        image.starts_with(&format!("qdrant/qdrant:v{minor}.")),
        "{image} for a client of {minor}"
    );
}

#[test]
fn prometheus_and_the_load_balancer_ask_services_at_their_ports() {
    let compose = yaml("compose.yaml");
    let services = services(&compose);
    let (api, worker) = ports();
    let by_command = |wanted: &str, port: u64| -> BTreeSet<String> {
        let chosen = services.iter().filter(|(.., command)| command == wanted);
        chosen.map(|(name, ..)| format!("{name}:{port}")).collect()
    };
    let caddy = text(&format!("{CLUSTER}/Caddyfile"));
    let upstreams = caddy
        .lines()
        .find_map(|line| line.trim().strip_prefix("reverse_proxy "))
        .unwrap();
    let upstreams: BTreeSet<_> = upstreams
        .trim_end_matches('{')
        .split_whitespace()
        .map(str::to_owned)
        .collect();
    assert_eq!(upstreams, by_command("serve", api));
    let limit = toml("config/production.toml")["server"]["max_upload_bytes"]
        .as_u64()
        .unwrap();
    assert_eq!(word_after(&caddy, "max_size "), [format!("{}MiB", limit >> 20)]);

    let prometheus = yaml("prometheus.yml");
    for job in prometheus["scrape_configs"].as_array().unwrap() {
        let name = job["job_name"].as_str().unwrap();
        let targets: BTreeSet<_> = strings(&job["static_configs"][0]["targets"])
            .into_iter()
            .collect();
        match name {
            "lucida-api" => assert_eq!(targets, by_command("serve", api)),
            "lucida-worker" => assert_eq!(targets, by_command("worker", worker)),
            _ => {
                let host = targets.first().unwrap().split(':').next().unwrap();
                assert!(
                    host == "localhost" || !compose["services"][host].is_null(),
                    "{name}: {host}"
                );
            }
        }
        if let Some(file) = job["authorization"]["credentials_file"].as_str() {
            let secret = file.strip_prefix(SECRETS).unwrap().into();
            assert!(
                strings(&compose["services"]["prometheus"]["secrets"]).contains(&secret),
                "{name}"
            );
        }
    }
}

/// The documents of a kind in all manifests.
fn manifests(kind: &str) -> Vec<Value> {
    let resources = strings(&yaml("kubernetes/kustomization.yaml")["resources"]);
    let optional = ["network-policy.yaml", "pod-monitor.yaml", "secret.example.yaml"].map(str::to_owned);
    let all = resources.iter().chain(&optional);
    all.flat_map(|name| documents(&format!("kubernetes/{name}")))
        .filter(|document| document["kind"] == kind)
        .collect()
}

#[test]
fn kubernetes_runs_what_there_is_with_settings_that_there_are() {
    let site = manifests("ConfigMap").remove(0);
    let given = table(&manifests("Secret")[0]["stringData"]);
    for secret in secrets() {
        assert!(given.contains_key(&secret), "secret.example.yaml lacks {secret}");
    }
    let (api, worker) = ports();
    let deployments = manifests("Deployment");
    assert_eq!(deployments.len(), 2);
    for deployment in deployments {
        let name = deployment["metadata"]["name"].as_str().unwrap();
        let pod = &deployment["spec"]["template"]["spec"];
        let container = &pod["containers"][0];
        let arguments = strings(&container["args"]);
        let mut variables = table(&site["data"]);
        for variable in container["env"].as_array().unwrap() {
            let [name, value] = ["name", "value"].map(|key| variable[key].as_str().unwrap().to_owned());
            variables.insert(name, value);
        }
        check_process(name, &arguments, &variables);
        let listens = &container["ports"][0];
        assert_eq!(
            listens["containerPort"],
            if arguments[0] == "serve" { api } else { worker }
        );
        for probe in ["startupProbe", "livenessProbe", "readinessProbe"] {
            let Some(get) = container[probe]["httpGet"].as_object() else {
                assert_eq!(probe, "startupProbe", "{name}");
                continue;
            };
            let wanted = if probe == "livenessProbe" {
                "/healthz"
            } else {
                "/readyz?parts=metadata,index,embedder"
            };
            assert_eq!(get["path"], wanted, "{name}: {probe}");
            assert_eq!(get["port"], listens["name"], "{name}: {probe}");
        }
        let pause = container["lifecycle"]["preStop"]["sleep"]["seconds"]
            .as_u64()
            .unwrap_or(0);
        let grace = pod["terminationGracePeriodSeconds"].as_u64().unwrap();
        assert!(grace > pause + least_stop_secs(&arguments[0]), "{name}: {grace}");
        let names = |list: &Value| -> BTreeSet<String> {
            let items = list.as_array().unwrap().iter();
            items
                .map(|item| item["name"].as_str().unwrap().to_owned())
                .collect()
        };
        assert_eq!(
            names(&container["volumeMounts"]),
            names(&pod["volumes"]),
            "{name}"
        );
        assert_eq!(pod["securityContext"]["runAsNonRoot"], true, "{name}");
        assert_eq!(
            container["securityContext"]["readOnlyRootFilesystem"], true,
            "{name}"
        );
    }
}

#[test]
fn kubernetes_resources_refer_to_each_other() {
    let deployments = manifests("Deployment");
    let labels: Vec<_> = deployments
        .iter()
        .map(|one| &one["spec"]["template"]["metadata"]["labels"])
        .collect();
    let mut selectors = vec![manifests("Service")[0]["spec"]["selector"].clone()];
    selectors.extend(
        manifests("PodDisruptionBudget")
            .iter()
            .map(|one| one["spec"]["selector"]["matchLabels"].clone()),
    );
    selectors.extend(
        manifests("NetworkPolicy")
            .iter()
            .map(|one| one["spec"]["podSelector"]["matchLabels"].clone()),
    );
    assert_eq!(selectors.len(), 5);
    for selector in &selectors {
        assert!(labels.contains(&selector), "{selector} selects nothing");
    }
    let scaler = manifests("HorizontalPodAutoscaler").remove(0);
    let target = &scaler["spec"]["scaleTargetRef"]["name"];
    assert!(deployments.iter().any(|one| one["metadata"]["name"] == *target));
    let adapter = yaml("kubernetes/prometheus-adapter.yaml");
    assert_eq!(
        scaler["spec"]["metrics"][0]["external"]["metric"]["name"],
        adapter["rules"]["external"][0]["name"]["as"]
    );
    let kustomization = yaml("kubernetes/kustomization.yaml");
    for generator in kustomization["configMapGenerator"].as_array().unwrap() {
        for file in strings(&generator["files"]) {
            let file = file.split('=').next_back().unwrap();
            assert!(path(CLUSTER).join("kubernetes").join(file).exists(), "{file}");
        }
    }
    // What Prometheus calls the two kinds of process, by the pods' labels.
    let monitor = manifests("PodMonitor").remove(0);
    assert_eq!(
        monitor["spec"]["podMetricsEndpoints"][0]["relabelings"][0]["replacement"],
        "lucida-$1"
    );
    let components: BTreeSet<_> = labels
        .iter()
        .map(|labels| labels["app.kubernetes.io/component"].as_str().unwrap())
        .collect();
    assert_eq!(components, BTreeSet::from(["api", "worker"]));
}

#[test]
fn systemd_runs_what_there_is_with_settings_that_there_are() {
    for unit in ["lucida-api.service", "lucida-worker@.service"] {
        let text = text(&format!("{CLUSTER}/systemd/{unit}")).replace("%i", "1");
        let settings = |name: &str| -> Vec<&str> {
            let prefix = format!("{name}=");
            text.lines()
                .filter_map(|line| line.strip_prefix(&*prefix))
                .collect()
        };
        let command: Vec<_> = settings("ExecStart")[0]
            .split(' ')
            .skip(1)
            .map(str::to_owned)
            .collect();
        let variables = settings("Environment").into_iter().map(|variable| {
            let (name, value) = variable.split_once('=').unwrap();
            (name.to_owned(), value.to_owned())
        });
        check_process(unit, &command, &variables.collect());
        let stop: u64 = settings("TimeoutStopSec")[0].parse().unwrap();
        assert!(stop > least_stop_secs(&command[0]), "{unit}: {stop}");
        assert_eq!(
            settings("BindReadOnlyPaths"),
            [format!("/etc/lucida/secrets:{}", SECRETS.trim_end_matches('/'))]
        );
    }
}

#[test]
fn the_image_is_built_of_what_the_repository_says() {
    let dockerfile = text("Dockerfile");
    let rust = toml("Cargo.toml")["workspace"]["package"]["rust-version"]
        .as_str()
        .unwrap()
        .to_owned();
    assert_eq!(
        word_after(&dockerfile, "FROM rust:"),
        [format!("{rust}-bookworm")]
    );
    let setup = text("core/setup/src/runtime.rs");
    let [version] = word_after(&dockerfile, "onnxruntime==")[..] else {
        panic!("the image has one ONNX Runtime")
    };
    let pinned = format!("version: \"{version}\"");
    assert!(
        setup.contains(&pinned),
        "`lucida setup` downloads another ONNX Runtime than {version}"
    );
    let hashes = word_after(&dockerfile, "--hash=sha256:");
    assert_eq!(hashes.len(), 2);
    for hash in hashes {
        assert!(
            setup.contains(hash),
            "{hash} is not the hash of what `lucida setup` downloads"
        );
    }
    let (api, worker) = ports();
    assert!(dockerfile.contains(&format!("EXPOSE {api} {worker}\n")));
    assert!(dockerfile.contains("CMD [\"lucida\", \"health\"]\n"));
    // Cargo reads every member's manifest, so each must reach the builder.
    let ignored = text(".dockerignore");
    for member in strings(&toml("Cargo.toml")["workspace"]["members"]) {
        let taken = ignored.lines().filter_map(|line| line.strip_prefix('!'));
        let reaches = taken
            .into_iter()
            .any(|folder| member == folder || member.starts_with(&format!("{folder}/")));
        assert!(reaches, "{member} doesn't reach the builder");
    }
}
