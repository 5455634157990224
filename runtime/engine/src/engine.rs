//! The engine itself: started from a configuration, asked for embeddings, drained.

mod choose;
mod classify;
mod describe;
mod generation;
mod http;
mod infer;
mod reload;
mod rerank;
mod residence;
mod text;
mod tokenize;

pub use describe::{EmbedderFacts, TextModelFacts};
pub use http::HttpRequest;
pub use reload::Reloaded;
pub use rerank::{Ranked, RerankRequest, RerankResponse};
pub use tokenize::{DecodeRequest, TokenizeRequest, TokenizedTexts};

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::time::Instant;
use wisp_host::{AotCache, CallTimes, EmbedCall, EmbedInputs, Embedded, GrantedModel, GuestKind, HostConfig, Terms};
use wisp_model_store::{Progress, Store};
use wisp_scheduler::observe::GuestCall;
use wisp_scheduler::{Admission, Announced, Caller, HealthState, Lane, Origin, Permit, Tenant};

pub(crate) use self::generation::Generation;
use self::generation::Ground;
use crate::deployment::{Deployment, DeploymentHealth};
use crate::metrics::{Answered, Leaving, Metrics, Now, RefusalStage};
use crate::request::{EmbedRequest, EmbedResponse, PlacementReport, RequestTimes};
use crate::shelf::Shelf;
use crate::tenants::{Credentials, Identity, IdentityError};
use crate::{
    BatchRecord, Config, DeploymentInfo, EngineError, Method, ModelInfo, PodImage, RequestLimits, StartError, trace,
};

/// How often draining looks whether the last request is done.
const DRAIN_POLL: Duration = Duration::from_millis(5);

/// A running engine. Clones share it.
#[derive(Clone)]
pub struct Engine {
    shared: Arc<Shared>,
}

struct Shared {
    current: ArcSwap<Generation>,
    limits: RequestLimits,
    admission: Admission,
    metrics: Metrics,
    is_draining: AtomicBool,
    /// What reloads start with, one at a time.
    image: Option<PodImage>,
    store: Store,
    reloading: Mutex<()>,
}

impl Engine {
    /// Loads every model and guest of the configuration. Blocks until all of them are ready.
    ///
    /// # Errors
    /// [`StartError`] naming the first model or deployment that cannot be served. Nothing is left running.
    pub fn start(config: Config, store: &Store, progress: &dyn Progress) -> Result<Self, StartError> {
        Self::start_with(config, None, store, progress)
    }

    /// As [`Engine::start`], in a pod: guests named [`IMAGE_GUEST`](crate::IMAGE_GUEST) are the module of its image.
    ///
    /// # Errors
    /// As [`Engine::start`].
    pub fn start_pod(
        config: Config,
        image: &PodImage,
        store: &Store,
        progress: &dyn Progress,
    ) -> Result<Self, StartError> {
        Self::start_with(config, Some(image), store, progress)
    }

