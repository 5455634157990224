//! What a container uses, in the messages that `kubectl top` and the kubelet's eviction rest on.

use containerd_shim::cgroup::{collect_metrics, collect_metrics_v2, get_cgroup};
use containerd_shim::protos::cgroups::metrics::{CPUUsage, Metrics};
use containerd_shim::protos::protobuf::well_known_types::any::Any;
use containerd_shim::util::convert_to_any;

use crate::supervisor::cgroup;

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
    let Some(folder) = cgroup::v1_folder(&cgroup::of(pid), "cpuacct") else { return };
    let read = |file: &str| {
        std::fs::read_to_string(folder.join(file)).unwrap_or_default().trim().parse::<u64>().unwrap_or_default()
    };
    let mut usage = CPUUsage::new();
    usage.set_total(read("cpuacct.usage"));
    usage.set_user(read("cpuacct.usage_user"));
    usage.set_kernel(read("cpuacct.usage_sys"));
    metrics.mut_cpu().set_usage(usage);
}
