//! Where and with what a run was made: what one has to know before two reports are compared.

use std::collections::BTreeMap;
use std::time::SystemTime;

use serde::{Deserialize, Serialize};

/// Flags of processors that decide how fast a model is.
const FLAGS: [&str; 16] = [
    "avx",
    "avx2",
    "avx512f",
    "avx512_bf16",
    "avx512_fp16",
    "avx512_vnni",
    "avx_vnni",
    "amx_bf16",
    "amx_int8",
    "amx_tile",
    "f16c",
    "fma",
    "asimd",
    "asimddp",
    "bf16",
    "i8mm",
];

/// The machine and the programs.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Environment {
    /// Version of Wisp that measured.
    pub wisp: String,
    /// Whether it was compiled without optimisation, so that figures mean little.
    pub is_debug_build: bool,
    /// When, in UTC: `2026-11-24T14:30:00Z`.
    pub date: String,
    /// Operating system and processor architecture.
    pub platform: String,
    /// Release of the kernel.
    pub kernel: Option<String>,
    /// What the processor calls itself.
    pub cpu: Option<String>,
    /// Its instruction sets, as far as they decide how fast a model is.
    pub cpu_flags: Vec<String>,
    /// Processors that this process may use.
    pub processors: usize,
    /// Processors that the control group grants; `None` for as many as there are.
    pub cgroup_processors: Option<f64>,
    /// Memory that the control group grants, in bytes; `None` without a limit.
    pub cgroup_memory_bytes: Option<u64>,
    /// Memory of the machine in bytes.
    pub memory_bytes: Option<u64>,
    /// The load of the machine in the last minute, before anything was measured.
    pub load_average: Option<f64>,
    /// Version of each library that ran, by backend.
    pub libraries: BTreeMap<String, String>,
    /// Digest of each model, by name.
    pub models: BTreeMap<String, String>,
    /// Digest of each guest's module, by deployment; the version of Wisp for a built-in one.
    pub guests: BTreeMap<String, String>,
}

impl Environment {
    /// What this machine tells.
    #[must_use]
    pub fn detect() -> Self {
        let read = |path: &str| std::fs::read_to_string(path).ok();
        let cpu = read("/proc/cpuinfo").unwrap_or_default();
        let memory = read("/proc/meminfo").unwrap_or_default();
        Self {
            wisp: env!("CARGO_PKG_VERSION").to_owned(),
            is_debug_build: cfg!(debug_assertions),
            date: date(SystemTime::now()),
            platform: format!("{}-{}", std::env::consts::OS, std::env::consts::ARCH),
            kernel: read("/proc/sys/kernel/osrelease").map(|release| release.trim().to_owned()),
            cpu: value(&cpu, "model name").map(str::to_owned),
            cpu_flags: flags(&cpu),
            processors: std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
            cgroup_processors: read("/sys/fs/cgroup/cpu.max").as_deref().and_then(quota),
            cgroup_memory_bytes: read("/sys/fs/cgroup/memory.max").and_then(|limit| limit.trim().parse().ok()),
            memory_bytes: value(&memory, "MemTotal")
                .and_then(|total| total.strip_suffix(" kB")?.parse::<u64>().ok())
                .map(|kilobytes| kilobytes << 10),
            load_average: read("/proc/loadavg").and_then(|load| load.split(' ').next()?.parse().ok()),
            ..Self::default()
        }
    }

    /// The machine in one line.
    #[must_use]
    pub fn machine(&self) -> String {
        let cpu = self.cpu.as_deref().unwrap_or(&self.platform);
        let flags = match &self.cpu_flags[..] {
            [] => String::new(),
            flags => format!(" ({})", flags.join(" ")),
        };
        let quota = self.cgroup_processors.map_or(String::new(), |quota| format!(", {quota} granted"));
        let kernel = self.kernel.as_ref().map_or(String::new(), |kernel| format!(", kernel {kernel}"));
        format!("{} processors{quota}, {cpu}{flags}{kernel}", self.processors)
    }
}

/// The value of the first line `key : value`.
fn value<'a>(text: &'a str, key: &str) -> Option<&'a str> {
    let line = text.lines().find(|line| line.split(':').next().is_some_and(|name| name.trim() == key))?;
    Some(line.split_once(':')?.1.trim())
}

/// Of the processor's flags, x86 or Arm, those that matter.
fn flags(cpu: &str) -> Vec<String> {
    let all = value(cpu, "flags").or_else(|| value(cpu, "Features")).unwrap_or_default();
    let all: Vec<&str> = all.split_whitespace().collect();
    FLAGS.iter().filter(|flag| all.contains(flag)).map(|&flag| flag.to_owned()).collect()
}

/// Processors out of `cpu.max`: quota and period in microseconds. Source: cgroup v2.
fn quota(text: &str) -> Option<f64> {
    let (quota, period) = text.trim().split_once(' ')?;
    Some(quota.parse::<f64>().ok()? / period.parse::<f64>().ok()?)
}

/// RFC 3339 in UTC. Source of the calendar: Howard Hinnant, "chrono-compatible low-level date algorithms", `civil_from_days`.
fn date(now: SystemTime) -> String {
    let seconds = now.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let (days, second) = (seconds / 86_400 + 719_468, seconds % 86_400);
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    let (hour, minute) = (second / 3600, second / 60 % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{:02}Z", second % 60)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn dates_are_those_of_the_calendar() {
        for (seconds, expected) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_399, "2000-02-28T23:59:59Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (1_795_530_600, "2026-11-24T14:30:00Z"),
        ] {
            assert_eq!(date(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)), expected);
        }
    }

    #[test]
    fn quotas_and_flags_are_read() {
        assert_eq!(quota("150000 100000\n"), Some(1.5));
        assert_eq!(quota("max 100000\n"), None);
        let x86 = "processor\t: 0\nmodel name\t: A CPU\nflags\t\t: fpu avx avx2 amx_bf16\n";
        assert_eq!(
            (value(x86, "model name"), flags(x86)),
            (Some("A CPU"), vec!["avx".into(), "avx2".into(), "amx_bf16".into()])
        );
        let arm = "Features\t: fp asimd i8mm\n";
        assert_eq!(flags(arm), ["asimd", "i8mm"]);
    }
}
