//! Tables for people.

use comfy_table::{ContentArrangement, Table, presets};

/// A table with these columns, as wide as the terminal allows.
pub(crate) fn with_header(columns: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_preset(presets::UTF8_FULL_CONDENSED).set_content_arrangement(ContentArrangement::Dynamic);
    table.set_header(columns);
    table
}

/// A text cut to `limit` characters, on one line.
pub(crate) fn shorten(text: &str, limit: usize) -> String {
    let line: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    if line.chars().count() <= limit {
        return line;
    }
    line.chars().take(limit.saturating_sub(1)).chain(['…']).collect()
}
