//! What a run found, as a table for people and as JSON for programs.

use std::time::Duration;

use comfy_table::{ContentArrangement, Table, presets};
use serde::Serialize;

/// How a check ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Verdict {
    /// It holds.
    Passed,
    /// It does not.
    Failed,
    /// It could not be tried.
    Skipped,
}

/// One check on one containerd.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Row {
    /// Name of the check.
    pub(crate) check: &'static str,
    /// How it ended.
    pub(crate) verdict: Verdict,
    /// What was seen, or why not.
    pub(crate) detail: String,
    /// How long it took.
    pub(crate) seconds: f64,
}

/// What was measured of several pods.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Figure {
    /// What it is.
    pub(crate) what: &'static str,
    /// `ms` or `MiB`.
    pub(crate) unit: &'static str,
    /// One value a pod, sorted.
    pub(crate) values: Vec<f64>,
}

impl Figure {
    /// Of durations.
    pub(crate) fn of_times(what: &'static str, durations: impl IntoIterator<Item = Duration>) -> Self {
        Self::new(what, "ms", durations.into_iter().map(|time| time.as_secs_f64() * 1e3))
    }

    /// Of sizes in bytes.
    pub(crate) fn of_bytes(what: &'static str, sizes: impl IntoIterator<Item = u64>) -> Self {
        #[expect(clippy::cast_precision_loss, reason = "sizes of memory are far below 2^52 bytes")]
        Self::new(what, "MiB", sizes.into_iter().map(|bytes| bytes as f64 / f64::from(1 << 20)))
    }

    fn new(what: &'static str, unit: &'static str, values: impl Iterator<Item = f64>) -> Self {
        let mut values: Vec<f64> = values.collect();
        values.sort_by(f64::total_cmp);
        Self { what, unit, values }
    }

    /// Smallest, middle and largest.
    fn summary(&self) -> Option<[f64; 3]> {
        let values = &self.values;
        Some([*values.first()?, *values.get(values.len() / 2)?, *values.last()?])
    }
}

/// Everything about one containerd.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Report {
    /// `containerd 2.1.9`.
    pub(crate) runtime: String,
    /// What ran the embedder.
    pub(crate) handler: &'static str,
    /// The checks.
    pub(crate) checks: Vec<Row>,
    /// What was measured.
    pub(crate) figures: Vec<Figure>,
}

impl Report {
    /// Whether a check failed.
    pub(crate) fn has_failed(&self) -> bool {
        self.checks.iter().any(|row| row.verdict == Verdict::Failed)
    }

    /// Two tables.
    pub(crate) fn table(&self) -> String {
        let mut checks = table(&["check", "result", "seconds", "what was seen"]);
        for row in &self.checks {
            let mark = match row.verdict {
                Verdict::Passed => "✓",
                Verdict::Failed => "✗ failed",
                Verdict::Skipped => "– skipped",
            };
            checks.add_row([row.check, mark, &format!("{:.1}", row.seconds), &row.detail]);
        }
        let mut text = format!("{}, handler {}\n{checks}\n", self.runtime, self.handler);
        if !self.figures.is_empty() {
            let mut figures = table(&["figure", "pods", "min", "median", "max", "unit"]);
            for figure in &self.figures {
                let [min, median, max] =
                    figure.summary().map(|values| values.map(|value| format!("{value:.1}"))).unwrap_or_default();
                figures.add_row([figure.what, &figure.values.len().to_string(), &min, &median, &max, figure.unit]);
            }
            text.push_str(&format!("\n{figures}\n"));
        }
        text
    }
}

fn table(header: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING).set_content_arrangement(ContentArrangement::Dynamic).set_header(header);
    if table.width().is_none() {
        table.set_width(160);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_sorted_and_summed_up() {
        let times = Figure::of_times("create", [30, 10, 20].map(Duration::from_millis));
        assert_eq!(times.summary(), Some([10.0, 20.0, 30.0]));
        assert_eq!(Figure::of_bytes("memory", [3 << 20]).summary(), Some([3.0; 3]));
        assert_eq!(Figure::of_bytes("memory", []).summary(), None);
    }

    #[test]
    fn one_failed_check_fails_the_run() {
        let row = |verdict| Row { check: "a", verdict, detail: "why".to_owned(), seconds: 0.1 };
        let mut report =
            Report { runtime: "r".to_owned(), handler: "h", checks: vec![row(Verdict::Skipped)], figures: Vec::new() };
        assert!(!report.has_failed());
        report.checks.push(row(Verdict::Failed));
        assert!(report.has_failed() && report.table().contains("failed"), "{}", report.table());
    }
}
