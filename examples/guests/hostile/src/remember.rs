//! A guest that remembers: what its host lets it see of earlier requests.

use std::sync::atomic::{AtomicU32, Ordering};

use wisp_guest::Embeddings;

static CALLS: AtomicU32 = AtomicU32::new(0);

/// One vector of one dimension: how many times this instance has counted.
pub(crate) fn count() -> Embeddings {
    let calls = CALLS.fetch_add(1, Ordering::Relaxed) + 1;
    Embeddings {
        values: vec![f32::from(u16::try_from(calls).unwrap_or(u16::MAX))],
        dimensions: 1,
        token_counts: vec![1],
    }
}
