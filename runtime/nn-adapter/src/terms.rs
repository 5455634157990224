//! On whose account guests compute, for how long, and what they may hold in the host.

use std::time::Duration;

use wisp_scheduler::Caller;

/// What holds for the guests of a graph. The limits have defaults that fit guests like those of this repository many times over.
#[derive(Clone, Debug)]
pub struct Terms {
    /// Whose share of a session's time a `compute` takes, and in which lane it waits. Clones are the same tenant.
    pub caller: Caller,
    /// Time that one `compute` may take, queue included; 30 s unless said otherwise. What would take longer is refused at once,
    /// and what does take longer is cancelled.
    pub compute_limit: Duration,
    /// Execution contexts at one time; 1,000 unless said otherwise. Beyond, no more are given out.
    pub context_limit: usize,
    /// Bytes of the tensors that contexts hold at one time, which core modules set and get one by one; 256 MiB unless said
    /// otherwise. Beyond, inputs and results are refused.
    pub tensor_limit_bytes: usize,
    /// Models that guests brought as bytes and that are started at one time; 8 unless said otherwise. Beyond, none is started.
    pub model_limit: usize,
}

impl Default for Terms {
    /// Somebody waits for the answer; a tenant of its own.
    fn default() -> Self {
        Self {
            caller: Caller::default(),
            compute_limit: Duration::from_secs(30),
            context_limit: 1_000,
            tensor_limit_bytes: 256 << 20,
            model_limit: 8,
        }
    }
}
