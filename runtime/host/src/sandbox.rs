//! The Wasm engine: pooled memory, fibers, epochs, and the linker that every guest is linked with once.

use std::sync::Arc;

use wasmtime::component::{HasSelf, Linker};
use wasmtime::{Config, Enabled, Engine, InstanceAllocationStrategy, OptLevel, PoolingAllocationConfig};

use crate::bindings::Embedder;
use crate::epoch::EpochTicker;
use crate::state::State;
use crate::{AotCache, CodeFile, Guest, HostError};

/// Stack of a guest's fiber; the part that Wasm frames may use is below.
const FIBER_STACK_BYTES: usize = 1 << 20;
const WASM_STACK_BYTES: usize = 512 << 10;

/// Linear memory up to this size is wiped and kept for the next instance instead of going back to the system: guests of
/// this kind touch a few hundred KB, and giving pages back costs more than clearing them.
const KEEP_MEMORY_BYTES: usize = 256 << 10;
const KEEP_TABLE_BYTES: usize = 16 << 10;

/// The smallest class of memories: what guests have by default.
const SMALLEST_RESERVATION_BYTES: u64 = 64 << 20;

/// How the engine is set up.
#[derive(Clone, Debug)]
pub struct HostConfig {
    /// Instances that can exist at one time; one more is refused with [`CallError::Instances`](crate::CallError).
    pub max_instances: u32,
    /// Largest linear memory of any deployment; address space for it is reserved per instance, by class: up to 64 MiB, up to
    /// 128 MiB, and so on in powers of two. Compiled code holds for a class.
    pub max_memory_bytes: usize,
    /// Largest table of any deployment, in elements.
    pub max_table_elements: usize,
    /// Largest module that is compiled, in bytes.
    pub max_module_bytes: usize,
    /// Where compiled code is kept; `None` compiles at every start.
    pub aot_cache: Option<AotCache>,
}

impl Default for HostConfig {
    fn default() -> Self {
        let limits = crate::Limits::default();
        Self {
            max_instances: 256,
            max_memory_bytes: limits.memory_bytes,
            max_table_elements: limits.table_elements,
            max_module_bytes: 64 << 20,
            aot_cache: None,
        }
    }
}

/// The host of all guests. Cheap to clone.
#[derive(Clone)]
pub struct Host {
    pub(crate) engine: Engine,
    pub(crate) linker: Arc<Linker<State>>,
    pub(crate) config: Arc<HostConfig>,
    pub(crate) ticker: Arc<EpochTicker>,
}

impl Host {
    /// Sets the engine up.
    ///
    /// # Errors
    /// [`HostError::Engine`] when the machine cannot give what the configuration asks for, such as address space.
    pub fn new(config: HostConfig) -> Result<Self, HostError> {
        let broken = |error: wasmtime::Error| HostError::Engine(format!("{error:#}"));
        let engine = Engine::new(&engine_config(&config)).map_err(|error| {
            let (instances, memory) = (config.max_instances, config.max_memory_bytes);
            HostError::Engine(format!(
                "{error:#}; address space for {instances} instances of {memory} bytes is reserved, so fewer requests in \
                 flight (server.limits.inflight_requests), less memory (limits.memory_bytes) or more address space \
                 (`ulimit -v`) may help"
            ))
        })?;
        let linker = linker(&engine).map_err(broken)?;
        let ticker = EpochTicker::start(engine.clone()).map_err(|error| HostError::Engine(error.to_string()))?;
        Ok(Self { engine, linker: Arc::new(linker), config: Arc::new(config), ticker: Arc::new(ticker) })
    }

    /// Compiles, checks and links a guest. `name` stands in messages.
    ///
    /// # Errors
    /// [`HostError`] naming what is wrong with the module.
    pub fn load(&self, name: &str, wasm: &[u8]) -> Result<Guest, HostError> {
        Guest::load(self, name, wasm, None)
    }

    /// As [`Host::load`], with the code that was compiled before, if it can be used.
    ///
    /// # Errors
    /// As [`Host::load`].
    pub fn load_with_code(&self, name: &str, wasm: &[u8], code: &CodeFile) -> Result<Guest, HostError> {
        Guest::load(self, name, wasm, Some(code))
    }
}

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
        .max_core_instances_per_component(20)
        .total_memories(instances)
        .max_memories_per_component(1)
        .total_tables(instances.saturating_mul(2))
        .max_tables_per_component(4)
        .table_elements(config.max_table_elements)
        .total_stacks(instances)
        .max_memory_size(config.max_memory_bytes)
        .linear_memory_keep_resident(KEEP_MEMORY_BYTES)
        .table_keep_resident(KEEP_TABLE_BYTES)
        .pagemap_scan(Enabled::Auto);
    pool
}

fn linker(engine: &Engine) -> wasmtime::Result<Linker<State>> {
    let mut linker = Linker::new(engine);
    wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
    Embedder::add_to_linker::<_, HasSelf<_>>(&mut linker, |state| state)?;
    Ok(linker)
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

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
