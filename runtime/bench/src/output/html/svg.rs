//! Pieces of SVG: escaped text, scales, axes.

use std::fmt::Write;

/// Colours that a plot has; further series begin anew.
const COLOURS: usize = 8;

/// Text that is safe between tags and in attributes.
pub(super) fn escape(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            c => safe.push(c),
        }
    }
    safe
}

/// The colour of a series, as the style sheet names it.
pub(super) fn colour(series: usize) -> String {
    format!("var(--c{})", series % COLOURS)
}

/// Values to pixels, linear or by logarithm.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scale {
    least: f64,
    most: f64,
    from: f64,
    to: f64,
    is_logarithmic: bool,
}

impl Scale {
    /// From 0 to a little above the largest value.
    pub(super) fn linear(most: f64, from: f64, to: f64) -> Self {
        Self { least: 0.0, most: if most > 0.0 { most * 1.05 } else { 1.0 }, from, to, is_logarithmic: false }
    }

    /// From the smallest to the largest value, both above 0.
    pub(super) fn logarithmic(least: f64, most: f64, from: f64, to: f64) -> Self {
        let least = least.max(f64::MIN_POSITIVE);
        let most = if most > least { most } else { least * 10.0 };
        Self { least, most, from, to, is_logarithmic: true }
    }

    /// Where a value lies.
    pub(super) fn at(&self, value: f64) -> f64 {
        let share = if self.is_logarithmic {
            (value.max(self.least) / self.least).ln() / (self.most / self.least).ln()
        } else {
            (value - self.least) / (self.most - self.least)
        };
        self.from + share * (self.to - self.from)
    }

    /// Round values to write at the axis.
    pub(super) fn ticks(&self) -> Vec<f64> {
        if self.is_logarithmic {
            let powers = self.least.log10().floor() as i32..=self.most.log10().ceil() as i32;
            let steps = powers.flat_map(|power| [1.0, 1.5, 2.0, 3.0, 5.0, 7.0].map(|digit| digit * 10_f64.powi(power)));
            let all: Vec<f64> = steps.filter(|value| (self.least..=self.most).contains(value)).collect();
            let every = all.len().div_ceil(7).max(1);
            return all.into_iter().step_by(every).collect();
        }
        let rough = (self.most - self.least) / 5.0;
        let power = 10_f64.powf(rough.log10().floor());
        let step = [1.0, 2.0, 5.0, 10.0].into_iter().map(|digit| digit * power).find(|step| *step >= rough);
        let step = step.unwrap_or(power * 10.0);
        let count = ((self.most - self.least) / step).floor() as usize;
        (0..=count).map(|tick| self.least + tick as f64 * step).collect()
    }
}

/// A number for an axis.
pub(super) fn short(value: f64) -> String {
    match value {
        value if value >= 1e6 => format!("{}M", trimmed(value / 1e6)),
        value if value >= 1e4 => format!("{}k", trimmed(value / 1e3)),
        value => trimmed(value),
    }
}

fn trimmed(value: f64) -> String {
    let text = if value >= 10.0 || value == 0.0 { format!("{value:.0}") } else { format!("{value:.2}") };
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

/// The frame of a plot: both axes with their ticks and names.
pub(super) fn axes(x: &Scale, y: &Scale, names: (&str, &str), size: (f64, f64)) -> String {
    let mut svg = String::new();
    let (bottom, left, right) = (y.from, x.from, x.to);
    for tick in y.ticks() {
        let at = y.at(tick);
        let _ = write!(svg, "<line class=\"rule\" x1=\"{left:.1}\" x2=\"{right:.1}\" y1=\"{at:.1}\" y2=\"{at:.1}\"/>");
        let (x, label) = (left - 6.0, short(tick));
        let _ =
            write!(svg, "<text class=\"faint\" x=\"{x:.1}\" y=\"{:.1}\" text-anchor=\"end\">{label}</text>", at + 4.0);
    }
    for tick in x.ticks() {
        let (at, label) = (x.at(tick), short(tick));
        let y = bottom + 15.0;
        let _ = write!(svg, "<text class=\"faint\" x=\"{at:.1}\" y=\"{y:.1}\" text-anchor=\"middle\">{label}</text>");
    }
    let _ =
        write!(svg, "<line class=\"rule\" x1=\"{left:.1}\" x2=\"{right:.1}\" y1=\"{bottom:.1}\" y2=\"{bottom:.1}\"/>");
    let (middle, below) = (f64::midpoint(left, right), size.1 - 4.0);
    let (x_name, y_name) = (escape(names.0), escape(names.1));
    let _ =
        write!(svg, "<text class=\"faint\" x=\"{middle:.1}\" y=\"{below:.1}\" text-anchor=\"middle\">{x_name}</text>");
    let _ = write!(svg, "<text class=\"faint\" x=\"4\" y=\"12\">{y_name}</text>");
    svg
}

/// A figure with its caption.
pub(super) fn figure(caption: &str, size: (f64, f64), content: &str) -> String {
    let caption = escape(caption);
    format!(
        "<figure><figcaption>{caption}</figcaption><svg viewBox=\"0 0 {} {}\" role=\"img\" aria-label=\"{caption}\">{content}</svg></figure>",
        size.0, size.1
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_in_a_name_becomes_markup() {
        assert_eq!(escape("<b a=\"1\">&'"), "&lt;b a=&quot;1&quot;&gt;&amp;&#39;");
    }

    #[test]
    fn ticks_are_round_and_inside() {
        assert_eq!(Scale::linear(100.0, 0.0, 1.0).ticks(), [0.0, 50.0, 100.0]);
        let ticks = Scale::logarithmic(1.5, 300.0, 0.0, 1.0).ticks();
        assert!(ticks.len() >= 3 && ticks.iter().all(|tick| (1.5..=300.0).contains(tick)), "{ticks:?}");
        let one = Scale::logarithmic(5.0, 5.0, 0.0, 100.0);
        assert!(one.at(5.0).abs() < 1e-9, "one value is no division by zero");
    }

    #[test]
    fn axes_are_labelled_with_few_digits() {
        let labels = [0.0, 0.05, 0.5, 2.0, 25.0, 12_000.0, 1.5e6].map(short);
        assert_eq!(labels, ["0", "0.05", "0.5", "2", "25", "12k", "1.5M"]);
    }
}
