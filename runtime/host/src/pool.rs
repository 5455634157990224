//! The settings of the Wasm engine: pooled memory, fibers, epochs.

use wasmtime::{Config, Enabled, Engine, InstanceAllocationStrategy, OptLevel, PoolingAllocationConfig};

use crate::limits::{CORE_INSTANCES, MEMORIES, TABLES};
use crate::{HostConfig, HostError};

/// Stack of a guest's fiber; the part that Wasm frames may use is below.
const FIBER_STACK_BYTES: usize = 1 << 20;
const WASM_STACK_BYTES: usize = 512 << 10;

/// Linear memory up to this size is wiped and kept for the next instance instead of going back to the system: guests of
/// this kind touch a few hundred KB, and giving pages back costs more than clearing them.
const KEEP_MEMORY_BYTES: usize = 256 << 10;
const KEEP_TABLE_BYTES: usize = 16 << 10;

/// The smallest class of memories: what guests have by default.
const SMALLEST_RESERVATION_BYTES: u64 = 64 << 20;

/// An engine whose instances are set aside ahead, or where that cannot be had, one that makes them as they come.
pub(crate) fn pooled_or_not(config: &HostConfig, is_metered: bool) -> Result<Engine, HostError> {
    let mut settings = engine_config(config);
    settings.consume_fuel(is_metered);
    let pooled = match Engine::new(&settings) {
        Ok(engine) => return Ok(engine),
        Err(error) => error,
    };
    settings.allocation_strategy(InstanceAllocationStrategy::OnDemand);
    let engine = Engine::new(&settings).map_err(|error| HostError::Engine(format!("{error:#}")))?;
    let (instances, memory) = (config.max_instances, config.max_memory_bytes);
    tracing::warn!(
        "instances are made one by one, which is slower: {pooled:#}; address space for {instances} instances of {memory} bytes \
         was asked for, so fewer requests in flight (server.limits.inflight_requests), less memory (limits.memory_bytes) or \
         more address space (`ulimit -v`) would help"
    );
    Ok(engine)
}

/// Everything but how instances are allocated is compiled into code.
pub(crate) fn engine_config(config: &HostConfig) -> Config {
    let mut engine = Config::new();
    engine
        .cranelift_opt_level(OptLevel::Speed)
        .epoch_interruption(true)
        // By default 4 GiB of address space go to each memory, which saves bounds checks and costs 1 TiB for 256 instances:
        // more than containers and `ulimit -v` leave to a process.
        .memory_reservation(reservation_bytes(config.max_memory_bytes))
        .async_stack_size(FIBER_STACK_BYTES)
        .max_wasm_stack(WASM_STACK_BYTES)
        .allocation_strategy(InstanceAllocationStrategy::Pooling(pool(config)));
    engine
}

/// Address space for a memory. It is compiled into code, so that few classes let code serve many configurations.
fn reservation_bytes(max_memory_bytes: usize) -> u64 {
    (max_memory_bytes as u64).max(SMALLEST_RESERVATION_BYTES).next_power_of_two()
}

fn pool(config: &HostConfig) -> PoolingAllocationConfig {
    let instances = config.max_instances;
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(instances)
        // A component of Rust's toolchain is some core modules: the program, and shims of the linker.
        .total_core_instances(instances.saturating_mul(4))
        .max_core_instances_per_component(CORE_INSTANCES)
        .total_memories(instances)
        .max_memories_per_component(MEMORIES)
        .total_tables(instances.saturating_mul(2))
        .max_tables_per_component(TABLES)
        .table_elements(config.max_table_elements)
        .total_stacks(instances)
        .max_memory_size(config.max_memory_bytes)
        .linear_memory_keep_resident(KEEP_MEMORY_BYTES)
        .table_keep_resident(KEEP_TABLE_BYTES)
        .pagemap_scan(if config.pagemap_scan { Enabled::Auto } else { Enabled::No });
    pool
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;
    use crate::Host;

    /// Address space of this process, in KiB. Source: proc(5), `VmSize`.
    fn address_space_kib() -> u64 {
        let status = std::fs::read_to_string("/proc/self/status").expect("Linux has it");
        let line = status.lines().find_map(|line| line.strip_prefix("VmSize:")).expect("a line");
        line.trim().trim_end_matches(" kB").parse().expect("a number")
    }

    #[test]
    fn address_space_follows_the_configured_memory() {
        let before = address_space_kib();
        let _host = Host::new(HostConfig::default()).expect("an engine");
        let reserved_gib = address_space_kib().saturating_sub(before) >> 20;
        assert!(reserved_gib < 64, "256 instances of 64 MiB reserve {reserved_gib} GiB");
    }
}
