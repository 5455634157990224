//! A report for a person at a terminal.

use comfy_table::{CellAlignment, ContentArrangement, Table, presets};

use super::push_line;
use super::sheets::{Sheet, preface, remarks, sheets};
use crate::report::Report;

/// The report as tables.
#[must_use]
pub fn render(report: &Report) -> String {
    let mut text = String::new();
    preface(report).iter().for_each(|line| push_line(&mut text, format_args!("{line}")));
    sheets(report).iter().for_each(|sheet| push_line(&mut text, format_args!("\n{}", draw(sheet))));
    remarks(report).iter().for_each(|line| push_line(&mut text, format_args!("{line}")));
    text
}

/// One table, as wide as the terminal allows.
#[must_use]
pub fn draw(sheet: &Sheet) -> Table {
    let mut table = Table::new();
    table.load_preset(presets::UTF8_FULL_CONDENSED).set_content_arrangement(ContentArrangement::Dynamic);
    table.set_header(&sheet.header);
    sheet.rows.iter().for_each(|row| {
        table.add_row(row);
    });
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}
