//! What the whole machine does: whether a measurement had it for itself.

/// Processor time of the machine until now, in ticks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MachineTimes {
    /// Ticks that processors worked, for whomever; those that a hypervisor gave to other machines among them.
    busy: u64,
    /// Processors that the machine has.
    processors: u64,
}

/// Ticks a second. Source: proc(5) and `USER_HZ`.
const TICKS_PER_SECOND: f64 = 100.0;

impl MachineTimes {
    /// The times now; `None` where nobody tells.
    #[must_use]
    pub fn now() -> Option<Self> {
        Self::parse(&std::fs::read_to_string("/proc/stat").ok()?)
    }

    /// Source: proc(5), `/proc/stat`: user nice system idle iowait irq softirq steal.
    fn parse(text: &str) -> Option<Self> {
        let line = text.lines().find_map(|line| line.strip_prefix("cpu "))?;
        let ticks: Vec<u64> = line.split_whitespace().map_while(|ticks| ticks.parse().ok()).collect();
        let [user, nice, system, _idle, _iowait, irq, softirq, steal, ..] = ticks[..] else { return None };
        let processors =
            text.lines().filter(|line| line.starts_with("cpu") && !line.starts_with("cpu ")).count() as u64;
        Some(Self { busy: user + nice + system + irq + softirq + steal, processors: processors.max(1) })
    }

    /// The share of `granted` processors that others must have taken in `seconds`, while the measurement used `own_s` of all
    /// processors. What others do on processors that we are not granted is no disturbance.
    #[must_use]
    pub fn taken_since(&self, earlier: &Self, seconds: f64, own_s: f64, granted: f64) -> f64 {
        let busy_s = self.busy.saturating_sub(earlier.busy) as f64 / TICKS_PER_SECOND;
        let others = ((busy_s - own_s) / seconds).max(0.0);
        let taken = (others + granted - self.processors as f64).min(others);
        (taken / granted).clamp(0.0, 1.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn times(busy: u64, processors: u64) -> MachineTimes {
        MachineTimes { busy, processors }
    }

    #[test]
    fn work_of_every_kind_is_work_and_waiting_is_not() {
        let text = "cpu  100 10 20 5000 7 1 2 30 0 0\ncpu0 50 5 10 2500 4 1 1 15 0 0\ncpu1 50 5 10 2500 3 0 1 15 0 0\nintr 1\n";
        assert_eq!(MachineTimes::parse(text), Some(times(163, 2)));
        assert_eq!(MachineTimes::parse("cpu  1 2\n"), None);
        assert_eq!(MachineTimes::parse(""), None);
    }

    #[test]
    fn what_others_take_counts_as_far_as_it_is_taken_from_us() {
        for (processors, granted, busy_s, own_s, expected) in [
            // Two processors, all ours: ten seconds have twenty of them, of which fifteen were ours.
            (2, 2.0, 20.0, 15.0, 0.25),
            (2, 2.0, 15.0, 15.0, 0.0),
            // Sixty-four, two of them ours: others fit beside us.
            (64, 2.0, 320.0, 20.0, 0.0),
            // All of them busy: others may be on ours.
            (64, 2.0, 640.0, 10.0, 0.5),
            // Ticks of different files do not agree to the last one.
            (2, 2.0, 9.9, 10.0, 0.0),
        ] {
            let taken =
                times((busy_s * 100.0) as u64, processors).taken_since(&times(0, processors), 10.0, own_s, granted);
            assert!((taken - expected).abs() < 1e-9, "{processors} {granted} {busy_s} {own_s}: {taken}");
        }
    }
}
