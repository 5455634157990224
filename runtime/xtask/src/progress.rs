//! Steps with their times, as a person wants to follow them: a live line on a terminal, plain lines in a log.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

/// Width of the column that names the step.
const NAME_COLUMNS: usize = 16;

/// A running step. Ends with [`Step::done`]; a step that is dropped before has failed.
pub(crate) struct Step {
    name: &'static str,
    started: Instant,
    bar: ProgressBar,
    is_live: bool,
    is_finished: bool,
}

impl Step {
    /// Begins a step and shows it.
    pub(crate) fn begin(name: &'static str) -> Self {
        let is_live = std::io::stderr().is_terminal();
        let bar = if is_live { ProgressBar::new_spinner() } else { ProgressBar::hidden() };
        bar.set_style(spinner_style());
        bar.set_prefix(format!("{name:NAME_COLUMNS$}"));
        bar.enable_steady_tick(Duration::from_millis(120));
        Self { name, started: Instant::now(), bar, is_live, is_finished: false }
    }

    /// Says what the step does now.
    pub(crate) fn say(&self, message: &str) {
        self.bar.set_message(message.to_owned());
        if !self.is_live {
            eprintln!("  … {:NAME_COLUMNS$} {message}", self.name);
        }
    }

    /// Passes on a line that a program of this step wrote: as the live message, or as it is.
    pub(crate) fn relay(&self, line: &str) {
        if self.is_live {
            self.bar.set_message(line.trim().to_owned());
        } else {
            eprintln!("{line}");
        }
    }

    /// Whether relayed lines reach the user as they are.
    pub(crate) fn relays(&self) -> bool {
        !self.is_live
    }

    /// Shows how much of `total_bytes` has come.
    pub(crate) fn expect_bytes(&self, total_bytes: Option<u64>) {
        self.bar.set_position(0);
        match total_bytes {
            Some(total_bytes) => {
                self.bar.set_length(total_bytes);
                self.bar.set_style(bytes_style());
            }
            None => self.bar.set_style(spinner_style()),
        }
    }

    /// More bytes have come.
    pub(crate) fn advance_bytes(&self, bytes: u64) {
        self.bar.inc(bytes);
    }

    /// Ends the step and shows its result and time.
    pub(crate) fn done(mut self, summary: &str) {
        self.finish('✓', summary);
    }

    fn finish(&mut self, mark: char, summary: &str) {
        self.is_finished = true;
        self.bar.finish_and_clear();
        let name = self.name;
        let elapsed = readable_duration(self.started.elapsed());
        eprintln!("  {mark} {name:NAME_COLUMNS$} {summary:<64} {elapsed:>8}");
    }
}

impl Drop for Step {
    fn drop(&mut self) {
        if !self.is_finished {
            self.finish('✗', "failed");
        }
    }
}

/// A time as a person reads it: `12 µs`, `340 ms`, `2.1 s`, `3 min 20 s`.
pub(crate) fn readable_duration(duration: Duration) -> String {
    let seconds = duration.as_secs_f64();
    if duration < Duration::from_millis(1) {
        format!("{} µs", duration.as_micros())
    } else if duration < Duration::from_secs(1) {
        format!("{} ms", duration.as_millis())
    } else if duration < Duration::from_secs(60) {
        format!("{seconds:.1} s")
    } else {
        format!("{} min {:02} s", duration.as_secs() / 60, duration.as_secs() % 60)
    }
}

/// A size as a person reads it, in decimal units: `820 B`, `212 kB`, `90.9 MB`.
pub(crate) fn readable_bytes(bytes: u64) -> String {
    let tenths = |unit: u64| format!("{}.{}", bytes / unit, bytes % unit * 10 / unit);
    match bytes {
        0..1_000 => format!("{bytes} B"),
        1_000..1_000_000 => format!("{} kB", bytes / 1_000),
        1_000_000..1_000_000_000 => format!("{} MB", tenths(1_000_000)),
        _ => format!("{} GB", tenths(1_000_000_000)),
    }
}

fn spinner_style() -> ProgressStyle {
    ProgressStyle::with_template("  {spinner} {prefix} {elapsed:>4} {wide_msg}").expect("the template is well formed")
}

fn bytes_style() -> ProgressStyle {
    ProgressStyle::with_template("  {spinner} {prefix} {elapsed:>4} {bar:24} {bytes}/{total_bytes} {wide_msg}")
        .expect("the template is well formed")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_shown_in_the_unit_that_fits() {
        let shown = |millis| readable_duration(Duration::from_millis(millis));
        assert_eq!(readable_duration(Duration::from_micros(12)), "12 µs");
        assert_eq!(shown(340), "340 ms");
        assert_eq!(shown(2_100), "2.1 s");
        assert_eq!(shown(200_000), "3 min 20 s");
    }

    #[test]
    fn sizes_are_shown_in_the_unit_that_fits() {
        assert_eq!(readable_bytes(820), "820 B");
        assert_eq!(readable_bytes(212_345), "212 kB");
        assert_eq!(readable_bytes(90_868_376), "90.8 MB");
        assert_eq!(readable_bytes(3_050_000_000), "3.0 GB");
    }

    #[test]
    fn both_templates_are_well_formed() {
        let _ = (spinner_style(), bytes_style());
    }
}
