//! The policy as tables, and against every partition there is.

use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::rules::tests::proven;

/// A fixed part worth twenty tokens.
const COST: Cost = Cost { fixed_us: 2000.0, per_token_us: 100.0, per_pair_us: 0.0 };

const NO_LIMIT: f64 = f64::INFINITY;

fn rows_of(lengths: &[usize]) -> Vec<Candidate> {
    lengths.iter().map(|&length| Candidate { rows: 1, length, tokens: length }).collect()
}

fn group(lengths: &[usize], leader: usize, rules: &BatchRules) -> Vec<usize> {
    cheapest_group(&rows_of(lengths), leader, rules, &COST, NO_LIMIT)
}

#[test]
fn a_long_text_between_short_ones_is_not_what_they_wait_for() {
    let lengths = [8, 8, 256, 8, 8];
    assert_eq!(group(&lengths, 0, &proven()), [0, 1, 3, 4]);
    assert_eq!(group(&lengths, 2, &proven()), [2]);
}

#[test]
fn rows_of_nearly_one_length_run_together() {
    assert_eq!(group(&[16, 14, 15, 16], 1, &proven()), [1, 2, 0, 3]);
}

#[test]
fn a_row_is_alone_when_its_padding_would_cost_more_than_an_inference() {
    // 20 tokens of padding cost as much as the fixed part: at 19 they share, at 21 they do not.
    assert_eq!(group(&[10, 29], 0, &proven()), [0, 1]);
    assert_eq!(group(&[10, 31], 0, &proven()), [0]);
}

#[test]
fn packed_rows_of_all_lengths_run_together() {
    let rules = BatchRules { is_packed: true, ..proven() };
    assert_eq!(group(&[8, 256, 64], 0, &rules), [0, 2, 1]);
}

#[test]
fn only_rows_of_one_length_meet_where_padding_is_not_proven() {
    let rules = BatchRules { pads_rows: false, ..proven() };
    assert_eq!(group(&[16, 17, 16], 0, &rules), [0, 2]);
}

#[test]
fn nothing_is_shared_where_rows_are_not_proven() {
    assert_eq!(group(&[16, 16, 16], 1, &BatchRules::unproven()), [1]);
}

#[test]
fn bounds_on_rows_tokens_and_time_hold() {
    let few = BatchRules { max_rows: 2, ..proven() };
    assert_eq!(group(&[16; 5], 0, &few).len(), 2);
    let small = BatchRules { max_tokens: 50, ..proven() };
    assert_eq!(group(&[16; 5], 0, &small).len(), 3);
    let candidates = rows_of(&[16; 5]);
    // Two rows take 5.2 ms, three 6.8.
    assert_eq!(cheapest_group(&candidates, 0, &proven(), &COST, 6000.0).len(), 2);
    assert_eq!(cheapest_group(&candidates, 0, &proven(), &COST, 1.0), [0], "the leader runs in any case");
}

#[test]
fn everything_that_fits_runs_together_while_nothing_is_known_of_cost() {
    let candidates = rows_of(&[4, 5, 6]);
    assert_eq!(cheapest_group(&candidates, 1, &proven(), &Cost::default(), NO_LIMIT), [0, 1, 2]);
}

#[test]
fn a_batch_closes_at_once_unless_something_is_on_its_way() {
    let now = Instant::now();
    let delayed = BatchRules { max_queue_delay: Duration::from_millis(5), ..proven() };
    let waits = Waits { rows: 1, oldest: now, on_their_way: 3 };
    assert_eq!(close_at(&waits, &delayed, now), now + Duration::from_millis(5));
    assert_eq!(close_at(&waits, &proven(), now), now, "no delay is the default");
    assert_eq!(close_at(&Waits { on_their_way: 0, ..waits }, &delayed, now), now, "nobody would come");
    assert_eq!(close_at(&Waits { rows: 64, ..waits }, &delayed, now), now, "the batch is full");
    let late = now + Duration::from_millis(7);
    assert_eq!(close_at(&waits, &delayed, late), late, "the oldest has waited enough");
    let unproven = BatchRules { shares_rows: false, ..delayed };
    assert_eq!(close_at(&waits, &unproven, now), now, "nothing could join");
}

/// The least cost over all ways to cut the sorted candidates into runs, by trying them all.
fn cheapest_by_trying(candidates: &[Candidate], rules: &BatchRules) -> f64 {
    let mut sorted = candidates.to_vec();
    sorted.sort_by_key(|candidate| candidate.length);
    let run_us = |run: &[Candidate]| {
        let (rows, length) = (run.iter().map(|one| one.rows).sum(), run.last().map_or(0, |last| last.length));
        let fits = run.len() == 1 || rules.fits(rows, length);
        if fits { COST.of(Size::padded(rows, length)) } else { f64::INFINITY }
    };
    let cuts = sorted.len() - 1;
    let costs = (0..1_u32 << cuts).map(|chosen| {
        let (mut total_us, mut start) = (0.0, 0);
        for end in 1..=sorted.len() {
            if end == sorted.len() || chosen & (1 << (end - 1)) != 0 {
                total_us += run_us(&sorted[start..end]);
                start = end;
            }
        }
        total_us
    });
    costs.fold(f64::INFINITY, f64::min)
}

proptest! {
    #[test]
    fn no_other_partition_is_cheaper(
        entries in proptest::collection::vec((1_usize..4, 1_usize..60), 1..9),
        max_rows in 1_usize..12,
    ) {
        let rules = BatchRules { max_rows, ..proven() };
        let candidates: Vec<_> = entries.iter()
            .map(|&(rows, length)| Candidate { rows, length, tokens: rows * length }).collect();
        let mut order: Vec<usize> = (0..candidates.len()).collect();
        order.sort_by_key(|&index| candidates[index].length);
        let runs = cheapest_runs(&candidates, &order, &rules, &COST, NO_LIMIT);
        let total_us: f64 = runs.iter().map(|run| {
            let members = &order[run.clone()];
            let rows = members.iter().map(|&index| candidates[index].rows).sum();
            COST.of(Size::padded(rows, candidates[*members.last().expect("runs are not empty")].length))
        }).sum();
        prop_assert!((total_us - cheapest_by_trying(&candidates, &rules)).abs() < 1e-6);
    }

    #[test]
    fn the_leader_is_always_in_its_group_and_every_group_is_within_bounds(
        lengths in proptest::collection::vec(1_usize..300, 1..100),
        leader in 0_usize..100,
        max_rows in 1_usize..70,
        limit_us in 1.0_f64..100_000.0,
    ) {
        let leader = leader % lengths.len();
        let rules = BatchRules { max_rows, ..proven() };
        let group = cheapest_group(&rows_of(&lengths), leader, &rules, &COST, limit_us);
        prop_assert!(group.contains(&leader));
        let longest = group.iter().map(|&index| lengths[index]).max().expect("the leader is there");
        if group.len() > 1 {
            prop_assert!(rules.fits(group.len(), longest));
            prop_assert!(COST.of(Size::padded(group.len(), longest)) <= limit_us);
        }
    }
}
