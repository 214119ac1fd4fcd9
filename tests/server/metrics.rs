//! What operators see: after one upload and one search `/metrics` has every metric of the list, and no other.

use std::collections::BTreeSet;
use std::io::Cursor;

use crate::process::Server;
use crate::with_settings::WITH_SETTINGS;
use lucida_core::metrics::{ALL, MetricKind};

#[tokio::test(flavor = "multi_thread")]
async fn metrics_after_an_upload_and_a_search_are_those_of_the_list() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), &[]).await;
    let mut photo = Vec::new();
    let gradient = lucida_core::Picture::gradient(300, 200);
    gradient
        .pixels()
        .write_to(&mut Cursor::new(&mut photo), image::ImageFormat::Jpeg)
        .unwrap();
    let answer = server.upload(photo, "gradient.jpg", true).await.unwrap();
    assert_eq!(answer.status(), 201, "{}", answer.text().await.unwrap());
    server.search_text("a gradient", 5).await;

    let text = server.get("/metrics").await.unwrap().text().await.unwrap();
    let described = |what: &str| -> BTreeSet<String> {
        let lines = text.lines().filter_map(|line| line.strip_prefix(what));
        lines
            .map(|line| line.split(' ').next().unwrap().to_owned())
            .collect()
    };
    let expected = || ALL.iter().filter(|metric| !WITH_SETTINGS.contains(&metric.name));
    let listed: BTreeSet<_> = expected().map(|metric| metric.name.to_owned()).collect();
    assert_eq!(described("# HELP "), listed);
    assert_eq!(described("# TYPE "), listed);

    for metric in expected() {
        let kind = match metric.kind {
            MetricKind::Counter => "counter",
            MetricKind::Gauge => "gauge",
            MetricKind::Histogram => "histogram",
        };
        assert!(
            text.contains(&format!("# TYPE {} {kind}", metric.name)),
            "{} is no {kind}",
            metric.name
        );
        let series: Vec<_> = text
            .lines()
            .filter(|line| line.starts_with(metric.name))
            .collect();
        assert!(!series.is_empty(), "{} has no series", metric.name);
        for label in metric.labels {
            let named = |line: &&&str| line.contains(&format!("{label}=\""));
            assert_eq!(
                series.iter().filter(named).count(),
                series.len(),
                "{} lacks {label}",
                metric.name
            );
        }
    }
    for line in [
        "lucida_ingest_photos_total{outcome=\"ready\"} 1",
        "lucida_photos{state=\"ready\"} 1",
        "lucida_photos{state=\"pending\"} 0",
        "lucida_breaker_open{part=\"index\"} 0",
        "lucida_embedder_loaded{model=\"starter\",tower=\"image\"} 1",
        "lucida_embedder_overloaded_total{model=\"starter\"} 0",
        "lucida_http_requests_total{route=\"/v1/photos\",method=\"POST\",status=\"201\"} 1",
        "lucida_http_requests_total{route=\"/v1/search\",method=\"POST\",status=\"200\"} 1",
    ] {
        assert!(
            text.lines().any(|found| found == line),
            "no line `{line}` in\n{text}"
        );
    }
    assert!(server.stop());
}
