//! A report as one HTML file that needs nothing else: tables, and plots as inline SVG, in light and dark.

mod bars;
mod heat;
mod lines;
mod svg;

use super::push_line;
use super::sheets::{Sheet, preface, remarks, sheets};
use crate::report::Report;
use svg::escape;

const STYLE: &str = include_str!("html/style.css");

/// The report as a page.
#[must_use]
pub fn render(report: &Report) -> String {
    let mut page = String::new();
    let title = format!("wisp bench, {}", report.environment.date);
    push_line(&mut page, format_args!("<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">"));
    push_line(&mut page, format_args!("<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">"));
    push_line(&mut page, format_args!("<meta name=\"color-scheme\" content=\"light dark\">"));
    push_line(&mut page, format_args!("<title>{}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>", escape(&title)));
    push_line(&mut page, format_args!("<h1>{}</h1>", escape(&title)));
    let facts: Vec<_> = preface(report).iter().map(|line| escape(line)).collect();
    push_line(&mut page, format_args!("<p class=\"facts\">{}</p>", facts.join("<br>\n")));
    for line in remarks(report) {
        push_line(&mut page, format_args!("<p class=\"remark\">{}</p>", escape(&line)));
    }
    let plots = [
        ("Latency versus load", lines::latency_by_load(report)),
        ("Where the time goes", bars::stages(report)),
        ("Distribution of latency", bars::histograms(report)),
        ("Shapes of batches", heat::shapes(report)),
    ];
    for (heading, plot) in plots {
        if !plot.is_empty() {
            push_line(&mut page, format_args!("<section>\n<h2>{heading}</h2>\n{plot}\n</section>"));
        }
    }
    push_line(&mut page, format_args!("<section>\n<h2>Figures</h2>"));
    sheets(report).iter().for_each(|sheet| push_line(&mut page, format_args!("{}", table(sheet))));
    push_line(&mut page, format_args!("</section>\n</body>\n</html>"));
    page
}

fn table(sheet: &Sheet) -> String {
    let cells = |tag: &str, cells: &[String]| {
        let cells: Vec<_> = cells.iter().map(|cell| format!("<{tag}>{}</{tag}>", escape(cell))).collect();
        format!("<tr>{}</tr>", cells.concat())
    };
    let rows: Vec<_> = sheet.rows.iter().map(|row| cells("td", row)).collect();
    format!(
        "<div class=\"scroll\"><table>\n<thead>{}</thead>\n<tbody>\n{}\n</tbody>\n</table></div>",
        cells("th", &sheet.header),
        rows.join("\n")
    )
}

#[cfg(test)]
mod tests;
