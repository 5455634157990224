//! What waits for the workers of a session: entries by lane, tenant and deadline, and the work they are.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::caller::{Caller, Lane, Tenant};
use crate::cost::{Cost, microseconds};
use crate::fair::{Turn, VirtualClock};
use crate::job::{Job, Part};
use crate::policy::{Candidate, Waits, cheapest_group};
use crate::rules::BatchRules;

/// Entries that one batch is chosen from: enough to find company of one's own length, few enough to be looked through in a
/// moment however many wait.
const WINDOW: usize = 128;

/// Everything that waits, and what is known to be on its way.
pub(crate) struct Waiting {
    lanes: [LaneLine; Lane::ALL.len()],
    clock: VirtualClock,
    entries: usize,
    rows: usize,
    tokens: usize,
    on_their_way: usize,
    /// No handle is left: workers end when nothing waits.
    pub(crate) is_closed: bool,
}

/// The entries of a lane.
struct LaneLine {
    turn: Turn,
    clock: VirtualClock,
    tenants: BTreeMap<u64, TenantLine>,
    entries: usize,
    work_us: f64,
}

/// The entries of a tenant in a lane, the most urgent first.
struct TenantLine {
    turn: Turn,
    entries: BTreeMap<Place, Waiter>,
    /// Of what waits and what is on its way.
    work_us: f64,
    on_their_way: usize,
}

/// Where an entry stands: by its deadline, then by its arrival.
type Place = (Instant, u64);

struct Waiter {
    job: Arc<Job>,
    /// Rows before this one run already, or have run.
    next_row: usize,
}

/// What a worker takes.
#[derive(Default)]
pub(crate) struct Formed {
    /// The batch; empty when nothing is left to run.
    pub(crate) parts: Vec<Part>,
    /// Entries whose deadline passed, or will have passed before they could be answered.
    pub(crate) late: Vec<Arc<Job>>,
}

/// A flow of entries: lane and tenant.
type Flow = (usize, u64);

impl Waiting {
    pub(crate) fn new() -> Self {
        let line = |lane: Lane| LaneLine {
            turn: Turn::new(lane.share()),
            clock: VirtualClock::default(),
            tenants: BTreeMap::new(),
            entries: 0,
            work_us: 0.0,
        };
        let (lanes, clock) = (Lane::ALL.map(line), VirtualClock::default());
        Self { lanes, clock, entries: 0, rows: 0, tokens: 0, on_their_way: 0, is_closed: false }
    }

    /// Entries that wait.
    pub(crate) fn entries(&self) -> usize {
        self.entries
    }

    /// Tokens of the entries that wait, whole.
    pub(crate) fn tokens(&self) -> usize {
        self.tokens
    }

    /// Notes work that was admitted and will be asked for.
    pub(crate) fn announce(&mut self, caller: &Caller, work_us: f64) {
        self.on_their_way += 1;
        let line = self.line(caller);
        line.work_us += work_us;
        line.on_their_way += 1;
        self.lanes[caller.lane as usize].work_us += work_us;
    }

    /// The work is asked for now, or never will be.
    pub(crate) fn withdraw(&mut self, caller: &Caller, work_us: f64) {
        self.on_their_way = self.on_their_way.saturating_sub(1);
        let line = self.line(caller);
        line.work_us -= work_us;
        line.on_their_way = line.on_their_way.saturating_sub(1);
        self.lanes[caller.lane as usize].work_us -= work_us;
        self.settle(caller.lane as usize, caller.tenant.id());
    }

    pub(crate) fn push(&mut self, job: Arc<Job>) {
        self.entries += 1;
        self.rows += job.shape.rows;
        self.tokens += job.shape.tokens;
        let lane = job.caller.lane as usize;
        if self.lanes[lane].entries == 0 {
            self.clock.enter(&mut self.lanes[lane].turn);
        }
        let clock = self.lanes[lane].clock;
        let line = self.line(&job.caller);
        if line.entries.is_empty() {
            clock.enter(&mut line.turn);
        }
        line.work_us += job.work_us;
        let work_us = job.work_us;
        line.entries.insert((job.due, job.id), Waiter { job, next_row: 0 });
        self.lanes[lane].entries += 1;
        self.lanes[lane].work_us += work_us;
    }

