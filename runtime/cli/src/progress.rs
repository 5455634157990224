//! Progress of long steps on standard error: a bar on a terminal, one line a step elsewhere.

use std::io::IsTerminal;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use wisp_model_store::Progress;

use crate::logging;

/// How often a step of unknown length shows that it is alive.
const TICK: Duration = Duration::from_millis(120);

/// Writes what was done into the log.
pub(crate) struct Logged;

/// Shows progress to a person.
pub(crate) struct Console {
    bar: Mutex<Option<ProgressBar>>,
    is_terminal: bool,
}

impl Progress for Logged {
    fn step(&self, name: &str, _: Option<u64>) {
        tracing::debug!("{name}");
    }

    fn advance(&self, _: u64) {}

    fn done(&self, summary: &str) {
        tracing::info!("{summary}");
    }
}

impl Console {
    pub(crate) fn new() -> Self {
        Self { bar: Mutex::new(None), is_terminal: std::io::stderr().is_terminal() && !logging::writes_json() }
    }

    fn bar(&self) -> MutexGuard<'_, Option<ProgressBar>> {
        self.bar.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Progress for Console {
    fn step(&self, name: &str, total_bytes: Option<u64>) {
        if logging::writes_json() {
            return Logged.step(name, total_bytes);
        }
        if !self.is_terminal {
            eprintln!("{name} …");
            return;
        }
        let bar = match total_bytes {
            Some(total) => ProgressBar::new(total).with_style(style("{msg} {bar:30} {bytes}/{total_bytes} {eta}")),
            None => ProgressBar::new_spinner().with_style(style("{spinner} {msg} {elapsed}")),
        };
        bar.set_message(name.to_owned());
        bar.enable_steady_tick(TICK);
        if let Some(abandoned) = self.bar().replace(bar) {
            abandoned.finish_and_clear();
        }
    }

    fn advance(&self, bytes: u64) {
        if let Some(bar) = self.bar().as_ref() {
            bar.inc(bytes);
        }
    }

    fn done(&self, summary: &str) {
        if let Some(bar) = self.bar().take() {
            bar.finish_and_clear();
        }
        if logging::writes_json() {
            return Logged.done(summary);
        }
        eprintln!("{summary}");
    }
}

impl Drop for Console {
    /// A step that failed leaves its bar: the error that follows must not be drawn over.
    fn drop(&mut self) {
        if let Some(bar) = self.bar().take() {
            bar.finish_and_clear();
        }
    }
}

fn style(template: &'static str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}
