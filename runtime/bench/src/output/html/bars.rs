//! Bars: where the time of a request goes, and how latencies are distributed.

use std::fmt::Write;

use super::svg::{Scale, axes, colour, escape, figure, short};
use crate::figures::StreamFigures;
use crate::output::sheets::rows;
use crate::report::Report;

const WIDTH: f64 = 1100.0;
const LABEL: f64 = 330.0;
const ROW: f64 = 22.0;

const HISTOGRAM: (f64, f64) = (360.0, 190.0);

/// Histograms in a page: more are not looked at, and each takes some kilobytes.
const HISTOGRAMS_LIMIT: usize = 60;

/// One bar a stream, cut into the mean times of its stages.
pub(super) fn stages(report: &Report) -> String {
    let told: Vec<_> =
        rows(report).filter_map(|(name, _, stream)| Some((name, stream.stages.as_ref()?.named()))).collect();
    let Some((_, first)) = told.first() else { return String::new() };
    let most = told.iter().map(|(_, stages)| stages.iter().map(|stage| stage.1).sum::<f64>()).fold(0.0, f64::max);
    let x = Scale::linear(most / 1e3, LABEL, WIDTH - 12.0);
    let height = 40.0 + ROW * told.len() as f64 + 24.0;
    let mut svg = String::new();
    for (index, (stage, _)) in first.iter().enumerate() {
        let at = LABEL + index as f64 * 105.0;
        let _ = write!(svg, "<rect x=\"{at:.1}\" y=\"6\" width=\"10\" height=\"10\" fill=\"{}\"/>", colour(index));
        let _ = write!(svg, "<text x=\"{:.1}\" y=\"15\">{stage}</text>", at + 15.0);
    }
    for (row, (name, stages)) in told.iter().enumerate() {
        let top = 30.0 + ROW * row as f64;
        let (right, line) = (LABEL - 10.0, top + 13.0);
        let _ = write!(svg, "<text x=\"{right:.1}\" y=\"{line:.1}\" text-anchor=\"end\">{}</text>", escape(name));
        let mut so_far = 0.0;
        for (index, (stage, microseconds)) in stages.iter().enumerate() {
            let (from, to) = (x.at(so_far / 1e3), x.at((so_far + microseconds) / 1e3));
            so_far += microseconds;
            let title = format!("{stage}: {:.3} ms", microseconds / 1e3);
            let _ = write!(
                svg,
                "<rect x=\"{from:.1}\" y=\"{top:.1}\" width=\"{:.1}\" height=\"16\" fill=\"{}\"><title>{title}</title></rect>",
                (to - from).max(0.0),
                colour(index)
            );
        }
    }
    for tick in x.ticks() {
        let (at, label) = (x.at(tick), short(tick));
        let _ = write!(
            svg,
            "<text class=\"faint\" x=\"{at:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{label}</text>",
            height - 8.0
        );
    }
    figure("mean time of a request in milliseconds, by stage", (WIDTH, height), &svg)
}

/// One small plot a stream.
pub(super) fn histograms(report: &Report) -> String {
    let plots: Vec<_> = rows(report)
        .filter(|(_, _, stream)| !stream.histogram.is_empty())
        .take(HISTOGRAMS_LIMIT)
        .map(|(name, _, stream)| histogram(&name, stream))
        .collect();
    if plots.is_empty() { String::new() } else { format!("<div class=\"plots\">{}</div>", plots.concat()) }
}

fn histogram(name: &str, stream: &StreamFigures) -> String {
    let bars = &stream.histogram;
    let (first, last) = (bars[0].0 / 1e3, bars[bars.len() - 1].0 / 1e3);
    // Bars are as wide as each other by logarithm.
    let factor = if bars.len() > 1 { bars[1].0 / bars[0].0 } else { 1.1 };
    let x = Scale::logarithmic(first / factor, last, 40.0, HISTOGRAM.0 - 10.0);
    let most = bars.iter().map(|bar| bar.1).max().unwrap_or(0) as f64;
    let y = Scale::linear(most, HISTOGRAM.1 - 40.0, 20.0);
    let mut svg = axes(&x, &y, ("ms", "answers"), HISTOGRAM);
    for &(upper_us, count) in bars.iter().filter(|bar| bar.1 > 0) {
        let (from, to, top) = (x.at(upper_us / 1e3 / factor), x.at(upper_us / 1e3), y.at(count as f64));
        let (width, height) = ((to - from - 0.5).max(0.5), y.at(0.0) - top);
        let _ = write!(
            svg,
            "<rect x=\"{from:.1}\" y=\"{top:.1}\" width=\"{width:.1}\" height=\"{height:.1}\" fill=\"{}\"/>",
            colour(0)
        );
    }
    if let Some(latency) = stream.latency {
        for (label, microseconds) in [("p50", latency.p50_us), ("p99", latency.p99_us)] {
            let at = x.at(microseconds / 1e3);
            let _ = write!(
                svg,
                "<line x1=\"{at:.1}\" x2=\"{at:.1}\" y1=\"20\" y2=\"{:.1}\" stroke=\"{}\" stroke-dasharray=\"3 3\"/>",
                y.at(0.0),
                colour(1)
            );
            let _ = write!(svg, "<text x=\"{at:.1}\" y=\"16\" text-anchor=\"middle\">{label}</text>");
        }
    }
    figure(name, HISTOGRAM, &svg)
}
