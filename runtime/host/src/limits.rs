//! What one request of a guest may use.

use std::time::Duration;

use wasmtime::ResourceLimiter;

/// Bounds of one guest instance. Each has a default that fits the guests in this repository many times over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Linear memory of the instance in bytes. Growing beyond fails in the guest, which usually traps.
    pub memory_bytes: usize,
    /// Elements of each table.
    pub table_elements: usize,
    /// Time from the start of the instance to its answer, host calls included.
    pub wall: Duration,
    /// Bytes of tensors that the host holds for the instance at one time.
    pub tensor_bytes: usize,
    /// Handles (tensors, graphs, contexts, encodings, errors) that the host holds for the instance at one time.
    pub handles: usize,
    /// Units of computation of one call, about one a Wasm instruction; `None` for as many as fit the time. Holds for guests that
    /// were loaded [to be metered](crate::Loading).
    pub fuel: Option<u64>,
    /// Bytes that the guest may pass to the host in one call of a host function.
    pub hostcall_bytes: usize,
    /// Bytes of standard error that reach the log; the rest is dropped.
    pub log_bytes: usize,
}

/// Linear memories of one instance. One is what compilers make.
pub(crate) const MEMORIES: u32 = 1;

/// Tables of one instance.
pub(crate) const TABLES: u32 = 4;

/// Core modules that one component instantiates: those of Rust's toolchain are the program, and shims of the linker.
pub(crate) const CORE_INSTANCES: u32 = 20;

impl Default for Limits {
    fn default() -> Self {
        Self {
            memory_bytes: 64 << 20,
            table_elements: 20_000,
            wall: Duration::from_secs(5),
            tensor_bytes: 256 << 20,
            handles: 10_000,
            fuel: None,
            hostcall_bytes: 128 << 20,
            log_bytes: 16 << 10,
        }
    }
}

/// Enforces memory and tables, and remembers what was refused: a Rust guest that gets no memory aborts, and the bare trap
/// would not say why.
pub(crate) struct GrowthLimiter {
    limits: Limits,
    pub(crate) refused: Option<Refused>,
}

/// What a guest asked for and did not get.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    Memory { wanted_bytes: usize, limit_bytes: usize },
    Table { wanted_elements: usize, limit_elements: usize },
}

impl GrowthLimiter {
    pub(crate) fn new(limits: Limits) -> Self {
        Self { limits, refused: None }
    }
}

impl ResourceLimiter for GrowthLimiter {
    fn memory_growing(&mut self, _: usize, wanted_bytes: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        let limit_bytes = self.limits.memory_bytes;
        let is_allowed = wanted_bytes <= limit_bytes;
        if !is_allowed {
            self.refused = Some(Refused::Memory { wanted_bytes, limit_bytes });
        }
        Ok(is_allowed)
    }

    fn table_growing(&mut self, _: usize, wanted_elements: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        let limit_elements = self.limits.table_elements;
        let is_allowed = wanted_elements <= limit_elements;
        if !is_allowed {
            self.refused = Some(Refused::Table { wanted_elements, limit_elements });
        }
        Ok(is_allowed)
    }

    // Where instances are set aside ahead, the pool has these bounds as well. Elsewhere nothing else would keep a guest from
    // having its memory many times.
    fn memories(&self) -> usize {
        MEMORIES as usize
    }

    fn tables(&self) -> usize {
        TABLES as usize
    }

    fn instances(&self) -> usize {
        // The tool that takes a snapshot adds one, which reads the others.
        CORE_INSTANCES as usize + 1
    }
}

impl std::fmt::Display for Refused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Memory { wanted_bytes, limit_bytes } => {
                write!(f, "wanted {wanted_bytes} bytes of memory and its limit is {limit_bytes} (limits.memory_bytes)")
            }
            Self::Table { wanted_elements, limit_elements } => {
                write!(
                    f,
                    "wanted a table of {wanted_elements} elements and its limit is {limit_elements} (limits.table_elements)"
                )
            }
        }
    }
}
