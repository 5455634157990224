//! Which traces are recorded.

use super::context::Parent;

/// The samplers `traceidratio` and `parentbased_traceidratio`; the others that OpenTelemetry specifies are these with a ratio of
/// 0 or 1. Source: OpenTelemetry specification, "Tracing SDK", "Sampling".
#[derive(Clone, Copy, Debug)]
pub(super) struct Sampler {
    /// Share of the traces that begin here.
    pub(super) ratio: f64,
    /// Whether the sender of a request decides for its trace.
    pub(super) is_parent_based: bool,
}

impl Sampler {
    /// Whether a span of this trace is recorded; every service that samples by the ratio decides alike.
    pub(super) fn takes(self, parent: Option<Parent>, trace: u128) -> bool {
        match parent {
            Some(parent) if self.is_parent_based => parent.is_sampled,
            _ => self.is_within_ratio(trace),
        }
    }

    fn is_within_ratio(self, trace: u128) -> bool {
        // The lower 63 bits, as the SDKs take them.
        let random = (trace as u64) >> 1;
        self.ratio >= 1.0 || random < (self.ratio.max(0.0) * (1_u64 << 63) as f64) as u64
    }
}

#[cfg(test)]
mod tests {
    use wisp_engine::observe::SpanIds;

    use super::*;

    #[test]
    fn the_sender_decides_where_it_may_and_the_ratio_elsewhere() {
        let parent = |is_sampled| Some(Parent { ids: SpanIds { trace: 1, span: 1 }, is_sampled });
        let never = Sampler { ratio: 0.0, is_parent_based: true };
        assert!(never.takes(parent(true), 1) && !never.takes(parent(false), 1) && !never.takes(None, 1));
        let always = Sampler { ratio: 1.0, is_parent_based: false };
        assert!(always.takes(parent(false), 1) && always.takes(None, u128::MAX));
    }

    #[test]
    fn a_quarter_is_a_quarter_of_all_traces() {
        let quarter = Sampler { ratio: 0.25, is_parent_based: true };
        // Spread evenly over all ids, each in the middle of its thousandth.
        let traces = (0..1000_u64).map(|index| u128::from(u64::MAX / 1000 * index + u64::MAX / 2000));
        assert_eq!(traces.filter(|&trace| quarter.takes(None, trace)).count(), 250);
    }
}
