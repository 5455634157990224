//! A report as Markdown, for documentation and reviews.

use super::push_line;
use super::sheets::{Sheet, preface, remarks, sheets};
use crate::report::Report;

/// The report as Markdown tables.
#[must_use]
pub fn render(report: &Report) -> String {
    let mut text = String::new();
    preface(report).iter().for_each(|line| push_line(&mut text, format_args!("{line}  ")));
    for sheet in sheets(report) {
        push_line(&mut text, format_args!("\n{}", draw(&sheet).trim_end()));
    }
    for line in remarks(report) {
        push_line(&mut text, format_args!("\n- {line}"));
    }
    text
}

/// One table.
#[must_use]
pub fn draw(sheet: &Sheet) -> String {
    let mut text = String::new();
    let line = |cells: &[String]| {
        let cells: Vec<_> = cells.iter().map(|cell| cell.replace('|', "\\|").replace('\n', " ")).collect();
        format!("| {} |", cells.join(" | "))
    };
    push_line(&mut text, format_args!("{}", line(&sheet.header)));
    let columns = sheet.header.len().saturating_sub(1);
    push_line(&mut text, format_args!("|---|{}", "---:|".repeat(columns)));
    sheet.rows.iter().for_each(|row| push_line(&mut text, format_args!("{}", line(row))));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_break_a_table_is_escaped() {
        let sheet = Sheet {
            header: vec!["a".to_owned(), "b".to_owned()],
            rows: vec![vec!["x|y".to_owned(), "1\n2".to_owned()]],
        };
        assert_eq!(draw(&sheet), "| a | b |\n|---|---:|\n| x\\|y | 1 2 |\n");
    }
}
