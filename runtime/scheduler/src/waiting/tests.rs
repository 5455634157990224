//! Who is taken first, with whom, and what that leaves, as tables over a clock value.

use tokio::sync::oneshot;

use super::*;
use crate::caller::Origin;
use crate::job::Ask;
use crate::rules::tests::proven;
use crate::shape::Shape;

/// A fixed part worth twenty tokens.
const COST: Cost = Cost { fixed_us: 2000.0, per_token_us: 100.0, per_pair_us: 0.0 };

struct Desk {
    waiting: Waiting,
    next_id: u64,
    now: Instant,
}

impl Desk {
    fn new() -> Self {
        Self { waiting: Waiting::new(), next_id: 0, now: Instant::now() }
    }

    fn push(&mut self, caller: &Caller, rows: usize, length: usize, deadline_ms: Option<u64>) -> Arc<Job> {
        let shape = Shape { rows, length, tokens: rows * length, has_rows: true, kin: vec![] };
        let deadline = deadline_ms.map(|ms| self.now + Duration::from_millis(ms));
        let work_us = COST.beyond_fixed(proven().size(rows, rows * length, length));
        let ask =
            Ask { id: self.next_id, inputs: vec![], shape, caller: caller.clone(), observer: None, deadline, work_us };
        self.next_id += 1;
        let job = Arc::new(Job::new(ask, self.now, oneshot::channel().0));
        self.waiting.push(Arc::clone(&job));
        job
    }

    fn form(&mut self, rules: &BatchRules) -> Vec<u64> {
        let formed = self.waiting.form(rules, &COST, self.now);
        formed.parts.iter().map(|part| part.job.id).collect()
    }

    /// Ids of so many batches.
    fn batches(&mut self, rules: &BatchRules, count: usize) -> Vec<Vec<u64>> {
        (0..count).map(|_| self.form(rules)).collect()
    }
}

fn caller(lane: Lane, tenant: &Tenant) -> Caller {
    Caller { lane, tenant: tenant.clone(), origin: Origin(0) }
}

fn tenant(name: &str, share: f64) -> Tenant {
    Tenant::new(name, share, usize::MAX)
}

/// One entry a batch.
fn alone() -> BatchRules {
    BatchRules { max_rows: 1, ..proven() }
}

#[test]
fn the_earliest_deadline_is_served_first_and_arrival_decides_between_equals() {
    let mut desk = Desk::new();
    let caller = Caller::default();
    for deadline_ms in [Some(9000), None, Some(100), None, Some(60_000)] {
        desk.push(&caller, 1, 10, deadline_ms);
    }
    // Whoever has no deadline, or a far one, counts as if it had ten seconds.
    assert_eq!(desk.batches(&alone(), 5).concat(), [2, 0, 1, 3, 4]);
    assert!(desk.form(&alone()).is_empty());
}

#[test]
fn interactive_requests_go_before_bulk_and_bulk_gets_a_tenth() {
    let mut desk = Desk::new();
    let owner = tenant("t", 1.0);
    let (live, bulk) = (caller(Lane::Interactive, &owner), caller(Lane::Bulk, &owner));
    (0..100).for_each(|_| drop(desk.push(&bulk, 1, 10, None)));
    (0..100).for_each(|_| drop(desk.push(&live, 1, 10, None)));
    let served = desk.batches(&alone(), 100).concat();
    let of_bulk = served.iter().filter(|&&id| id < 100).count();
    assert!((9..=11).contains(&of_bulk), "{of_bulk} of 100");
}

#[test]
fn a_lone_interactive_request_waits_for_no_bulk_that_came_before_it() {
    let mut desk = Desk::new();
    let (bulk, live) = (caller(Lane::Bulk, &tenant("b", 1.0)), caller(Lane::Interactive, &tenant("l", 1.0)));
    (0..50).for_each(|_| drop(desk.push(&bulk, 1, 10, None)));
    desk.batches(&alone(), 20);
    let job = desk.push(&live, 1, 10, None);
    assert_eq!(desk.form(&alone()), [job.id]);
}

