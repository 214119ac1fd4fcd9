//! Alerts, board and autoscaler ask only for series that there are: by `core/src/metrics.rs`, and by a real `/metrics`.

use std::collections::BTreeSet;

use lucida_core::{
    ErrorKind, Lane, PhotoState, TowerKind,
    metrics::{ALL, Metric, MetricKind},
};
use lucida_library::{Damage, FindingKind};
use serde_json::Value;

use crate::files::{CLUSTER, strings, text, yaml};
use crate::lucida::{Server, run};
use crate::promql::{Matcher, Selector, grouped, selectors};
use crate::with_settings::WITH_SETTINGS;

/// Labels that Prometheus puts on every series.
const SCRAPED: [&str; 3] = ["job", "instance", "namespace"];

/// Every expression of the cluster's files, with where it stands.
pub(crate) fn expressions() -> Vec<(String, String)> {
    let mut found = Vec::new();
    for group in yaml("alerts.yml")["groups"].as_array().unwrap() {
        for rule in group["rules"].as_array().unwrap() {
            let place = format!("alert {}", rule["alert"].as_str().unwrap());
            found.push((place, rule["expr"].as_str().unwrap().to_owned()));
        }
    }
    for panel in board()["panels"].as_array().unwrap() {
        for target in panel["targets"].as_array().into_iter().flatten() {
            let place = format!("panel {}", panel["title"].as_str().unwrap());
            found.push((place, target["expr"].as_str().unwrap().to_owned()));
        }
    }
    for test in yaml("alerts_test.yml")["tests"].as_array().unwrap() {
        for input in test["input_series"].as_array().unwrap() {
            let series = input["series"].as_str().unwrap();
            found.push(("alerts_test.yml".to_owned(), series.to_owned()));
        }
    }
    let adapter = yaml("kubernetes/prometheus-adapter.yaml");
    for rule in adapter["rules"]["external"].as_array().unwrap() {
        for key in ["seriesQuery", "metricsQuery"] {
            let query = rule[key].as_str().unwrap().replace(", <<.LabelMatchers>>", "");
            found.push((format!("adapter's {key}"), query));
        }
    }
    found
}

pub(crate) fn board() -> Value {
    serde_json::from_str(&text(&format!("{CLUSTER}/grafana/dashboards/lucida.json"))).unwrap()
}

/// Finds the metric that a series belongs to: histograms are three series each.
fn metric_of(series: &str) -> Option<&'static Metric> {
    ALL.iter().copied().find(|metric| match metric.kind {
        MetricKind::Counter | MetricKind::Gauge => series == metric.name,
        MetricKind::Histogram => ["_bucket", "_sum", "_count"]
            .iter()
            .any(|suffix| series.strip_suffix(suffix) == Some(metric.name)),
    })
}

