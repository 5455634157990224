//! The values that a limit can have: none is zero, and none is so large that it bounds nothing.

use std::ops::RangeInclusive;

use super::{GuestLimits, RequestLimits};

const GIB: u64 = 1 << 30;
const HOUR_MS: u64 = 3_600_000;

/// Smallest memory of a guest: one page of WebAssembly.
const PAGE_BYTES: u64 = 64 << 10;

/// What is wrong with `[server.limits]`, one message a key.
pub(super) fn server(limits: &RequestLimits) -> Vec<String> {
    wrong(
        "server.limits",
        &[
            ("message_bytes", limits.message_bytes as u64, 1..=GIB),
            ("texts", limits.texts as u64, 1..=1_000_000),
            ("text_bytes", limits.text_bytes as u64, 1..=GIB),
            ("inflight_requests", limits.inflight_requests.into(), 1..=65_536),
            ("connections", limits.connections as u64, 1..=1_000_000),
            ("connection_requests", limits.connection_requests.into(), 1..=65_536),
            ("handshake_ms", limits.handshake_ms, 1..=HOUR_MS),
            ("receive_ms", limits.receive_ms, 1..=HOUR_MS),
            ("keepalive_ms", limits.keepalive_ms, 1..=HOUR_MS),
        ],
    )
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
        ],
    )
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
        assert!(guest("d", &GuestLimits::default()).is_empty());
    }
}
