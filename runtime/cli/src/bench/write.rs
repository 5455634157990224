//! Reports to standard output and to files.

use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::ValueEnum;
use wisp_bench::output::{csv, html, markdown, table};
use wisp_bench::report::Report;

/// Form of a report.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum BenchFormat {
    /// For people.
    Table,
    /// For programs; docs/benchmarks.md describes it.
    Json,
    /// For documents.
    Markdown,
    /// For spreadsheets: one line a stream of a run.
    Csv,
    /// For a browser: tables and plots in one file.
    Html,
}

impl BenchFormat {
    fn of(file: &Path) -> Option<Self> {
        match file.extension()?.to_str()? {
            "json" => Some(Self::Json),
            "html" | "htm" => Some(Self::Html),
            "md" => Some(Self::Markdown),
            "csv" => Some(Self::Csv),
            "txt" => Some(Self::Table),
            _ => None,
        }
    }

    fn render(self, report: &Report) -> anyhow::Result<String> {
        Ok(match self {
            Self::Table => table::render(report),
            Self::Json => serde_json::to_string_pretty(report)?,
            Self::Markdown => markdown::render(report),
            Self::Csv => csv::render(report),
            Self::Html => html::render(report),
        })
    }
}

/// A file whose ending names a form.
pub(super) fn check_ending(text: &str) -> Result<PathBuf, String> {
    let file = PathBuf::from(text);
    let is_known = BenchFormat::of(&file).is_some();
    is_known
        .then_some(file)
        .ok_or_else(|| format!("`{text}` has no known ending; one of .json, .html, .md, .csv, .txt"))
}

/// Prints a report.
pub(super) fn print(report: &Report, format: BenchFormat) -> anyhow::Result<()> {
    Ok(crate::output::line(format.render(report)?.trim_end())?)
}

/// Writes a report in the form of the file's ending.
pub(super) fn write(report: &Report, file: &Path) -> anyhow::Result<()> {
    let format = BenchFormat::of(file).unwrap_or(BenchFormat::Json);
    std::fs::write(file, format.render(report)?).with_context(|| file.display().to_string())?;
    eprintln!("written to {}", file.display());
    Ok(())
}
