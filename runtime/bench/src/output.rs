//! A report in the forms that people and programs read.

pub mod csv;
pub mod extras;
pub mod html;
pub mod markdown;
pub mod sheets;
pub mod table;

use std::fmt::Write;

/// A number with as many digits as help: three that mean something, and no more than one hundredth.
#[must_use]
pub fn number(value: f64) -> String {
    match value.abs() {
        size if size >= 100.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

/// Microseconds as milliseconds.
#[must_use]
pub fn milliseconds(microseconds: f64) -> String {
    number(microseconds / 1e3)
}

/// A figure that not every target tells.
#[must_use]
pub fn optional(value: Option<f64>, text: impl Fn(f64) -> String) -> String {
    value.map_or("—".to_owned(), text)
}

/// A share in percent.
#[must_use]
pub fn percent(share: f64) -> String {
    format!("{:.1} %", share * 100.0)
}

/// Bytes as megabytes.
#[must_use]
pub fn megabytes(bytes: u64) -> String {
    format!("{:.0} MB", bytes as f64 / 1e6)
}

/// Puts a line under a text.
pub(crate) fn push_line(text: &mut String, line: std::fmt::Arguments<'_>) {
    // Writing to a string cannot fail.
    let _ = writeln!(text, "{line}");
}
