//! What a container uses, in the messages that `kubectl top` and the kubelet's eviction rest on.

use std::path::{Path, PathBuf};

use containerd_shim::cgroup::{collect_metrics, collect_metrics_v2, get_cgroup};
use containerd_shim::protos::cgroups::metrics::{CPUUsage, Metrics};
use containerd_shim::protos::protobuf::well_known_types::any::Any;
use containerd_shim::util::convert_to_any;

/// Processor time, memory and processes of the cgroup that `pid` is in.
pub(super) fn of(pid: u32) -> Result<Any, containerd_shim::Error> {
    let cgroup = get_cgroup(pid)?;
    if cgroup.v2() {
        return convert_to_any(Box::new(collect_metrics_v2(&cgroup)?));
    }
    let mut metrics = collect_metrics(&cgroup)?;
    processor_time(&mut metrics, pid);
    convert_to_any(Box::new(metrics))
}

/// Adds the nanoseconds of cgroup v1, which the library looks for under the names of v2.
fn processor_time(metrics: &mut Metrics, pid: u32) {
    let cgroups = std::fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap_or_default();
    let Some(folder) = accounting_folder(&cgroups) else { return };
    let read = |file: &str| {
        std::fs::read_to_string(folder.join(file)).unwrap_or_default().trim().parse::<u64>().unwrap_or_default()
    };
    let mut usage = CPUUsage::new();
    usage.set_total(read("cpuacct.usage"));
    usage.set_user(read("cpuacct.usage_user"));
    usage.set_kernel(read("cpuacct.usage_sys"));
    metrics.mut_cpu().set_usage(usage);
}

fn accounting_folder(cgroups: &str) -> Option<PathBuf> {
    cgroups.lines().find_map(|line| {
        let (_, rest) = line.split_once(':')?;
        let (controllers, path) = rest.split_once(':')?;
        let counts = controllers.split(',').any(|name| name == "cpuacct");
        counts.then(|| Path::new("/sys/fs/cgroup/cpuacct").join(path.trim_start_matches('/')))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processor_time_is_found_with_and_without_company() {
        let expected = Some(PathBuf::from("/sys/fs/cgroup/cpuacct/pod/c"));
        assert_eq!(accounting_folder("3:cpu,cpuacct:/pod/c\n"), expected);
        assert_eq!(accounting_folder("3:cpu:/x\n4:cpuacct:/pod/c\n"), expected);
        assert_eq!(accounting_folder("0::/pod/c\n"), None);
    }
}