    /// Takes an entry out whose caller left; it may be gone already.
    pub(crate) fn remove(&mut self, job: &Job) {
        self.take_all((job.caller.lane as usize, job.caller.tenant.id()), (job.due, job.id));
    }

    /// Takes everything out.
    pub(crate) fn drain(&mut self) -> Vec<Arc<Job>> {
        let mut jobs = Vec::with_capacity(self.entries);
        for lane in 0..self.lanes.len() {
            let tenants: Vec<u64> = self.lanes[lane].tenants.keys().copied().collect();
            for tenant in tenants {
                while let Some(place) = self.first((lane, tenant)) {
                    jobs.extend(self.take_all((lane, tenant), place).map(|part| part.job));
                }
            }
        }
        jobs
    }

    /// What the decision to close a batch depends on; `None` while nothing waits.
    pub(crate) fn waits(&self) -> Option<Waits> {
        let entries = self.lanes.iter().flat_map(|lane| lane.tenants.values()).filter_map(|line| {
            // By deadline, not by arrival; among the most urgent of each tenant that is close enough.
            line.entries.values().next().map(|waiter| waiter.job.queued_at)
        });
        Some(Waits { rows: self.rows, oldest: entries.min()?, on_their_way: self.on_their_way })
    }

    /// How long an entry of this caller would wait before it starts, if the workers did nothing else from now on.
    ///
    /// The work of its own tenant counts in proportion to the shares that have work, and no more than all work there is.
    pub(crate) fn wait_us(&self, lane: Lane, tenant: &Tenant, cost: &Cost, rules: &BatchRules) -> f64 {
        let with_fixed = |work_us: f64| with_fixed_us(work_us, cost, rules);
        let line = &self.lanes[lane as usize];
        let total_us: f64 = self.lanes.iter().map(|line| line.work_us.max(0.0)).sum();
        let lane_shares: f64 = self
            .lanes
            .iter()
            .zip(Lane::ALL)
            .filter(|(other, name)| *name == lane || other.work_us > 0.0)
            .map(|(other, _)| other.turn.share())
            .sum();
        let own = line.tenants.get(&tenant.id());
        let own_us = own.map_or(0.0, |own| own.work_us.max(0.0));
        let others = line.tenants.iter().filter(|(id, other)| **id != tenant.id() && other.work_us > 0.0);
        let shares: f64 = tenant.share() + others.map(|(_, other)| other.turn.share()).sum::<f64>();
        let in_lane_us = (own_us * shares / tenant.share()).min(line.work_us.max(0.0));
        with_fixed((in_lane_us * lane_shares / line.turn.share()).min(total_us))
    }

    /// Chooses the next batch and takes it out. `cost` is what is known of the session.
    pub(crate) fn form(&mut self, rules: &BatchRules, cost: &Cost, now: Instant) -> Formed {
        let mut formed = Formed::default();
        while let Some((flow, place)) = self.leader() {
            let job = Arc::clone(&self.line_of(flow).entries[&place].job);
            if job.is_over() {
                self.take_all(flow, place);
            } else if self.is_hopeless(&job, rules, cost, now) {
                self.take_all(flow, place);
                formed.late.push(job);
            } else {
                formed.parts = self.batch_of(flow, place, &job, rules, cost, now);
                break;
            }
        }
        formed
    }

    /// Its deadline passed, or will have before it can be answered. The second is only believed while others wait: what is
    /// known of cost must not keep itself from being corrected.
    fn is_hopeless(&self, job: &Job, rules: &BatchRules, cost: &Cost, now: Instant) -> bool {
        if job.is_late(now) {
            return true;
        }
        let Some(deadline) = job.deadline.filter(|_| self.entries > 1) else { return false };
        let alone_us = cost.of(rules.size(job.shape.rows, job.shape.tokens, job.shape.length));
        deadline < now + microseconds(alone_us / 2.0)
    }