/// The values that a label of a metric can have; none for what can't be listed.
fn values(metric: &Metric, label: &str) -> Option<BTreeSet<String>> {
    const KINDS: [ErrorKind; 11] = [
        ErrorKind::NotFound,
        ErrorKind::AlreadyExists,
        ErrorKind::InvalidInput,
        ErrorKind::Unsupported,
        ErrorKind::ConfigInvalid,
        ErrorKind::PermissionDenied,
        ErrorKind::Conflict,
        ErrorKind::Overloaded,
        ErrorKind::Timeout,
        ErrorKind::Unavailable,
        ErrorKind::Internal,
    ];
    let outcomes = || std::iter::once("ok").chain(KINDS.map(ErrorKind::as_str));
    let part = |metric: &Metric| metric.name.split('_').nth(1).unwrap().to_owned();
    let values: Vec<&str> = match (metric.name, label) {
        ("lucida_photos", "state") => PhotoState::ALL.map(PhotoState::as_str).to_vec(),
        ("lucida_outbox_events", "state") => vec!["pending", "dead"],
        ("lucida_outbox_deliveries_total", "outcome") => vec!["delivered", "retried", "dead"],
        ("lucida_queue_jobs", "state") => vec!["ready", "delayed", "in_flight", "dead"],
        ("lucida_model_change_photos", "state") => vec!["done", "total"],
        ("lucida_ingest_photos_total", "outcome") => vec!["ready", "added", "retried", "failed", "dropped"],
        ("lucida_breaker_open", "part") => vec!["storage", "metadata", "index", "queue"],
        (_, "outcome") => outcomes().collect(),
        // Names from a configuration: those of alerts_test.yml.
        (_, "model") => vec!["clip", "e5"],
        (_, "plugin") => vec!["webhook"],
        (_, "damage") => Damage::ALL.map(Damage::as_str).to_vec(),
        (_, "finding") => FindingKind::ALL.map(FindingKind::as_str).to_vec(),
        (_, "tower") => [TowerKind::Image, TowerKind::Text]
            .map(TowerKind::as_str)
            .to_vec(),
        (_, "lane") => [Lane::Interactive, Lane::Background].map(Lane::as_str).to_vec(),
        (_, "method") => vec![
            "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "OTHER",
        ],
        (_, "operation") => {
            let decorator = text(&format!("core/library/src/decorate/{}.rs", part(metric)));
            let quoted = decorator.split('"').skip(1).step_by(2);
            return Some(quoted.map(str::to_owned).collect());
        }
        (_, "route") => {
            // The attributes above the handlers, which the table of routes takes its paths from.
            let handlers = ["content", "embed", "health", "info", "photos", "search", "upload"];
            let paths = handlers.map(|file| {
                let file = text(&format!("src/http/{file}.rs"));
                let paths = file
                    .lines()
                    .filter_map(|line| line.trim().strip_prefix("path = \""));
                let paths = paths.map(|rest| rest.split('"').next().unwrap_or_default().to_owned());
                paths.collect::<Vec<_>>()
            });
            return Some(paths.into_iter().flatten().collect());
        }
        (_, "job") => {
            let config = yaml("prometheus.yml");
            let jobs = config["scrape_configs"].as_array().unwrap();
            return Some(
                strings(&jobs.iter().map(|job| job["job_name"].clone()).collect())
                    .into_iter()
                    .collect(),
            );
        }
        _ => return None,
    };
    Some(values.into_iter().map(str::to_owned).collect())
}

/// Checks a matcher's value against the values that there can be.
fn check_value(place: &str, metric: &Metric, matcher: &Matcher) {
    let Matcher {
        label,
        operator,
        value,
    } = matcher;
    if place == "alerts_test.yml" && ["instance", "backend"].contains(&&**label) {
        return;
    }
    if label == "instance" {
        assert_eq!(value, "$instance", "{place}: instances differ from site to site");
        return;
    }
    let alternatives = if operator.ends_with('~') {
        value.split('|').collect()
    } else {
        vec![&**value]
    };
    if label == "status" {
        let is_status = |text: &str| {
            text.len() == 3
                && text.starts_with(|c| ('2'..='5').contains(&c))
                && text.bytes().skip(1).all(|b| b == b'.' || b.is_ascii_digit())
        };
        assert!(
            alternatives.iter().all(|text| is_status(text)),
            "{place}: status `{value}`"
        );
        return;
    }
    let known =
        values(metric, label).unwrap_or_else(|| panic!("{place}: `{label}` of {} has no list", metric.name));
    for alternative in alternatives {
        assert!(
            known.contains(alternative),
            "{place}: {label}=`{alternative}` is none of {known:?}"
        );
    }
}

#[test]
fn every_series_asked_for_is_a_metric_with_these_labels_and_values() {
    let expressions = expressions();
    assert!(expressions.len() > 60, "{}", expressions.len());
    let up = Metric {
        name: "up",
        kind: MetricKind::Gauge,
        labels: &[],
        help: "",
    };
    for (place, expression) in &expressions {
        let selectors = selectors(expression);
        assert!(!selectors.is_empty(), "{place}: no series in {expression}");
        let mut groupable: BTreeSet<&str> = SCRAPED.into();
        for Selector { name, matchers } in &selectors {
            let metric = if name == "up" {
                &up
            } else {
                metric_of(name).unwrap_or_else(|| panic!("{place}: there is no series {name}"))
            };
            groupable.extend(metric.labels);
            if name.ends_with("_bucket") {
                groupable.insert("le");
            }
            for matcher in matchers {
                let label = &*matcher.label;
                assert!(
                    metric.labels.contains(&label) || SCRAPED.contains(&label),
                    "{place}: {name} has no label `{label}`"
                );
                check_value(place, metric, matcher);
            }
        }
        for label in &grouped(expression) {
            assert!(
                groupable.contains(&**label),
                "{place}: groups by `{label}`, which none of its series has"
            );
        }
    }
}

