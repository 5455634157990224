//! Figures of the process, under the names that every Prometheus client gives them.
//!
//! Source: Prometheus documentation, "Writing client libraries", "Process metrics"; values from proc(5). Elsewhere than on
//! Linux there are none.

use std::fmt::Error;
use std::str::FromStr;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;

/// Ticks of the kernel's clock a second, as it shows them to programs: 100 on every architecture that Wisp runs on.
const TICKS_A_SECOND: f64 = 100.0;

/// What `status` counts memory in.
const KIB: u64 = 1024;

/// Reads the figures when they are asked for.
#[derive(Debug)]
pub(super) struct Process {
    /// When the process started, in seconds since the epoch; does not change.
    start_seconds: Option<f64>,
}

impl Process {
    pub(super) fn new() -> Self {
        Self { start_seconds: start_seconds() }
    }
}

impl Collector for Process {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), Error> {
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        let bytes = |key: &str| field(&status, key).map(|kib: u64| kib.saturating_mul(KIB));
        let mut gauge = |name: &str, help: &str, value: Option<u64>| {
            // What cannot be read is left out, not zero.
            let Some(value) = value.and_then(|value| i64::try_from(value).ok()) else { return Ok(()) };
            write(&mut encoder, name, help, &ConstGauge::new(value))
        };
        gauge("process_resident_memory_bytes", "Memory of the process that is in RAM", bytes("VmRSS:"))?;
        gauge("process_virtual_memory_bytes", "Address space of the process", bytes("VmSize:"))?;
        gauge("process_threads", "Threads of the process", field(&status, "Threads:"))?;
        gauge("process_open_fds", "File descriptors that are open", open_fds())?;
        gauge("process_max_fds", "File descriptors that may be open", max_fds())?;
        if let Some(seconds) = self.start_seconds {
            let help = "When the process started, in seconds since the epoch";
            write(&mut encoder, "process_start_time_seconds", help, &ConstGauge::new(seconds))?;
        }
        if let Some(seconds) = cpu_seconds() {
            let help = "Time of processors that the process used";
            write(&mut encoder, "process_cpu_seconds", help, &ConstCounter::new(seconds))?;
        }
        Ok(())
    }
}

fn write(encoder: &mut DescriptorEncoder<'_>, name: &str, help: &str, metric: &impl EncodeMetric) -> Result<(), Error> {
    metric.encode(encoder.encode_descriptor(name, help, None, metric.metric_type())?)
}

/// The number after a key at the start of a line.
fn field<T: FromStr>(text: &str, key: &str) -> Option<T> {
    let line = text.lines().find_map(|line| line.strip_prefix(key))?;
    line.split_whitespace().next()?.parse().ok()
}

fn open_fds() -> Option<u64> {
    // The one that reads the folder is among them.
    let count = std::fs::read_dir("/proc/self/fd").ok()?.count();
    u64::try_from(count).ok()?.checked_sub(1)
}

fn max_fds() -> Option<u64> {
    let limits = std::fs::read_to_string("/proc/self/limits").ok()?;
    field(&limits, "Max open files")
}

/// The fields of `stat` after the name of the program, which may have any character; the first one is the state, field 3.
fn stat() -> Option<Vec<String>> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    let (_, fields) = stat.rsplit_once(')')?;
    Some(fields.split_whitespace().map(str::to_owned).collect())
}

/// Field `number` of proc(5).
fn ticks(stat: &[String], number: usize) -> Option<f64> {
    stat.get(number.checked_sub(3)?)?.parse().ok()
}

fn cpu_seconds() -> Option<f64> {
    let stat = stat()?;
    Some((ticks(&stat, 14)? + ticks(&stat, 15)?) / TICKS_A_SECOND)
}

fn start_seconds() -> Option<f64> {
    let booted: f64 = field(&std::fs::read_to_string("/proc/stat").ok()?, "btime")?;
    Some(booted + ticks(&stat()?, 22)? / TICKS_A_SECOND)
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn the_figures_are_those_of_this_process() {
        let status = "VmSize:\t  2048 kB\nVmRSS:\t    1024 kB\nThreads:\t7\n";
        assert_eq!((field(status, "VmRSS:"), field(status, "Threads:")), (Some(1024_u64), Some(7_u64)));
        assert!(open_fds().is_some_and(|count| count >= 3), "{:?}", open_fds());
        assert!(max_fds() > open_fds());
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970").as_secs_f64();
        // The kernel's start of the machine is a whole second.
        assert!(start_seconds().is_some_and(|start| start > 1e9 && start <= now + 1.0));
        assert!(cpu_seconds().is_some_and(|seconds| seconds >= 0.0));
    }
}
