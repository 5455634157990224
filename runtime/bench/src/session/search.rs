//! The search for the highest rate that keeps an objective, as runs of an open loop.

use super::prepared::Prepared;
use super::runs::{facts, sweep_run};
use crate::BenchError;
use crate::answer::Lane;
use crate::figures::{RunFigures, StreamFacts};
use crate::load::{Arrivals, Load};
use crate::plan::{TargetChoice, Work};
use crate::report::{Report, SearchFigures, Tried};
use crate::slo::{KEPT_UP, Search, Slo};
use crate::targets::{Targets, token};
use crate::variant::Variant;

/// Clients of the closed loop that tells where to begin: enough to keep a small machine busy.
const FIRST_CLIENTS: usize = 16;

/// The share of that throughput that the search begins with.
const FIRST_SHARE: f64 = 0.7;

impl Prepared<'_> {
    /// Searches for each deployment, mix and target.
    pub(super) fn search(
        &self,
        targets: &mut Targets,
        variant: &Variant,
        slo: Slo,
        report: &mut Report,
    ) -> Result<(), BenchError> {
        let plan = self.setting.plan;
        let (request_texts, lane, arrivals) = match &plan.work {
            Work::Sweep { request_texts, lane, .. } => (*request_texts, *lane, plan.arrivals),
            _ => (1, Lane::default(), Arrivals::default()),
        };
        for deployment in &self.deployments {
            for pool in &self.pools {
                for target in &plan.targets {
                    let facts =
                        facts("all", deployment, &pool.name, (Load::Clients(FIRST_CLIENTS), request_texts, lane));
                    let found = self.search_one(targets, variant, target, (facts, arrivals), slo, report)?;
                    report.searches.push(found);
                    if report.ended_early.is_some() {
                        return Ok(());
                    }
                }
            }
        }
        Ok(())
    }

    fn search_one(
        &self,
        targets: &mut Targets,
        variant: &Variant,
        target: &TargetChoice,
        (facts, arrivals): (StreamFacts, Arrivals),
        slo: Slo,
        report: &mut Report,
    ) -> Result<SearchFigures, BenchError> {
        let token = token(self.setting.plan.token_file.as_deref())?;
        let mut found = SearchFigures {
            name: format!("{} {} {}", target.kind(), facts.deployment, facts.mix),
            variant: variant.name.clone(),
            slo,
            best_per_s: None,
            goodput_per_s: 0.0,
            tried: Vec::new(),
        };
        let mut load = facts.load;
        let mut search: Option<Search> = None;
        loop {
            let planned = sweep_run(variant, target, StreamFacts { load, ..facts.clone() }, token.clone());
            let run = self.run(targets, &planned)?;
            let tried = tried(&run, load, slo);
            report.ended_early.clone_from(&run.ended_early);
            report.runs.push(run);
            found.goodput_per_s = found.goodput_per_s.max(tried.goodput_per_s);
            if report.ended_early.is_some() || tried.answered_per_s <= 0.0 {
                return Ok(found);
            }
            let search = match &mut search {
                None => search.insert(Search::new(tried.answered_per_s * FIRST_SHARE)),
                Some(search) => {
                    search.note(tried.holds);
                    found.tried.push(tried);
                    search
                }
            };
            found.best_per_s = search.best();
            let Some(per_second) = search.rate() else { return Ok(found) };
            // Whole numbers read better, and nothing is that exact.
            let per_second = if per_second >= 20.0 { per_second.round() } else { per_second };
            load = Load::Rate { per_second, arrivals };
        }
    }
}

/// Whether the objective held: in time, all answered, and as many as were asked.
fn tried(run: &RunFigures, load: Load, slo: Slo) -> Tried {
    let stream = &run.streams[0];
    let offered = match load {
        Load::Rate { per_second, .. } => per_second,
        Load::Clients(_) => stream.requests_per_s,
    };
    let quantile_us = stream.objective_us.unwrap_or(f64::MAX);
    // What arrived at random, not what was asked for: a short run has some more or fewer by chance.
    let has_kept_up = stream.requests_per_s >= stream.offered_per_s.unwrap_or(offered) * KEPT_UP;
    let is_whole = stream.failures.is_empty() && stream.unsent == 0 && stream.wrong == 0;
    Tried {
        offered_per_s: offered,
        answered_per_s: stream.requests_per_s,
        quantile_us,
        goodput_per_s: stream.goodput_per_s.unwrap_or(0.0),
        holds: quantile_us <= slo.limit_us && has_kept_up && is_whole,
    }
}