#[test]
fn every_metric_is_on_the_board() {
    let asked: BTreeSet<_> = expressions()
        .iter()
        .filter(|(place, _)| place.starts_with("panel"))
        .flat_map(|(_, expression)| selectors(expression))
        .filter_map(|selector| metric_of(&selector.name))
        .map(|metric| metric.name)
        .collect();
    for metric in ALL {
        assert!(asked.contains(metric.name), "{} is on no panel", metric.name);
    }
}

#[test]
fn the_board_s_panels_lie_beside_each_other_and_name_labels_that_are_left() {
    let board = board();
    let (mut ids, mut cells) = (BTreeSet::new(), BTreeSet::new());
    for panel in board["panels"].as_array().unwrap() {
        let title = panel["title"].as_str().unwrap();
        assert!(
            ids.insert(panel["id"].as_u64().unwrap()),
            "{title} has another's id"
        );
        let side = |name: &str| panel["gridPos"][name].as_u64().unwrap();
        assert!(side("x") + side("w") <= 24, "{title} is too far right");
        for x in side("x")..side("x") + side("w") {
            for y in side("y")..side("y") + side("h") {
                assert!(cells.insert((x, y)), "{title} lies on another");
            }
        }
        for target in panel["targets"].as_array().into_iter().flatten() {
            assert_eq!(target["datasource"]["uid"], "${datasource}", "{title}");
            let expression = target["expr"].as_str().unwrap();
            let grouped = grouped(expression);
            let legend = target["legendFormat"].as_str().unwrap();
            for label in legend
                .split("{{")
                .skip(1)
                .map(|rest| rest.split("}}").next().unwrap())
            {
                let left = if grouped.is_empty() {
                    let metric = metric_of(&selectors(expression)[0].name).unwrap();
                    metric.labels.contains(&label) || SCRAPED.contains(&label)
                } else {
                    grouped.contains(label)
                };
                assert!(left, "{title}: `{label}` is not among the labels that are left");
            }
        }
    }
    let provider = yaml("grafana/provisioning/dashboards/lucida.yml");
    let folder = provider["providers"][0]["options"]["path"].as_str().unwrap();
    let mounts = strings(&yaml("compose.yaml")["services"]["grafana"]["volumes"]);
    assert!(
        mounts.contains(&format!("./grafana/dashboards:{folder}:ro")),
        "{mounts:?}"
    );
}

/// Whether a series is among those that a selector asks for, as far as they are told apart by `=` and not by Prometheus.
fn asks_for(selector: &Selector, series: &Selector) -> bool {
    let fits = |matcher: &Matcher| {
        matcher.operator != "="
            || SCRAPED.contains(&&*matcher.label)
            || matcher.label == "status"
            || series.matchers.contains(matcher)
    };
    selector.name == series.name && selector.matchers.iter().all(fits)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_at_work_shows_every_series_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path()).await;
    server.use_it().await;
    let page = server.get("/metrics").await;
    let shown: Vec<_> = page
        .lines()
        .filter(|line| !line.starts_with('#'))
        .flat_map(selectors)
        .collect();
    for (place, expression) in expressions() {
        for selector in selectors(&expression) {
            let needs_settings = WITH_SETTINGS.contains(&&*selector.name);
            if selector.name == "up" || place == "alerts_test.yml" || needs_settings {
                continue;
            }
            let found = shown.iter().any(|series| asks_for(&selector, series));
            assert!(found, "{place}: a server at work shows no {selector:?}");
        }
    }
    // What the load balancer, Kubernetes and the image ask.
    server.get("/readyz?parts=metadata,index,embedder").await;
    let listen = format!("127.0.0.1:{}", server.port);
    let check = run(&["health", "--listen", &listen], []);
    assert!(check.status.success(), "{check:?}");
}
