//! The bounds of requests and of guests, with their defaults.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// `[server.limits]`: what one request may bring. Beyond a bound it is refused before any work is done for it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RequestLimits {
    /// Bytes of one gRPC message.
    pub message_bytes: usize,
    /// Texts in one request.
    pub texts: usize,
    /// Bytes of one text.
    pub text_bytes: usize,
    /// Requests in the engine at one time; more are refused with RESOURCE_EXHAUSTED.
    pub inflight_requests: u32,
}

impl Default for RequestLimits {
    fn default() -> Self {
        Self { message_bytes: 16 << 20, texts: 4096, text_bytes: 1 << 20, inflight_requests: 256 }
    }
}

/// `[deployments.NAME.limits]`: what one guest instance may use.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct GuestLimits {
    /// Linear memory in bytes.
    pub memory_bytes: usize,
    /// Time from start to answer in milliseconds, inference included.
    pub wall_ms: u64,
    /// Bytes of tensors that the host holds for the instance at one time.
    pub tensor_bytes: usize,
    /// Handles (tensors, graphs, contexts, errors) that the host holds for the instance at one time.
    pub handles: usize,
}

impl Default for GuestLimits {
    fn default() -> Self {
        let limits = wisp_host::Limits::default();
        Self {
            memory_bytes: limits.memory_bytes,
            wall_ms: u64::try_from(limits.wall.as_millis()).unwrap_or(u64::MAX),
            tensor_bytes: limits.tensor_bytes,
            handles: limits.handles,
        }
    }
}

impl From<&GuestLimits> for wisp_host::Limits {
    fn from(limits: &GuestLimits) -> Self {
        Self {
            memory_bytes: limits.memory_bytes,
            wall: Duration::from_millis(limits.wall_ms),
            tensor_bytes: limits.tensor_bytes,
            handles: limits.handles,
            ..Self::default()
        }
    }
}