    fn start_with(
        config: Config,
        image: Option<&PodImage>,
        store: &Store,
        progress: &dyn Progress,
    ) -> Result<Self, StartError> {
        let metrics = Metrics::new();
        let shelf = Shelf::default();
        let ground = Ground { image, store, metrics: &metrics, shelf: &shelf, progress };
        let first = Generation::start(config, &ground, None)?;
        metrics.loaded(&first.reports);
        let limits = first.config.server.limits.clone();
        let shared = Shared {
            current: ArcSwap::from_pointee(first),
            admission: Admission::new(limits.inflight_requests as usize),
            limits,
            metrics,
            is_draining: AtomicBool::new(false),
            image: image.cloned(),
            store: store.clone(),
            reloading: Mutex::new(()),
        };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// Embeds texts with a deployment's guest. Dropping the future cancels the request wherever it is.
    ///
    /// # Errors
    /// [`EngineError`]; its [`kind`](wisp_core::Kinded::kind) says what a caller can do about it.
    pub async fn embed(&self, request: EmbedRequest) -> Result<EmbedResponse, EngineError> {
        let arrived_at = Instant::now();
        let generation = self.shared.generation();
        let (method, metrics) = (request.method, &self.shared.metrics);
        trace::asked(method, request.inputs.len());
        let deployment = generation.choose(request.deployment.as_deref(), GuestKind::Embedder);
        let deployment = deployment.inspect_err(|error| {
            metrics.failed(None, method, error);
            trace::failed(error);
        })?;
        trace::answers(&deployment.name);
        let leaving = Leaving::new(metrics, &deployment.metrics, method, request.deadline);
        let answer = self.embed_with(&generation, deployment, request, arrived_at).await;
        leaving.answered();
        answer.inspect(trace::embedded).inspect_err(|error| {
            metrics.failed(Some(&deployment.metrics), method, error);
            trace::failed(error);
        })
    }

    async fn embed_with(
        &self,
        generation: &Generation,
        deployment: &Deployment,
        request: EmbedRequest,
        arrived_at: Instant,
    ) -> Result<EmbedResponse, EngineError> {
        let shared = &*self.shared;
        let tenant = request.tenant.as_ref().unwrap_or(generation.tenants.anonymous());
        let _permit = self.admit(request.lane, tenant)?;
        request.check(&shared.limits)?;
        let inputs = generation.prepare(deployment, request.inputs, &request.prompt)?;
        let caller = Caller { lane: request.lane, tenant: tenant.clone(), origin: Origin::default() };
        let announced = announce(deployment, &inputs, request.deadline, &caller, arrived_at)?;
        let (count, text_bytes) = (inputs.len(), text::bytes(&inputs));
        let method = request.method;
        let terms = Terms {
            deployment: Arc::clone(&deployment.name),
            grants: Arc::clone(&deployment.grants),
            limits: deployment.limits,
            deadline: request.deadline,
            caller,
            announced,
        };
        let call = EmbedCall { terms, inputs, options: request.options };
        let _place = deployment.take_place()?;
        let living = deployment.metrics.instance();
        let embedded = GuestCall::begin(&deployment.name).run(deployment.guest.embed(call)).await?;
        drop(living);
        let tokens = embedded.token_counts.iter().map(|&tokens| tokens as usize).sum();
        deployment.ratio.learn(count, text_bytes, tokens, deployment.max_tokens());
        let start = embedded.times.instantiate;
        let response = respond(embedded, arrived_at);
        let RequestTimes { total, guest, tokenize, .. } = response.times;
        shared.metrics.answered(&deployment.metrics, method, &Answered { total, guest, start, tokenize });
        Ok(response)
    }

    /// A place in the engine for a request, unless it shuts down.
    fn admit(&self, lane: Lane, tenant: &Tenant) -> Result<Permit, EngineError> {
        let shared = &*self.shared;
        // Admitted before the drain flag is read: a request that saw the flag unset is counted by those who wait.
        let permit = shared.admission.admit(lane, tenant);
        let permit =
            permit.inspect_err(|error| shared.metrics.refused_a_place(error)).map_err(EngineError::Admission)?;
        match shared.is_draining.load(Ordering::SeqCst) {
            true => Err(EngineError::Draining),
            false => Ok(permit),
        }
    }

    /// Refuses a request of which nothing is known but who sends it and until when, if it would be refused whatever it is. What
    /// passes has no place yet.
    ///
    /// # Errors
    /// [`EngineError::Admission`] with the reason that [`Engine::embed`] would give.
    pub fn check_at_door(
        &self,
        method: Method,
        tenant: Option<&Tenant>,
        deadline: Option<Instant>,
    ) -> Result<(), EngineError> {
        let shared = &*self.shared;
        // Whoever comes while the engine drains is told so, not to come back.
        if shared.is_draining.load(Ordering::SeqCst) {
            return Ok(());
        }
        let generation = shared.generation();
        let tenant = tenant.unwrap_or(generation.tenants.anonymous());
        let checked = generation.door.check(&shared.admission, tenant, deadline);
        checked.inspect_err(|error| shared.metrics.refused_at_door(method, error)).map_err(EngineError::Admission)
    }

    /// Notes that a request was told that it is refused, so long after it arrived at the service: only that knows when it did.
    pub fn refusal_told(&self, stage: RefusalStage, took: Duration) {
        self.shared.metrics.told(stage, took);
    }

    /// Who shows these.
    ///
    /// # Errors
    /// [`IdentityError`] for credentials that are nobody's, and for nobody where that is not served.
    pub fn identify(&self, shown: Credentials<'_>) -> Result<Identity, IdentityError> {
        self.shared.generation().tenants.identify(shown)
    }

    /// Whether requests that show nothing are served.
    #[must_use]
    pub fn serves_anonymous(&self) -> bool {
        self.shared.generation().tenants.serves_anonymous()
    }

    /// Whether any tenant may change what is deployed; without one, whoever reaches the admin listener may.
    #[must_use]
    pub fn has_administrator(&self) -> bool {
        self.shared.generation().tenants.has_administrator()
    }

    /// Reads the files with tenants' tokens again. Says whether any token changed; when one cannot be used, all stay as they are.
    ///
    /// # Errors
    /// [`StartError::Token`] naming the tenant.
    pub fn reread_tokens(&self) -> Result<bool, StartError> {
        self.shared.generation().tenants.reread_tokens()
    }

    /// All figures, in the text format of OpenMetrics; its last line, `# EOF`, is left to whoever adds figures of his own.
    #[must_use]
    pub fn metrics(&self) -> String {
        let (shared, generation) = (&*self.shared, self.shared.generation());
        let health: Vec<_> =
            generation.deployments.values().map(|found| (&*found.name, found.health(&generation.shelf))).collect();
        let deployments = health.iter().map(|(name, health)| (*name, health.problem.is_none())).collect();
        let mut models: BTreeMap<&str, bool> = BTreeMap::new();
        let granted = generation.deployments.values().flat_map(|deployment| deployment.grants.iter());
        let bare = generation.endpoints.iter().filter_map(|target| target.model.as_ref());
        for model in granted.map(|(_, model)| model).chain(bare.map(|model| &model.granted)) {
            models.entry(&model.name).or_insert_with(|| model.queue.health() == HealthState::Healthy);
        }
        let models = models.into_iter().collect();
        shared.metrics.encode(&Now { inflight: self.inflight(), models, deployments })
    }

    /// What each deployment is.
    #[must_use]
    pub fn deployments(&self) -> Vec<DeploymentInfo> {
        self.shared.generation().deployments.values().map(Deployment::info).collect()
    }

    /// What each model runs on.
    #[must_use]
    pub fn models(&self) -> Vec<ModelInfo> {
        self.shared.generation().reports.clone()
    }

    /// Whether each deployment can answer now: the first of its models that is out of service, and why. Where there is no
    /// deployment, models answer by themselves, and it is told of each of them.
    #[must_use]
    pub fn health(&self) -> Vec<DeploymentHealth> {
        let generation = self.shared.generation();
        if generation.deployments.is_empty() {
            return generation.endpoints.health(&generation.shelf).collect();
        }
        generation.deployments.values().map(|deployment| deployment.health(&generation.shelf)).collect()
    }

    /// Whether new requests are refused, because the engine shuts down.
    #[must_use]
    pub fn is_draining(&self) -> bool {
        self.shared.is_draining.load(Ordering::SeqCst)
    }

    /// The bounds of requests.
    #[must_use]
    pub fn limits(&self) -> &RequestLimits {
        &self.shared.limits
    }

    /// The latest batches of a model that a deployment was granted, the newest last: who met in them. Empty for other names.
    #[must_use]
    pub fn recent_batches(&self, model: &str) -> Vec<BatchRecord> {
        let generation = self.shared.generation();
        let mut granted = generation.deployments.values().flat_map(|deployment| deployment.grants.iter());
        let found = granted.find(|(_, granted)| granted.name == model);
        found.map(|(_, granted)| granted.queue.recent_batches()).unwrap_or_default()
    }

    /// Refuses new requests and waits for those in the engine, at most `timeout`. Returns how many were left.
    pub async fn drain(&self, timeout: Duration) -> usize {
        self.shared.is_draining.store(true, Ordering::SeqCst);
        // Whether it was in time shows in what is left.
        let _ = tokio::time::timeout(timeout, self.idle()).await;
        self.inflight()
    }

    /// Waits until no request is in the engine. Others may come meanwhile, and are served.
    pub async fn idle(&self) {
        while self.inflight() > 0 {
            tokio::time::sleep(DRAIN_POLL).await;
        }
    }

    /// Requests that are in the engine now.
    #[must_use]
    pub fn inflight(&self) -> usize {
        self.shared.admission.inflight()
    }

    /// The guest, grants and name of a deployment, for measurements of the sandbox alone.
    #[must_use]
    pub fn guest(&self, deployment: &str) -> Option<(wisp_host::Guest, Arc<str>, Arc<wisp_host::Grants>)> {
        let generation = self.shared.generation();
        let found = generation.deployments.get(deployment)?;
        Some((found.guest.clone(), Arc::clone(&found.name), Arc::clone(&found.grants)))
    }
}

fn host_config(config: &Config, store: &Store) -> HostConfig {
    let limits = || config.deployments.values().map(|deployment| &deployment.limits);
    let memory_bytes = limits().map(|limits| limits.memory_bytes).max();
    let table_elements = limits().map(|limits| limits.table_elements).max();
    let defaults = HostConfig::default();
    HostConfig {
        max_instances: config.server.limits.inflight_requests,
        max_memory_bytes: memory_bytes.unwrap_or(defaults.max_memory_bytes),
        max_table_elements: table_elements.unwrap_or(defaults.max_table_elements),
        aot_cache: store.may_write().then(|| AotCache::at(store.home().aot())),
        ..defaults
    }
}

/// Announces the work of a request to every model that its guest may use, before anything is done for it.
fn announce(
    deployment: &Deployment,
    inputs: &EmbedInputs,
    deadline: Option<Instant>,
    caller: &Caller,
    arrived_at: Instant,
) -> Result<Vec<(Arc<GrantedModel>, Announced)>, EngineError> {
    let tokens = text::estimate(deployment, inputs);
    deployment.announce(inputs.len(), tokens, deadline, caller, arrived_at)
}

fn respond(embedded: Embedded, arrived_at: Instant) -> EmbedResponse {
    EmbedResponse {
        placement: embedded.computed_by.as_deref().map(report),
        values: embedded.values,
        dimensions: embedded.dimensions,
        token_counts: embedded.token_counts,
        times: times(&embedded.times, arrived_at),
        share: embedded.share,
    }
}

fn times(times: &CallTimes, arrived_at: Instant) -> RequestTimes {
    let CallTimes { tokenize, stages, .. } = *times;
    RequestTimes {
        queue: stages.queue,
        tokenize,
        guest: times.guest(),
        gather: stages.gather,
        infer: stages.infer,
        total: arrived_at.elapsed(),
    }
}

fn report(model: &GrantedModel) -> PlacementReport {
    let session = model.queue.info();
    let (placement, precision) = (session.placement, session.precision);
    PlacementReport { model: model.name.as_str().into(), placement, precision }
}
