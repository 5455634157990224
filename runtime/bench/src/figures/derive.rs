//! From what was noted to figures.

use hdrhistogram::Histogram;

use super::{StageFigures, WindowFigures};
use crate::record::{Recorder, histogram};
use crate::slo::Slo;
use crate::stability::Third;

/// Bars of a histogram in a report.
const BARS: usize = 60;

/// Answers a second that came within the objective's time.
pub(super) fn goodput(recorder: &Recorder, slo: Slo) -> f64 {
    if recorder.latency.is_empty() {
        return 0.0;
    }
    let within = recorder.latency.count_between(0, (slo.limit_us * 1e3) as u64) as f64 / recorder.latency.len() as f64;
    recorder.sums.requests as f64 / recorder.span.duration.as_secs_f64() * within
}

pub(super) fn stages(recorder: &Recorder) -> Option<StageFigures> {
    let sums = &recorder.sums;
    if sums.staged == 0 {
        return None;
    }
    let mean = |nanoseconds: u64| nanoseconds as f64 / sums.staged as f64 / 1e3;
    let [queue, tokenize, guest, gather, infer, other] = sums.stages.named().map(|(_, stage)| mean(stage));
    Some(StageFigures {
        queue_us: queue,
        tokenize_us: tokenize,
        guest_us: guest,
        gather_us: gather,
        infer_us: infer,
        other_us: other,
        outside_us: mean(sums.staged_latency_ns.saturating_sub(sums.stages.total)),
    })
}

pub(super) fn thirds(recorder: &Recorder) -> [Third; 3] {
    let (windows, seconds) = (&recorder.windows, recorder.window_s);
    [0, 1, 2].map(|third| {
        let part = &windows[windows.len() * third / 3..windows.len() * (third + 1) / 3];
        let mut latency = histogram();
        // The histograms have one width, so nothing is lost.
        part.iter().for_each(|window| latency.add(&window.latency).unwrap_or_default());
        let requests: u64 = part.iter().map(|window| window.requests).sum();
        let per_second = if part.is_empty() { 0.0 } else { requests as f64 / (seconds * part.len() as f64) };
        Third { per_second, p50: latency.value_at_quantile(0.5) as f64 }
    })
}

pub(super) fn windows(recorder: &Recorder) -> Vec<WindowFigures> {
    let seconds = recorder.window_s;
    let figures = recorder.windows.iter().map(|window| WindowFigures {
        requests_per_s: window.requests as f64 / seconds,
        p50_us: window.latency.value_at_quantile(0.5) as f64 / 1e3,
        p99_us: window.latency.value_at_quantile(0.99) as f64 / 1e3,
    });
    figures.collect()
}

/// From the smallest to the largest latency, in steps of one factor.
pub(super) fn bars(histogram: &Histogram<u64>) -> Vec<(f64, u64)> {
    if histogram.is_empty() {
        return Vec::new();
    }
    let (least, most) = (histogram.min().max(1) as f64, histogram.max().max(2) as f64 * 1.001);
    let step = (most / least).ln().max(0.05) / BARS as f64;
    let mut bars: Vec<(f64, u64)> = (1..=BARS).map(|bar| (least * (step * bar as f64).exp() / 1e3, 0)).collect();
    for value in histogram.iter_recorded() {
        let bar = ((value.value_iterated_to().max(1) as f64 / least).ln() / step) as usize;
        bars[bar.min(BARS - 1)].1 += value.count_at_value();
    }
    bars
}