#[test]
fn tenants_are_served_in_proportion_to_their_shares_however_much_they_send() {
    let mut desk = Desk::new();
    let (flood, small) = (tenant("flood", 1.0), tenant("small", 2.0));
    (0..1000).for_each(|_| drop(desk.push(&caller(Lane::Bulk, &flood), 1, 10, None)));
    (0..40).for_each(|_| drop(desk.push(&caller(Lane::Bulk, &small), 1, 10, None)));
    let served = desk.batches(&alone(), 60).concat();
    let of_small = served.iter().filter(|&&id| id >= 1000).count();
    assert!((39..=40).contains(&of_small), "{of_small} of 60");
}

#[test]
fn entries_of_different_tenants_share_a_batch_and_each_pays_for_its_own() {
    let mut desk = Desk::new();
    let (a, b) = (tenant("a", 1.0), tenant("b", 1.0));
    desk.push(&caller(Lane::Interactive, &a), 1, 10, None);
    desk.push(&caller(Lane::Interactive, &b), 1, 12, None);
    let mut ids = desk.form(&proven());
    ids.sort_unstable();
    assert_eq!(ids, [0, 1]);
}

#[test]
fn bulk_never_rides_in_an_interactive_batch_but_interactive_rides_with_bulk() {
    let mut desk = Desk::new();
    let owner = tenant("t", 1.0);
    let (live, bulk) = (caller(Lane::Interactive, &owner), caller(Lane::Bulk, &owner));
    desk.push(&bulk, 1, 10, None);
    desk.push(&live, 1, 10, None);
    assert_eq!(desk.form(&proven()), [1]);
    // Bulk is due now, having been served less than its tenth.
    desk.push(&live, 1, 10, None);
    let mut ids = desk.form(&proven());
    ids.sort_unstable();
    assert_eq!(ids, [0, 2]);
}

#[test]
fn what_is_dead_or_late_is_dropped_when_a_batch_is_formed() {
    let mut desk = Desk::new();
    let caller = Caller::default();
    let dead = desk.push(&caller, 1, 10, Some(5));
    dead.abandon();
    let late = desk.push(&caller, 1, 10, Some(10));
    let hopeless = desk.push(&caller, 8, 256, Some(80));
    let fine = desk.push(&caller, 1, 10, Some(5000));
    desk.now += Duration::from_millis(20);
    let formed = desk.waiting.form(&proven(), &COST, desk.now);
    let late_ids: Vec<u64> = formed.late.iter().map(|job| job.id).collect();
    assert_eq!(late_ids, [late.id, hopeless.id], "207 ms of work do not fit into 60");
    assert_eq!(formed.parts.iter().map(|part| part.job.id).collect::<Vec<_>>(), [fine.id]);
    assert_eq!((desk.waiting.entries(), desk.waiting.tokens()), (0, 0));
}

#[test]
fn an_entry_alone_is_tried_whatever_is_predicted() {
    let mut desk = Desk::new();
    let job = desk.push(&Caller::default(), 8, 256, Some(80));
    assert_eq!(desk.form(&proven()), [job.id]);
}

#[test]
fn a_large_entry_runs_in_parts_and_lets_others_in_between() {
    let mut desk = Desk::new();
    let rules = BatchRules { max_batch: Duration::from_millis(50), ..proven() };
    let (bulk, live) = (caller(Lane::Bulk, &tenant("b", 1.0)), caller(Lane::Interactive, &tenant("l", 1.0)));
    let large = desk.push(&bulk, 10, 100, None);
    let first = desk.waiting.form(&rules, &COST, desk.now);
    assert_eq!(first.parts.iter().map(|part| (part.job.id, part.rows.clone())).collect::<Vec<_>>(), [(large.id, 0..4)]);
    let small = desk.push(&live, 1, 10, None);
    assert_eq!(desk.form(&rules), [small.id]);
    let rest: Vec<_> = (0..2).flat_map(|_| desk.waiting.form(&rules, &COST, desk.now).parts).collect();
    assert_eq!(
        rest.iter().map(|part| (part.job.id, part.rows.clone())).collect::<Vec<_>>(),
        [(large.id, 4..7), (large.id, 7..10)]
    );
    assert!(desk.waiting.waits().is_none());
}

