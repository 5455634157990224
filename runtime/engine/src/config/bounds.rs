//! The values that a limit can have: none is zero, and none is so large that it bounds nothing.

use std::ops::RangeInclusive;

use super::{BatchingConfig, DrainConfig, GuestLimits, LoadChoice, ModelGrantConfig, RequestLimits};

const GIB: u64 = 1 << 30;
const HOUR_MS: u64 = 3_600_000;

/// Smallest memory of a guest: one page of WebAssembly.
const PAGE_BYTES: u64 = 64 << 10;

/// Largest module that is compiled at all.
const MODULE_LIMIT_BYTES: u64 = 64 << 20;

/// What is wrong with `[server.limits]`, one message a key.
pub(super) fn server(limits: &RequestLimits) -> Vec<String> {
    wrong(
        "server.limits",
        &[
            ("message_bytes", limits.message_bytes as u64, 1..=GIB),
            ("texts", limits.texts as u64, 1..=1_000_000),
            ("text_bytes", limits.text_bytes as u64, 1..=GIB),
            ("image_bytes", limits.image_bytes as u64, 1..=GIB),
            ("labels", limits.labels as u64, 1..=100_000),
            ("label_bytes", limits.label_bytes as u64, 1..=64 << 10),
            ("inflight_requests", limits.inflight_requests.into(), 1..=65_536),
            ("connections", limits.connections as u64, 1..=1_000_000),
            ("connection_requests", limits.connection_requests.into(), 1..=65_536),
            ("handshake_ms", limits.handshake_ms, 1..=HOUR_MS),
            ("receive_ms", limits.receive_ms, 1..=HOUR_MS),
            ("keepalive_ms", limits.keepalive_ms, 1..=HOUR_MS),
            ("header_bytes", limits.header_bytes.into(), 1024..=1 << 20),
            ("connection_age_ms", limits.connection_age_ms, 0..=24 * HOUR_MS),
            ("connection_age_grace_ms", limits.connection_age_grace_ms, 1..=HOUR_MS),
        ],
    )
}

/// What is wrong with `[server.drain]`, one message a key.
pub(super) fn drain(drain: &DrainConfig) -> Vec<String> {
    let keys = [("delay_ms", drain.delay_ms, 0..=HOUR_MS), ("timeout_ms", drain.timeout_ms, 0..=24 * HOUR_MS)];
    wrong("server.drain", &keys)
}

/// What is wrong with `unload_after_ms` of a model.
pub(super) fn unloading(model: &str, load: LoadChoice, unload_after_ms: u64) -> Option<String> {
    if load != LoadChoice::OnDemand {
        return Some(format!(
            "models.{model}.unload_after_ms is for models that are loaded when they are needed; add load = \"on-demand\", or \
             leave it out"
        ));
    }
    wrong(&format!("models.{model}"), &[("unload_after_ms", unload_after_ms, 1..=24 * HOUR_MS)]).into_iter().next()
}

/// What is wrong with `[deployments.NAME.limits]`, one message a key.
pub(super) fn guest(deployment: &str, limits: &GuestLimits) -> Vec<String> {
    wrong(
        &format!("deployments.{deployment}.limits"),
        &[
            // Addresses of WebAssembly have 32 bits.
            ("memory_bytes", limits.memory_bytes as u64, PAGE_BYTES..=4 * GIB),
            ("wall_ms", limits.wall_ms, 1..=24 * HOUR_MS),
            ("tensor_bytes", limits.tensor_bytes as u64, 1..=1024 * GIB),
            ("handles", limits.handles as u64, 1..=10_000_000),
            ("table_elements", limits.table_elements as u64, 1..=10_000_000),
            ("hostcall_bytes", limits.hostcall_bytes as u64, 1..=4 * GIB),
            ("log_bytes", limits.log_bytes as u64, 0..=GIB),
            ("module_bytes", limits.module_bytes as u64, 1..=MODULE_LIMIT_BYTES),
            ("compile_ms", limits.compile_ms, 1..=HOUR_MS),
            ("fuel", limits.fuel.unwrap_or(1), 1..=u64::MAX),
            ("instances", limits.instances.unwrap_or(1).into(), 1..=65_536),
            ("state_bytes", limits.state_bytes.unwrap_or(0) as u64, 0..=64 * GIB),
            ("state_entries", limits.state_entries as u64, 1..=10_000_000),
        ],
    )
}

/// What is wrong with a model's grant, one message a key.
pub(super) fn grant(deployment: &str, alias: &str, grant: &ModelGrantConfig) -> Vec<String> {
    wrong(
        &format!("deployments.{deployment}.models.{alias}"),
        &[
            ("max_rows", grant.max_rows.unwrap_or(1) as u64, 1..=1_000_000),
            ("deadline_ms", grant.deadline_ms.unwrap_or(1), 1..=24 * HOUR_MS),
        ],
    )
}

/// What is wrong with `[models.NAME.batching]`, one message a key.
pub(super) fn batching(model: &str, batching: &BatchingConfig) -> Vec<String> {
    wrong(
        &format!("models.{model}.batching"),
        &[
            ("max_batch_ms", batching.max_batch_ms, 1..=HOUR_MS),
            ("max_queue_delay_us", batching.max_queue_delay_us, 0..=1_000_000),
            ("max_queued", batching.max_queued as u64, 1..=1_000_000),
        ],
    )
}

/// What is wrong with the share of a tenant, or its quota.
pub(super) fn tenant(name: &str, share: f64, inflight_requests: Option<u32>) -> Option<String> {
    if !(0.001..=1000.0).contains(&share) {
        return Some(format!("tenants.{name}.share is {share}; it can be 0.001 to 1000"));
    }
    let is_zero = inflight_requests == Some(0);
    is_zero.then(|| format!("tenants.{name}.inflight_requests is 0; it can be 1 to {}", u32::MAX))
}

/// What is wrong with the number of sessions of a model.
pub(super) fn sessions(model: &str, sessions: usize) -> Option<String> {
    let is_possible = (1..=64).contains(&sessions);
    (!is_possible).then(|| format!("models.{model}.sessions is {sessions}; it can be 1 to 64, or auto"))
}

fn wrong(table: &str, limits: &[(&str, u64, RangeInclusive<u64>)]) -> Vec<String> {
    let out = limits.iter().filter(|(_, value, range)| !range.contains(value));
    let message = |(key, value, range): &(&str, u64, RangeInclusive<u64>)| {
        format!("{table}.{key} is {value}; it can be {} to {}", range.start(), range.end())
    };
    out.map(message).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_possible() {
        assert!(server(&RequestLimits::default()).is_empty());
        assert!(drain(&DrainConfig::default()).is_empty());
        assert!(guest("d", &GuestLimits::default()).is_empty());
        assert!(batching("m", &BatchingConfig::default()).is_empty());
    }
}
