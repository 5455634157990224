//! What stays the same over all runs: texts, right answers, threads.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::runtime::{Builder, Runtime};
use wisp_engine::{Config, Engine};
use wisp_host::GrantedModel;

use super::Setting;
use crate::BenchError;
use crate::expectation::Expectation;
use crate::mix::Mix;
use crate::plan::{Plan, TargetChoice, Work};
use crate::pool::Pool;
use crate::reference::References;
use crate::report::MethodFacts;

/// Processors for one thread of the client.
const PROCESSORS_PER_THREAD: usize = 4;

/// Everything that runs share.
pub(super) struct Prepared<'a> {
    pub(super) setting: &'a Setting<'a>,
    pub(super) deployments: Vec<String>,
    pub(super) pools: Vec<Pool>,
    expectations: BTreeMap<(String, String), Arc<Expectation>>,
    client: Runtime,
    engine: Runtime,
    client_threads: usize,
}

/// The texts of a plan, one pool a mix.
///
/// # Errors
/// [`BenchError::Io`] and [`BenchError::NoTexts`] for a file of texts.
pub fn pools(plan: &Plan) -> Result<Vec<Pool>, BenchError> {
    let mixes = match &plan.work {
        Work::None => return Ok(Vec::new()),
        Work::Sweep { mixes, .. } => mixes.clone(),
        Work::Streams(streams) => streams.iter().map(|stream| stream.mix.unwrap_or(Mix::Short)).collect(),
    };
    if let Some(file) = &plan.texts {
        return Ok(vec![Pool::read(file, plan.pool_texts)?]);
    }
    let mut pools: Vec<Pool> = Vec::new();
    for mix in mixes {
        if pools.iter().all(|pool| pool.name != mix.to_string()) {
            pools.push(Pool::of(mix, plan.pool_texts, plan.seed));
        }
    }
    Ok(pools)
}

impl<'a> Prepared<'a> {
    /// Makes texts and computes their right answers.
    pub(super) fn new(setting: &'a Setting<'a>, config: &Config, deployments: Vec<String>) -> Result<Self, BenchError> {
        let plan = setting.plan;
        let processors = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let client_threads = plan.client_threads.unwrap_or_else(|| (processors / PROCESSORS_PER_THREAD).max(1));
        let failed = BenchError::io("threads for the client");
        let client = Builder::new_multi_thread().worker_threads(client_threads).enable_all().build().map_err(failed)?;
        let failed = BenchError::io("threads for the engine");
        let engine = Builder::new_multi_thread().enable_all().build().map_err(failed)?;
        let pools = pools(plan)?;
        let mut expectations = BTreeMap::new();
        if plan.is_checked {
            let mut references = References::new(config, setting.store, setting.progress, engine.handle());
            for deployment in &deployments {
                for pool in &pools {
                    let expectation = references.get(deployment, pool)?;
                    expectations.insert((deployment.clone(), pool.name.clone()), Arc::new(expectation));
                }
            }
        }
        Ok(Self { setting, deployments, pools, expectations, client, engine, client_threads })
    }

    pub(super) fn method_facts(&self) -> MethodFacts {
        let plan = self.setting.plan;
        MethodFacts {
            warm_up_s: plan.warm_up.as_secs_f64(),
            duration_s: plan.duration.as_secs_f64(),
            pool_texts: self.pools.iter().map(|pool| pool.texts.len()).max().unwrap_or(0),
            seed: plan.seed,
            is_checked: plan.is_checked,
            client_threads: self.client_threads,
            slo: plan.slo,
        }
    }

    /// The threads that ask: those of the client, or those of the engine where it is asked in this process.
    pub(super) fn runtime(&self, target: &TargetChoice) -> &Runtime {
        if target.is_in_process() { &self.engine } else { &self.client }
    }

    pub(super) fn engine_runtime(&self) -> &Runtime {
        &self.engine
    }

    pub(super) fn first_deployment(&self) -> &str {
        self.deployments.first().map_or("", String::as_str)
    }

    /// The right answers of a deployment to the texts of a mix; `None` where nothing is checked.
    pub(super) fn expectation(&self, deployment: &str, mix: &str) -> Option<Arc<Expectation>> {
        self.expectations.get(&(deployment.to_owned(), mix.to_owned())).cloned()
    }

    /// The first model of the first deployment.
    pub(super) fn model(&self, engine: &Engine) -> Result<Arc<GrantedModel>, BenchError> {
        let deployment = self.first_deployment();
        let granted = engine.guest(deployment).and_then(|(_, _, grants)| Some(Arc::clone(grants.iter().next()?.1)));
        granted.ok_or_else(|| BenchError::NoBackend {
            deployment: deployment.to_owned(),
            reason: "it is granted no model".to_owned(),
        })
    }
}
