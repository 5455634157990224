//! Latency versus load: a line a target, from the lightest load to the heaviest.

use std::fmt::Write;

use super::svg::{Scale, axes, colour, escape, figure};
use crate::load::Load;
use crate::report::Report;

const SIZE: (f64, f64) = (560.0, 340.0);
const LEFT: f64 = 52.0;
const TOP: f64 = 22.0;
const BOTTOM: f64 = 44.0;
const LEGEND_LINE: f64 = 16.0;

/// The points of one line: answers a second, and milliseconds at the median and the 99th percentile.
struct Series {
    name: String,
    points: Vec<(f64, f64, f64)>,
}

/// One plot a mix: loads of one target and deployment are one line. Empty without at least two loads of anything.
pub(super) fn latency_by_load(report: &Report) -> String {
    let mut mixes: Vec<(String, Vec<Series>)> = Vec::new();
    for run in report.runs.iter().filter(|run| run.streams.len() == 1) {
        let stream = &run.streams[0];
        let Some(latency) = stream.latency else { continue };
        let facts = &stream.facts;
        let variant = run.variant.as_ref().map_or(String::new(), |variant| format!("{variant}: "));
        let loop_kind = if matches!(facts.load, Load::Clients(_)) { "clients" } else { "open loop" };
        let name = format!("{variant}{} {}, {loop_kind}", run.target, facts.deployment);
        let all = find(&mut mixes, &facts.mix, Vec::new);
        let index = all.iter().position(|series| series.name == name).unwrap_or_else(|| {
            all.push(Series { name, points: Vec::new() });
            all.len() - 1
        });
        all[index].points.push((stream.requests_per_s, latency.p50_us / 1e3, latency.p99_us / 1e3));
    }
    let mut figures = String::new();
    for (mix, mut series) in mixes {
        series.retain(|series| series.points.len() > 1);
        if !series.is_empty() {
            figures += &plot(&mix, &mut series);
        }
    }
    if figures.is_empty() { figures } else { format!("<div class=\"plots wide\">{figures}</div>") }
}

fn find<'a, T>(list: &'a mut Vec<(String, T)>, name: &str, new: impl Fn() -> T) -> &'a mut T {
    let index = list.iter().position(|(known, _)| known == name).unwrap_or_else(|| {
        list.push((name.to_owned(), new()));
        list.len() - 1
    });
    &mut list[index].1
}

fn plot(mix: &str, series: &mut [Series]) -> String {
    let all = || series.iter().flat_map(|series| series.points.iter());
    let most_rate = all().map(|point| point.0).fold(0.0, f64::max);
    let least = all().map(|point| point.1).fold(f64::INFINITY, f64::min);
    let most = all().map(|point| point.2).fold(0.0, f64::max);
    let height = SIZE.1 + LEGEND_LINE * series.len() as f64;
    let x = Scale::linear(most_rate, LEFT, SIZE.0 - 12.0);
    let y = Scale::logarithmic(least * 0.8, most * 1.2, SIZE.1 - BOTTOM, TOP);
    let mut svg = axes(&x, &y, ("answers a second", "ms"), SIZE);
    for (index, series) in series.iter_mut().enumerate() {
        let colour = colour(index);
        for (class, of) in [("series", 1), ("series tail", 2)] {
            let value = |point: &(f64, f64, f64)| if of == 1 { point.1 } else { point.2 };
            let points: Vec<_> =
                series.points.iter().map(|point| format!("{:.1},{:.1}", x.at(point.0), y.at(value(point)))).collect();
            let points_text = points.join(" ");
            let _ = write!(svg, "<polyline class=\"{class}\" stroke=\"{colour}\" points=\"{points_text}\"/>");
            for point in &series.points {
                let (cx, cy) = (x.at(point.0), y.at(value(point)));
                let title = format!("{:.1}/s, {:.2} ms", point.0, value(point));
                let _ = write!(
                    svg,
                    "<circle cx=\"{cx:.1}\" cy=\"{cy:.1}\" r=\"3\" fill=\"{colour}\"><title>{title}</title></circle>"
                );
            }
        }
        let (line, name) = (SIZE.1 + LEGEND_LINE * (index as f64 + 0.6), escape(&series.name));
        let _ =
            write!(svg, "<rect x=\"{LEFT}\" y=\"{:.1}\" width=\"10\" height=\"10\" fill=\"{colour}\"/>", line - 9.0);
        let _ = write!(svg, "<text x=\"{:.1}\" y=\"{line:.1}\">{name}</text>", LEFT + 16.0);
    }
    figure(&format!("{mix}: p50 (solid) and p99 (dashed)"), (SIZE.0, height), &svg)
}
