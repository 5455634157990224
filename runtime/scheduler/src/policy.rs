//! Which of the entries that wait run together: pure functions over what waits.
//!
//! Padding is what makes a batch slow: the longest row sets the length of all. So the rows that wait are sorted by length and
//! cut into the runs of neighbours that take the least time altogether ([`cheapest_group`]); the run that holds the most
//! urgent entry is the next batch. A row whose padding would cost more than the fixed part of an inference ends up in a run
//! of its own, and a batch of one is simply the cheapest run at times.

use tokio::time::Instant;

use crate::cost::{Cost, Size};
use crate::rules::BatchRules;

/// What forming a batch and handing it over costs beside the session, in microseconds. Small, and yet it decides where a session
/// has no fixed cost of its own: rows then run together because nothing speaks against it.
const HAND_OVER_US: f64 = 20.0;

/// An entry that could be part of the next batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// Its rows.
    pub rows: usize,
    /// Length that they all have.
    pub length: usize,
    /// Tokens in them that are no padding.
    pub tokens: usize,
}

/// What waits for a worker, at one moment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Waits {
    /// Rows that wait.
    pub(crate) rows: usize,
    /// Since when the entry has waited that waits longest.
    pub(crate) oldest: Instant,
    /// Requests that were admitted and have not computed yet.
    pub(crate) on_their_way: usize,
}

/// When to stop waiting for more entries: at once when a batch could be full already or nothing is on its way, else when the
/// oldest entry has waited as long as it may.
pub(crate) fn close_at(waits: &Waits, rules: &BatchRules, now: Instant) -> Instant {
    if !rules.shares_rows || waits.on_their_way == 0 || waits.rows >= rules.max_rows {
        return now;
    }
    (waits.oldest + rules.max_queue_delay).max(now)
}

/// The run of neighbours by length that holds `leader`, in the partition of all candidates that takes the least time. No
/// inference of several entries takes longer than `limit_us`.
///
/// Returns indices of `candidates`, in the order of their lengths. The leader runs in any case.
#[must_use]
pub fn cheapest_group(
    candidates: &[Candidate],
    leader: usize,
    rules: &BatchRules,
    cost: &Cost,
    limit_us: f64,
) -> Vec<usize> {
    let mut order: Vec<usize> = (0..candidates.len()).collect();
    order.sort_by_key(|&index| (candidates[index].length, index));
    let runs = cheapest_runs(candidates, &order, rules, cost, limit_us);
    let place = order.iter().position(|&index| index == leader).unwrap_or(0);
    let run = runs.into_iter().find(|run| run.contains(&place)).unwrap_or(place..place + 1);
    order[run].to_vec()
}

/// Cuts the ordered candidates into consecutive runs of the least total cost, by dynamic programming over the start of a run.
/// Between equals the earlier run is the fuller one: what is left over can still find company among those that come later.
fn cheapest_runs(
    candidates: &[Candidate],
    order: &[usize],
    rules: &BatchRules,
    cost: &Cost,
    limit_us: f64,
) -> Vec<std::ops::Range<usize>> {
    // cheapest[start]: the least cost of everything from `start` on, and where the first of its runs ends.
    let mut cheapest = vec![(0.0, order.len()); order.len() + 1];
    for start in (0..order.len()).rev() {
        let mut best = (f64::INFINITY, start + 1);
        let (mut rows, mut packed) = (0, Size::default());
        for (end, &index) in order.iter().enumerate().skip(start) {
            let (next, is_alone) = (candidates[index], end == start);
            rows += next.rows;
            packed = packed + rules.size(next.rows, next.tokens, next.length);
            let size = if rules.is_packed { packed } else { Size::padded(rows, next.length) };
            let run_us = cost.of(size);
            let may_join = rules.shares_rows
                && rules.fits(rows, next.length)
                && (rules.pads_rows || next.length == candidates[order[start]].length)
                && run_us <= limit_us;
            if !is_alone && !may_join {
                break;
            }
            let total_us = HAND_OVER_US + run_us + cheapest[end + 1].0;
            // Where nothing is known of cost, everything costs nothing: then the longest run is as good as any.
            if total_us <= best.0 {
                best = (total_us, end + 1);
            }
        }
        cheapest[start] = best;
    }
    let mut runs = Vec::new();
    let mut start = 0;
    while start < order.len() {
        let end = cheapest[start].1;
        runs.push(start..end);
        start = end;
    }
    runs
}

#[cfg(test)]
mod tests;
