//! What the engine answers, as messages.

use std::time::Duration;

use wisp_engine::{BatchShare, EmbedResponse, PlacementReport, RequestTimes};
use wisp_proto::v1;

use super::encoding::Encoding;

/// The answer to a message.
pub(super) fn embed_response(response: &EmbedResponse, encoding: Encoding) -> v1::EmbedResponse {
    let embeddings = response.vectors().zip(&response.token_counts);
    v1::EmbedResponse {
        embeddings: embeddings.map(|(vector, &tokens)| encoding.embedding(vector, tokens)).collect(),
        usage: Some(v1::Usage { tokens: response.token_counts.iter().map(|&tokens| u64::from(tokens)).sum() }),
        timing: Some(timing(&response.times)),
        placement: response.placement.as_ref().map(placement),
        batching: Some(batching(&response.share)),
        // Lengths of vectors are u32 in the interface of guests.
        dimensions: u32::try_from(response.dimensions).unwrap_or(u32::MAX),
    }
}

/// What ran.
pub(crate) fn placement(report: &PlacementReport) -> v1::Placement {
    v1::Placement {
        model: report.model.to_string(),
        backend: report.placement.backend.to_string(),
        device: report.placement.device.to_string(),
        precision: report.precision.to_string(),
    }
}

/// What a request shared with others.
pub(crate) fn batching(share: &BatchShare) -> v1::Batching {
    let &BatchShare { inferences, rows, tokens, padded_tokens } = share;
    v1::Batching { inferences, rows, tokens, padded_tokens }
}

/// Where the time went.
pub(crate) fn timing(times: &RequestTimes) -> v1::Timing {
    v1::Timing {
        queue_ns: nanoseconds(times.queue),
        tokenize_ns: nanoseconds(times.tokenize),
        guest_ns: nanoseconds(times.guest),
        gather_ns: nanoseconds(times.gather),
        infer_ns: nanoseconds(times.infer),
        total_ns: nanoseconds(times.total),
    }
}

/// A time; 2^64 nanoseconds are 584 years.
pub(crate) fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
