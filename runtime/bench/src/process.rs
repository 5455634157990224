//! What a process has used, as Linux tells it; nothing elsewhere.

use std::time::Duration;

/// Ticks a second of the times in `/proc/PID/stat`. Source: proc(5) and `USER_HZ`, which is 100 on every architecture that Wisp
/// runs on.
const TICKS_PER_SECOND: u64 = 100;

/// Processor time and memory of a process until now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Time on processors, in user and system mode, of all threads.
    pub cpu: Duration,
    /// Most resident memory since the start, or since [`reset_peak`].
    pub peak_bytes: u64,
    /// Resident memory now.
    pub resident_bytes: u64,
}

/// What a process has used. `None` where nobody tells, or when it is gone.
#[must_use]
pub fn usage(pid: u32) -> Option<Usage> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    Some(Usage {
        cpu: cpu(&stat)?,
        peak_bytes: kilobytes(&status, "VmHWM:")? << 10,
        resident_bytes: kilobytes(&status, "VmRSS:")? << 10,
    })
}

/// Begins to count the peak of resident memory anew, where the system lets us. Source: proc(5), `clear_refs`.
pub fn reset_peak(pid: u32) {
    // Without it the peak is that of the whole life of the process, which is no less true.
    let _ = std::fs::write(format!("/proc/{pid}/clear_refs"), "5");
}

/// Fields 14 and 15. The name of the program, field 2, may itself hold spaces and brackets.
fn cpu(stat: &str) -> Option<Duration> {
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some(Duration::from_millis((user + system) * 1000 / TICKS_PER_SECOND))
}

fn kilobytes(status: &str, key: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(key))?;
    line.trim().strip_suffix(" kB")?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_a_program_may_hold_anything() {
        let stat = "4 (a) b (c) S 1 4 4 0 -1 4194560 1 2 3 4 250 50 9 9 20 0 5 0 100 0 0";
        assert_eq!(cpu(stat), Some(Duration::from_secs(3)));
        assert_eq!(cpu("nonsense"), None);
    }

    #[test]
    fn memory_is_read_by_its_key() {
        let status = "VmPeak:\t  900 kB\nVmHWM:\t  500 kB\nVmRSS:\t  400 kB\n";
        assert_eq!(kilobytes(status, "VmHWM:"), Some(500));
        assert_eq!(kilobytes(status, "VmSwap:"), None);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn this_process_has_used_something() {
        let usage = usage(std::process::id()).expect("Linux tells");
        assert!(usage.resident_bytes > 0 && usage.peak_bytes >= usage.resident_bytes);
    }
}
