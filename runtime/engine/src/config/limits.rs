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
    /// Bytes of one image file.
    pub image_bytes: usize,
    /// Labels to choose from in one request.
    pub labels: usize,
    /// Bytes of one label, of its description, and of a template.
    pub label_bytes: usize,
    /// Requests in the engine at one time; more are refused with RESOURCE_EXHAUSTED.
    pub inflight_requests: u32,
    /// Connections at one time; more are closed at once.
    pub connections: usize,
    /// Requests at one time on one connection; clients hold back more.
    pub connection_requests: u32,
    /// Milliseconds until a new connection must have said what it wants, and as many again for a TLS handshake before that.
    pub handshake_ms: u64,
    /// Milliseconds in which the whole message of a request must arrive.
    pub receive_ms: u64,
    /// Milliseconds of silence after which a connection is asked whether it lives; it has as long again to answer.
    pub keepalive_ms: u64,
    /// Bytes of the headers of one request.
    pub header_bytes: u32,
    /// Milliseconds after which a connection is told to end, a tenth more or less, so that clients find other servers; 0 for
    /// never.
    pub connection_age_ms: u64,
    /// Milliseconds that it may finish what it began then.
    pub connection_age_grace_ms: u64,
}

impl Default for RequestLimits {
    fn default() -> Self {
        Self {
            message_bytes: 16 << 20,
            texts: 4096,
            text_bytes: 1 << 20,
            image_bytes: 12 << 20,
            labels: 1024,
            label_bytes: 1024,
            inflight_requests: 256,
            connections: 1024,
            connection_requests: 256,
            handshake_ms: 10_000,
            receive_ms: 30_000,
            keepalive_ms: 20_000,
            header_bytes: 64 << 10,
            connection_age_ms: 3_600_000,
            connection_age_grace_ms: 60_000,
        }
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
    /// Elements of each table.
    pub table_elements: usize,
    /// Units of computation of one request, about one a Wasm instruction; not counted where it is left out, because counting
    /// slows the guest down.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fuel: Option<u64>,
    /// Bytes that the guest may pass to the host in one call of a host function.
    pub hostcall_bytes: usize,
    /// Bytes of standard error that reach the log.
    pub log_bytes: usize,
    /// Bytes of the module.
    pub module_bytes: usize,
    /// Time that compiling the module may take in milliseconds.
    pub compile_ms: u64,
    /// Instances at one time; left out for as many as the server has requests in flight.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instances: Option<u32>,
    /// Bytes of tensors that the deployment keeps from one request to the next, 0 for none; left out, built-in guests may keep
    /// 8 MiB, and others nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state_bytes: Option<usize>,
    /// Tensors that it keeps.
    pub state_entries: usize,
}

impl Default for GuestLimits {
    fn default() -> Self {
        let limits = wisp_host::Limits::default();
        Self {
            memory_bytes: limits.memory_bytes,
            wall_ms: u64::try_from(limits.wall.as_millis()).unwrap_or(u64::MAX),
            tensor_bytes: limits.tensor_bytes,
            handles: limits.handles,
            table_elements: limits.table_elements,
            fuel: limits.fuel,
            hostcall_bytes: limits.hostcall_bytes,
            log_bytes: limits.log_bytes,
            module_bytes: wisp_host::HostConfig::default().max_module_bytes,
            compile_ms: 60_000,
            instances: None,
            state_bytes: None,
            state_entries: 4096,
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
            table_elements: limits.table_elements,
            fuel: limits.fuel,
            hostcall_bytes: limits.hostcall_bytes,
            log_bytes: limits.log_bytes,
        }
    }
}
