//! Every alert says what it means and what to do.

use std::collections::BTreeSet;

use crate::files::{CLUSTER, text, yaml};

#[test]
fn every_alert_has_a_severity_a_summary_and_a_chapter_and_every_chapter_an_alert() {
    let readme = text(&format!("{CLUSTER}/README.md"));
    let chapters = readme
        .split("\n## ")
        .find(|chapter| chapter.starts_with("The alerts\n"))
        .unwrap();
    let chapters: BTreeSet<_> = chapters
        .split("\n### ")
        .skip(1)
        .map(|text| text.lines().next().unwrap().to_owned())
        .collect();
    let mut alerts = BTreeSet::new();
    for group in yaml("alerts.yml")["groups"].as_array().unwrap() {
        for rule in group["rules"].as_array().unwrap() {
            let name = rule["alert"].as_str().unwrap();
            let severity = rule["labels"]["severity"].as_str().unwrap();
            assert!(["page", "ticket"].contains(&severity), "{name}: {severity}");
            assert!(
                !rule["annotations"]["summary"].as_str().unwrap().is_empty(),
                "{name}"
            );
            let runbook = format!("README.md#{}", name.to_lowercase());
            assert_eq!(rule["annotations"]["runbook"], runbook.as_str(), "{name}");
            alerts.insert(name.to_owned());
        }
    }
    assert_eq!(alerts, chapters);
}
