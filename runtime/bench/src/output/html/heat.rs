//! A heat map of shapes: rows downwards, tokens to the right, darker where more tokens a second are computed.

use std::fmt::Write;

use super::svg::{figure, short};
use crate::report::Report;
use crate::shapes::ShapeFigures;

const CELL: (f64, f64) = (96.0, 44.0);
const LEFT: f64 = 70.0;
const TOP: f64 = 34.0;

/// One map a model, placement and precision.
pub(super) fn shapes(report: &Report) -> String {
    let most = report.shapes.iter().map(|figures| figures.tokens_per_s).fold(0.0, f64::max);
    let mut names: Vec<&str> = Vec::new();
    for figures in &report.shapes {
        if !names.contains(&figures.computed_by.as_str()) {
            names.push(&figures.computed_by);
        }
    }
    let maps: Vec<_> = names.iter().map(|name| map(name, &report.shapes, most)).collect();
    if maps.is_empty() { String::new() } else { format!("<div class=\"plots\">{}</div>", maps.concat()) }
}

fn map(name: &str, shapes: &[ShapeFigures], most: f64) -> String {
    let mine: Vec<_> = shapes.iter().filter(|figures| figures.computed_by == name).collect();
    let axis = |of: fn(&ShapeFigures) -> usize| {
        let mut values: Vec<usize> = mine.iter().map(|figures| of(figures)).collect();
        values.sort_unstable();
        values.dedup();
        values
    };
    let (rows, tokens) = (axis(|figures| figures.shape.rows), axis(|figures| figures.shape.tokens));
    let mut svg = String::from("<text class=\"faint\" x=\"4\" y=\"14\">rows \\ tokens</text>");
    for (column, count) in tokens.iter().enumerate() {
        let at = LEFT + CELL.0 * (column as f64 + 0.5);
        let _ = write!(svg, "<text class=\"faint\" x=\"{at:.1}\" y=\"26\" text-anchor=\"middle\">{count}</text>");
    }
    for (line, count) in rows.iter().enumerate() {
        let at = TOP + CELL.1 * (line as f64 + 0.5) + 4.0;
        let _ = write!(
            svg,
            "<text class=\"faint\" x=\"{:.1}\" y=\"{at:.1}\" text-anchor=\"end\">{count}</text>",
            LEFT - 8.0
        );
    }
    for figures in &mine {
        let place =
            |values: &[usize], value: usize| values.iter().position(|&known| known == value).unwrap_or(0) as f64;
        let x = LEFT + CELL.0 * place(&tokens, figures.shape.tokens);
        let y = TOP + CELL.1 * place(&rows, figures.shape.rows);
        let share = if most > 0.0 { figures.tokens_per_s / most } else { 0.0 };
        let (width, height) = (CELL.0 - 3.0, CELL.1 - 3.0);
        let _ = write!(
            svg,
            "<rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width}\" height=\"{height}\" rx=\"3\" fill=\"rgba(var(--heat), {:.2})\"/>",
            0.08 + 0.5 * share
        );
        let (middle, rate) = (x + width / 2.0, short(figures.rows_per_s));
        let _ = write!(svg, "<text x=\"{middle:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{rate}/s</text>", y + 18.0);
        let _ = write!(
            svg,
            "<text class=\"faint\" x=\"{middle:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{:.2} ms</text>",
            y + 33.0,
            figures.median_ms
        );
    }
    let size = (LEFT + CELL.0 * tokens.len() as f64 + 4.0, TOP + CELL.1 * rows.len() as f64 + 4.0);
    figure(&format!("{name}: texts a second, and milliseconds of a batch"), size, &svg)
}