    /// The most urgent entry of the tenant whose turn it is, in the lane whose turn it is.
    fn leader(&mut self) -> Option<(Flow, Place)> {
        let by_tag = |a: &Turn, b: &Turn| a.tag().total_cmp(&b.tag());
        let lanes = (0..self.lanes.len()).filter(|&lane| self.lanes[lane].entries > 0);
        let lane = lanes.min_by(|&a, &b| by_tag(&self.lanes[a].turn, &self.lanes[b].turn))?;
        let tenants = self.lanes[lane].tenants.iter().filter(|(_, line)| !line.entries.is_empty());
        let (&tenant, _) = tenants.min_by(|(_, a), (_, b)| by_tag(&a.turn, &b.turn))?;
        let place = self.first((lane, tenant))?;
        self.clock.serve(&self.lanes[lane].turn);
        let line = &mut self.lanes[lane];
        line.clock.serve(&line.tenants[&tenant].turn);
        Some(((lane, tenant), place))
    }

    fn batch_of(
        &mut self,
        flow: Flow,
        place: Place,
        leader: &Job,
        rules: &BatchRules,
        cost: &Cost,
        now: Instant,
    ) -> Vec<Part> {
        let left = leader.shape.rows - self.line_of(flow).entries[&place].next_row;
        let at_once = rows_at_once(leader, left, rules, cost);
        if at_once < left || !rules.shares_rows || !leader.shape.has_rows {
            return self.take_charged(&[(flow, place)], at_once, rules, cost);
        }
        let mut candidates = vec![(flow, place)];
        self.collect_company(flow, place, leader, rules, cost, &mut candidates);
        let shapes: Vec<Candidate> = candidates.iter().map(|&(flow, place)| self.candidate(flow, place)).collect();
        let chosen = cheapest_group(&shapes, 0, rules, cost, limit_us(leader, rules, now));
        let chosen: Vec<_> = chosen.into_iter().map(|index| candidates[index]).collect();
        self.take_charged(&chosen, usize::MAX, rules, cost)
    }

    /// Others that could run with the leader: of its own lane and of more urgent ones, from all tenants alike.
    fn collect_company(
        &self,
        flow: Flow,
        place: Place,
        leader: &Job,
        rules: &BatchRules,
        cost: &Cost,
        candidates: &mut Vec<(Flow, Place)>,
    ) {
        let flows: Vec<Flow> = (0..=flow.0)
            .flat_map(|lane| self.lanes[lane].tenants.keys().map(move |&tenant| (lane, tenant)))
            .filter(|&flow| !self.line_of(flow).entries.is_empty())
            .collect();
        let quota = (WINDOW / flows.len().max(1)).max(1);
        // The leader's own tenant comes first, the others follow in a circle: none is always too late for the window.
        let first = flows.iter().position(|&other| other == flow).unwrap_or(0);
        for &other in flows.iter().cycle().skip(first).take(flows.len()) {
            let fits = |(at, waiter): &(&Place, &Waiter)| {
                let (job, left) = (&waiter.job, waiter.job.shape.rows - waiter.next_row);
                (other, **at) != (flow, place)
                    && !job.is_over()
                    && job.shape.has_rows
                    && job.shape.kin == leader.shape.kin
                    && rows_at_once(job, left, rules, cost) == left
            };
            let entries = self.line_of(other).entries.iter().take(quota).filter(fits);
            candidates.extend(entries.map(|(&at, _)| (other, at)));
            if candidates.len() >= WINDOW {
                candidates.truncate(WINDOW);
                return;
            }
        }
    }

    fn candidate(&self, flow: Flow, place: Place) -> Candidate {
        let waiter = &self.line_of(flow).entries[&place];
        let (shape, rows) = (&waiter.job.shape, waiter.job.shape.rows - waiter.next_row);
        Candidate { rows, length: shape.length, tokens: shape.tokens_in(rows) }
    }

    /// Takes rows of these entries and charges lane and tenants for them.
    fn take_charged(&mut self, chosen: &[(Flow, Place)], rows: usize, rules: &BatchRules, cost: &Cost) -> Vec<Part> {
        let parts: Vec<(Flow, Part)> =
            chosen.iter().filter_map(|&(flow, place)| Some((flow, self.take(flow, place, rows)?))).collect();
        let length = parts.iter().map(|(_, part)| part.job.shape.length).max().unwrap_or(0);
        let fixed_us = cost.fixed_us / parts.len().max(1) as f64;
        for ((lane, tenant), part) in &parts {
            let size = rules.size(part.rows.len(), part.tokens(), length);
            // Where nothing is known of cost, an inference counts as one.
            let work_us = (cost.beyond_fixed(size) + fixed_us).max(1.0);
            self.lanes[*lane].turn.charge(work_us);
            if let Some(line) = self.lanes[*lane].tenants.get_mut(tenant) {
                line.turn.charge(work_us);
            }
        }
        // Only now: a tenant that is forgotten before it is charged would never pay.
        chosen.iter().for_each(|((lane, tenant), _)| self.settle(*lane, *tenant));
        parts.into_iter().map(|(_, part)| part).collect()
    }

