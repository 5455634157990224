//! What docs/observability.md says of figures, against what a server exports, and against the dashboard and the alerts.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use wisp_engine::Method;
use wisp_proto::v1::EmbedRequest;

use crate::promql::{self, Selector};
use crate::support::{Server, get};

/// Labels that Prometheus adds to every series.
const ADDED_LABELS: [&str; 3] = ["job", "instance", "le"];

/// A metric, as documented or exported.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Metric {
    kind: String,
    labels: BTreeSet<String>,
}

type Metrics = BTreeMap<String, Metric>;

fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(path)
}

fn read(path: &str) -> String {
    std::fs::read_to_string(repository(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The cells of the table under a heading whose first column is called `first`.
fn table(markdown: &str, first: &str) -> Vec<Vec<String>> {
    let cells = |line: &str| -> Vec<String> {
        line.trim().trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect()
    };
    let lines = markdown.lines().skip_while(|line| !line.starts_with(&format!("| {first} |"))).skip(2);
    lines.take_while(|line| line.starts_with('|')).map(cells).collect()
}

/// What stands between backticks.
fn quoted(cell: &str) -> BTreeSet<String> {
    cell.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

fn documented() -> Metrics {
    let rows = table(&read("docs/observability.md"), "metric");
    let metric = |row: Vec<String>| {
        let name = row[0].trim_matches('`').to_owned();
        (name, Metric { kind: row[1].clone(), labels: quoted(&row[2]) })
    };
    rows.into_iter().map(metric).collect()
}

fn documented_values() -> BTreeMap<String, BTreeSet<String>> {
    let rows = table(&read("docs/observability.md"), "label");
    rows.into_iter().map(|row| (row[0].trim_matches('`').to_owned(), quoted(&row[1]))).collect()
}

/// The metrics of an exposition, under the names that queries use, and the values of their labels.
fn exported(text: &str) -> (Metrics, BTreeMap<String, BTreeSet<String>>) {
    let mut metrics = Metrics::new();
    let mut values: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let mut name = String::new();
    for line in text.lines() {
        if let Some((family, kind)) = line.strip_prefix("# TYPE ").and_then(|rest| rest.split_once(' ')) {
            name = match kind {
                "counter" => format!("{family}_total"),
                "info" => format!("{family}_info"),
                _ => family.to_owned(),
            };
            metrics.insert(name.clone(), Metric { kind: kind.to_owned(), labels: BTreeSet::new() });
        } else if !line.starts_with('#') {
            assert!(line.starts_with(&name), "`{line}` after {name}");
            for (label, value) in promql::labels(line).into_iter().filter(|(label, _)| label != "le") {
                metrics.get_mut(&name).expect("was just put in").labels.insert(label.clone());
                values.entry(label).or_default().insert(value);
            }
        }
    }
    (metrics, values)
}

#[tokio::test]
async fn what_is_exported_is_what_is_documented() {
    let Some(server) = Server::start_with_admin("what_is_exported_is_what_is_documented", &[]) else { return };
    let message = EmbedRequest { texts: vec!["a harbour".to_owned()], ..EmbedRequest::default() };
    server.client().await.embed(message).await.expect("embeds");
    let response = get(&server.admin, "/metrics");
    let text = response.split_once("\r\n\r\n").expect("a body").1;
    server.stop_cleanly();
    assert!(text.ends_with("# EOF\n"), "{text}");
    let (exported, values) = exported(text);
    let documented = documented();
    for (name, metric) in &exported {
        assert_eq!(documented.get(name), Some(metric), "{name} is exported; see docs/observability.md");
    }
    for name in documented.keys() {
        assert!(exported.contains_key(name), "{name} is in docs/observability.md and not exported");
    }
    for (label, documented) in documented_values() {
        let exported = values.get(&label).unwrap_or_else(|| panic!("no series has the label {label}"));
        let unknown: Vec<_> = exported.difference(&documented).collect();
        assert!(unknown.is_empty(), "{label}: {unknown:?} are not in docs/observability.md");
        // What is a series of zeros from the start is exported whole.
        if ["reason", "stage", "listener", "outcome"].contains(&label.as_str()) {
            assert_eq!(*exported, documented, "{label}");
        }
    }
}

#[test]
fn every_method_is_documented() {
    let names: BTreeSet<String> = Method::ALL.iter().map(|method| method.name().to_owned()).collect();
    assert_eq!(documented_values()["method"], names);
}

/// Checks that a query asks for what exists.
fn check(query: &str, place: &str) {
    let documented = documented();
    let selectors = promql::selectors(query);
    assert!(!selectors.is_empty(), "{place}: no metric in `{query}`");
    for Selector { metric, labels } in selectors {
        let found = documented.get(&metric).or_else(|| {
            let base = ["_bucket", "_sum", "_count"].iter().find_map(|end| metric.strip_suffix(end))?;
            documented.get(base).filter(|base| base.kind == "histogram")
        });
        let found = found.unwrap_or_else(|| panic!("{place}: `{metric}` is not in docs/observability.md"));
        for label in labels.iter().filter(|label| !ADDED_LABELS.contains(&label.as_str())) {
            assert!(found.labels.contains(label), "{place}: `{metric}` has no label `{label}`");
        }
    }
    let known: BTreeSet<&String> = documented.values().flat_map(|metric| &metric.labels).collect();
    for label in promql::grouped_by(query).iter().filter(|label| !ADDED_LABELS.contains(&label.as_str())) {
        assert!(known.contains(label), "{place}: no metric has the label `{label}`");
    }
}

#[test]
fn the_dashboard_asks_for_what_exists() {
    let dashboard: serde_json::Value =
        serde_json::from_str(&read("charts/wisp/files/dashboard.json")).expect("is JSON");
    let panels = dashboard["panels"].as_array().expect("panels");
    let mut queries = 0;
    for panel in panels {
        let title = panel["title"].as_str().expect("a title");
        for target in panel["targets"].as_array().into_iter().flatten() {
            check(target["expr"].as_str().expect("a query"), title);
            queries += 1;
        }
    }
    assert!(queries > 20, "{queries}");
    for variable in dashboard["templating"]["list"].as_array().expect("variables") {
        if let Some(query) = variable["definition"].as_str() {
            // `label_values(SELECTOR, LABEL)`, which is Grafana's.
            let selector = query.trim_start_matches("label_values(").rsplit_once(',').expect("two arguments").0;
            check(selector, variable["name"].as_str().expect("a name"));
        }
    }
    let ids: BTreeSet<_> = panels.iter().map(|panel| panel["id"].as_u64()).collect();
    assert_eq!(ids.len(), panels.len(), "panels have ids of their own");
}

#[test]
fn the_alerts_ask_for_what_exists_and_say_what_to_do() {
    let rules = promql::rules(&read("charts/wisp/files/alerts.yaml"));
    assert!(rules.len() >= 8, "{rules:?}");
    for rule in &rules {
        check(&rule.expr, &rule.alert);
        assert!(rule.has_summary && rule.has_description && rule.has_severity, "{rule:?}");
    }
    let names: BTreeSet<_> = rules.iter().map(|rule| &rule.alert).collect();
    assert_eq!(names.len(), rules.len());
}