#[test]
fn a_removed_entry_leaves_nothing_behind() {
    let mut desk = Desk::new();
    let caller = Caller::default();
    let jobs: Vec<_> = (0..3).map(|_| desk.push(&caller, 2, 10, None)).collect();
    desk.waiting.remove(&jobs[1]);
    desk.waiting.remove(&jobs[1]);
    assert_eq!((desk.waiting.entries(), desk.waiting.tokens()), (2, 40));
    assert_eq!(desk.form(&proven()), [0, 2]);
    let wait_us = desk.waiting.wait_us(Lane::Interactive, &caller.tenant, &COST, &proven());
    assert!(wait_us.abs() < f64::EPSILON, "{wait_us}");
}

#[test]
fn the_predicted_wait_is_what_stands_before_the_caller_and_no_more() {
    let mut desk = Desk::new();
    let (flood, small) = (tenant("flood", 1.0), tenant("small", 1.0));
    // A hundred rows of ten tokens: 100 ms of work, in batches that take 50 ms at most.
    (0..100).for_each(|_| drop(desk.push(&caller(Lane::Interactive, &flood), 1, 10, None)));
    let rules = BatchRules { max_batch: Duration::from_millis(50), ..proven() };
    let wait_ms = |desk: &Desk, lane, tenant: &Tenant| desk.waiting.wait_us(lane, tenant, &COST, &rules) / 1e3;
    assert!((wait_ms(&desk, Lane::Interactive, &flood) - 106.0).abs() < 1e-6, "100 ms and three fixed parts");
    assert!(wait_ms(&desk, Lane::Interactive, &small).abs() < 1e-6, "its own turn comes at once");
    assert!(wait_ms(&desk, Lane::Bulk, &small).abs() < 1e-6, "so does the turn of an empty lane");
    desk.push(&caller(Lane::Interactive, &small), 1, 10, None);
    let wait = wait_ms(&desk, Lane::Interactive, &small);
    assert!((3.9..4.1).contains(&wait), "its one row, and as much of the other tenant: {wait}");
}

#[test]
fn announced_work_counts_until_it_is_asked_for_or_withdrawn() {
    let mut desk = Desk::new();
    let caller = Caller::default();
    let wait_us = |desk: &Desk| desk.waiting.wait_us(Lane::Interactive, &caller.tenant, &COST, &BatchRules::unproven());
    desk.waiting.announce(&caller, 5000.0);
    assert!((wait_us(&desk) - 5000.0).abs() < 1e-6);
    desk.push(&caller, 1, 10, None);
    assert_eq!(desk.waiting.waits().expect("one waits").on_their_way, 1);
    desk.waiting.withdraw(&caller, 5000.0);
    assert!((wait_us(&desk) - 1000.0).abs() < 1e-6);
    assert_eq!(desk.waiting.waits().expect("one waits").on_their_way, 0);
}

#[test]
fn a_batch_is_chosen_in_a_bounded_window_and_everybody_is_served_in_the_end() {
    let mut desk = Desk::new();
    let tenants: Vec<Tenant> = (0..300).map(|index| tenant(&format!("t{index}"), 1.0)).collect();
    for round in 0..10 {
        for owner in &tenants {
            desk.push(&caller(Lane::Interactive, owner), 1, 8 + round, None);
        }
    }
    let mut seen = Vec::new();
    while desk.waiting.entries() > 0 {
        let ids = desk.form(&proven());
        assert!((1..=64).contains(&ids.len()));
        seen.extend(ids);
    }
    seen.sort_unstable();
    assert_eq!(seen, (0..3000).collect::<Vec<u64>>());
}
