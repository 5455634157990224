//! What processes use while a run is measured.

use std::time::{Duration, Instant};

use crate::energy::Energy;
use crate::figures::UsageFigures;
use crate::process::{self, Usage};

/// Looks at the client and at the process of the target, from the end of warming up on.
pub(super) struct Meter {
    target: Option<u32>,
    warm_at: Instant,
    end_at: Instant,
    started: Option<Sample>,
    ended: Option<Sample>,
}

/// What was used until a point in time.
#[derive(Clone)]
struct Sample {
    at: Instant,
    client: Option<Usage>,
    target: Option<Usage>,
    energy: Option<Energy>,
}

impl Meter {
    /// Of a run that begins now. `target` is the process that answers, if it can be looked at.
    pub(super) fn new(target: Option<u32>, warm_up: Duration, duration: Duration) -> Self {
        let warm_at = Instant::now() + warm_up;
        Self { target, warm_at, end_at: warm_at + duration, started: None, ended: None }
    }

    /// Takes a look; to be called now and then, and at the end.
    pub(super) fn tick(&mut self) {
        let now = Instant::now();
        if now < self.warm_at || self.ended.as_ref().is_some_and(|ended| ended.at > self.end_at) {
            return;
        }
        if self.started.is_none() {
            self.target.iter().for_each(|&pid| process::reset_peak(pid));
            self.started = Some(self.sample());
        }
        let sample = self.sample();
        // The last look at a process that is gone is the one before.
        if sample.target.is_some() || self.target.is_none() {
            self.ended = Some(sample);
        }
    }

    fn sample(&self) -> Sample {
        Sample {
            at: Instant::now(),
            client: process::usage(std::process::id()),
            target: self.target.and_then(process::usage),
            energy: Energy::read(),
        }
    }

    /// Share of all processors that this process used, unless it is the target as well.
    pub(super) fn client_cpu_share(&self) -> Option<f64> {
        if self.target == Some(std::process::id()) {
            return None;
        }
        let (started, ended) = (self.started.as_ref()?, self.ended.as_ref()?);
        let used = ended.client?.cpu.saturating_sub(started.client?.cpu);
        let processors = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let seconds = (ended.at - started.at).as_secs_f64();
        (seconds > 0.0).then(|| used.as_secs_f64() / seconds / processors as f64)
    }

    /// What the target used, for so many texts a second.
    pub(super) fn usage(&self, texts_per_s: f64) -> Option<UsageFigures> {
        let (started, ended) = (self.started.as_ref()?, self.ended.as_ref()?);
        let cpu_s = ended.target?.cpu.saturating_sub(started.target?.cpu).as_secs_f64();
        let texts = texts_per_s * (ended.at - started.at).as_secs_f64();
        let joules = ended.energy.as_ref().zip(started.energy.as_ref()).map(|(now, then)| now.joules_since(then));
        Some(UsageFigures {
            cpu_s,
            cpu_s_per_1000_texts: (texts > 0.0).then(|| cpu_s / texts * 1e3),
            peak_rss_bytes: ended.target?.peak_bytes,
            joules,
        })
    }
}
