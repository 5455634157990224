//! `wisp bench compare`.

use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use clap::{Args, ValueEnum};
use wisp_bench::compare::{Comparison, Figure, Row};
use wisp_bench::output::sheets::Sheet;
use wisp_bench::output::{markdown, number, table};
use wisp_bench::report::{Report, SCHEMA};

use super::Failed;

/// Longest report that is read.
const REPORT_LIMIT_BYTES: u64 = 256 << 20;

/// Compare two reports that `wisp bench --output FILE.json` wrote.
///
/// A difference counts when windows differ by rank at 1 %, by at least --min-effect, and by more than the thirds of either run
/// differ among themselves. Exit code 1 on a regression.
#[derive(Args)]
pub(super) struct Compare {
    /// The report before.
    #[arg(value_name = "BEFORE.json")]
    before: PathBuf,
    /// The report after.
    #[arg(value_name = "AFTER.json")]
    after: PathBuf,
    /// The smallest difference that matters, in percent; twice as much for p99.
    #[arg(long, env = "WISP_BENCH_MIN_EFFECT", value_name = "PERCENT", default_value = "5", value_parser = parse_percent)]
    min_effect: f64,
    /// Form of the result.
    #[arg(long, env = "WISP_BENCH_COMPARE_FORMAT", default_value = "table", value_name = "FORMAT")]
    format: CompareFormat,
}

/// Form of a comparison.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum CompareFormat {
    /// For people.
    Table,
    /// For programs.
    Json,
    /// For reviews.
    Markdown,
}

impl Compare {
    pub(super) fn run(self) -> anyhow::Result<()> {
        let (before, after) = (read(&self.before)?, read(&self.after)?);
        let comparison = Comparison::of(&before, &after, self.min_effect);
        ensure!(
            !comparison.rows.is_empty(),
            "the reports have no run in common; measure with the same flags{}",
            comparison.unmatched.iter().map(|name| format!("\n  {name}")).collect::<String>()
        );
        let sheet = sheet(&comparison);
        match self.format {
            CompareFormat::Table => crate::output::line(table::draw(&sheet))?,
            CompareFormat::Markdown => crate::output::line(markdown::draw(&sheet).trim_end())?,
            CompareFormat::Json => crate::output::line(serde_json::to_string_pretty(&comparison)?)?,
        }
        for line in comparison.differences.iter().chain(&comparison.unmatched) {
            eprintln!("{line}");
        }
        let worse: Vec<_> = comparison.regressions().map(|row| format!("{} {}", row.name, row.figure)).collect();
        if worse.is_empty() {
            return Ok(());
        }
        Err(Failed { reason: format!("worse than before: {}", worse.join("; ")), exit_code: 1 }.into())
    }
}

fn sheet(comparison: &Comparison) -> Sheet {
    let mut sheet = Sheet::new(&["before and after", "figure", "before", "after", "change", "verdict"]);
    for row in &comparison.rows {
        sheet.rows.push(vec![
            row.name.clone(),
            row.figure.to_string(),
            value(row, row.before),
            value(row, row.after),
            format!("{:+.1} %", row.change * 100.0),
            row.verdict.to_string(),
        ]);
    }
    sheet
}

fn value(row: &Row, value: f64) -> String {
    match row.figure {
        Figure::Throughput => number(value),
        Figure::P50 | Figure::P99 => format!("{} ms", number(value / 1e3)),
    }
}

fn read(file: &Path) -> anyhow::Result<Report> {
    let name = || file.display().to_string();
    let size_bytes = std::fs::metadata(file).with_context(name)?.len();
    ensure!(size_bytes <= REPORT_LIMIT_BYTES, "{}: longer than any report", file.display());
    let text = std::fs::read_to_string(file).with_context(name)?;
    let report: serde_json::Value = serde_json::from_str(&text).with_context(name)?;
    let schema = report.get("schema").and_then(serde_json::Value::as_str).unwrap_or("none");
    ensure!(
        schema == SCHEMA,
        "{}: its schema is `{schema}`, this version reads `{SCHEMA}`; make it with `wisp bench --output FILE.json`",
        file.display()
    );
    serde_json::from_value(report).with_context(name)
}

fn parse_percent(text: &str) -> Result<f64, String> {
    let percent = text.trim_end_matches('%').trim().parse().ok().filter(|percent| (0.1..=1000.0).contains(percent));
    percent.map(|percent: f64| percent / 100.0).ok_or_else(|| format!("`{text}` is no percentage; give 0.1 to 1000"))
}