    /// Takes out an entry that will not run. `None` when it is gone.
    fn take_all(&mut self, flow: Flow, place: Place) -> Option<Part> {
        let part = self.take(flow, place, usize::MAX);
        self.settle(flow.0, flow.1);
        part
    }

    /// Takes up to so many rows of an entry, and the entry out when none is left. `None` when it is gone.
    fn take(&mut self, flow: Flow, place: Place, rows: usize) -> Option<Part> {
        let (lane, tenant) = flow;
        let line = self.lanes[lane].tenants.get_mut(&tenant)?;
        let waiter = line.entries.get_mut(&place)?;
        let (job, start) = (Arc::clone(&waiter.job), waiter.next_row);
        let end = job.shape.rows.min(start.saturating_add(rows));
        waiter.next_row = end;
        let work_us = job.work_us * (end - start) as f64 / job.shape.rows.max(1) as f64;
        line.work_us -= work_us;
        let is_done = end == job.shape.rows;
        if is_done {
            line.entries.remove(&place);
        }
        self.lanes[lane].work_us -= work_us;
        self.lanes[lane].entries -= usize::from(is_done);
        self.entries -= usize::from(is_done);
        self.rows -= end - start;
        if is_done {
            self.tokens -= job.shape.tokens;
        }
        Some(Part { job, rows: start..end })
    }

    fn first(&self, flow: Flow) -> Option<Place> {
        let (lane, tenant) = flow;
        self.lanes[lane].tenants.get(&tenant)?.entries.keys().next().copied()
    }

    fn line(&mut self, caller: &Caller) -> &mut TenantLine {
        let new = || TenantLine {
            turn: Turn::new(caller.tenant.share()),
            entries: BTreeMap::new(),
            work_us: 0.0,
            on_their_way: 0,
        };
        self.lanes[caller.lane as usize].tenants.entry(caller.tenant.id()).or_insert_with(new)
    }

    fn line_of(&self, (lane, tenant): Flow) -> &TenantLine {
        &self.lanes[lane].tenants[&tenant]
    }

    /// Sums of floating-point work drift; where nothing is left, it is nothing. A tenant whose past is past is forgotten.
    fn settle(&mut self, lane: usize, tenant: u64) {
        let line = &mut self.lanes[lane];
        if let Some(own) = line.tenants.get_mut(&tenant)
            && own.entries.is_empty()
            && own.on_their_way == 0
        {
            own.work_us = 0.0;
            if own.turn.tag() <= line.clock.now() {
                line.tenants.remove(&tenant);
            }
        }
        if line.entries == 0 && line.tenants.values().all(|other| other.on_their_way == 0) {
            line.work_us = 0.0;
        }
    }
}

/// Rows of an entry that one inference takes, of those that are left.
fn rows_at_once(job: &Job, left: usize, rules: &BatchRules, cost: &Cost) -> usize {
    if !job.shape.has_rows {
        return left;
    }
    rules.rows_at_once(left, job.shape.tokens_in(left), job.shape.length, cost)
}

/// Time that a batch may take: no longer than the leader can wait for it, if that is possible at all.
fn limit_us(leader: &Job, rules: &BatchRules, now: Instant) -> f64 {
    let slack = leader.deadline.map_or(Duration::MAX, |deadline| deadline.saturating_duration_since(now));
    slack.min(rules.max_batch).as_secs_f64() * 1e6
}

/// Work and the fixed parts of the inferences that do it.
fn with_fixed_us(work_us: f64, cost: &Cost, rules: &BatchRules) -> f64 {
    if !rules.shares_rows || work_us <= 0.0 {
        return work_us;
    }
    let room_us = (rules.max_batch.as_secs_f64() * 1e6 - cost.fixed_us).max(cost.fixed_us).max(1.0);
    work_us + cost.fixed_us * (work_us / room_us).ceil()
}

#[cfg(test)]
mod tests;
