//! Figures of requests, for Prometheus; those of queues and batches come from the scheduler.

mod leaving;
mod method;
mod refusal;
mod requests;
mod state;

use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode_registry;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry;
use wisp_core::ErrorKind;
use wisp_host::KeptTensors;
use wisp_scheduler::{RejectReason, ScheduleError, SchedulerMetrics};

use crate::{EngineError, ModelInfo};
pub(crate) use leaving::Leaving;
pub use method::Method;
use refusal::RefusalSeconds;
pub use refusal::RefusalStage;
pub(crate) use requests::RequestMetrics;
use state::StateCollector;

/// All figures of an engine.
pub(crate) struct Metrics {
    registry: Mutex<Registry>,
    pub(crate) scheduler: SchedulerMetrics,
    requests: Family<RequestLabels, Counter>,
    seconds: Family<DeploymentLabels, Histogram, fn() -> Histogram>,
    guest_seconds: Family<DeploymentLabels, Histogram, fn() -> Histogram>,
    guest_start_seconds: Family<DeploymentLabels, Histogram, fn() -> Histogram>,
    tokenize_seconds: Family<DeploymentLabels, Histogram, fn() -> Histogram>,
    rejections: Rejections,
    refusal_seconds: RefusalSeconds,
    guest_instances: Family<DeploymentLabels, Gauge>,
    inflight: Gauge,
    models_loaded: Gauge,
    devices: Family<DeviceLabels, Gauge>,
    state: StateCollector,
    models_healthy: Family<ModelLabels, Gauge>,
    deployments_ready: Family<DeploymentLabels, Gauge>,
}

/// What is asked of the engine at the moment when figures are wanted.
pub(crate) struct Now<'a> {
    pub(crate) inflight: usize,
    /// Each model once, and whether it is in service.
    pub(crate) models: Vec<(&'a str, bool)>,
    /// Each deployment, and whether it can answer.
    pub(crate) deployments: Vec<(&'a str, bool)>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    deployment: String,
    method: &'static str,
    code: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct DeploymentLabels {
    deployment: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ModelLabels {
    model: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct DeviceLabels {
    model: String,
    backend: String,
    device: String,
    precision: String,
}

/// The counters of refusals that are made outside queues, looked up once.
struct Rejections {
    quota: Counter,
    inflight: Counter,
    overloaded: Counter,
    instances: Counter,
    /// Refused before it was known for which deployment; one a method.
    at_door: Vec<OnceLock<Counter>>,
}

/// An instance that lives; counted until it is dropped.
pub(crate) struct Living(Gauge);

/// The handles of a deployment, looked up once.
pub(crate) struct DeploymentMetrics {
    pub(crate) requests: RequestMetrics,
    guest_seconds: Histogram,
    guest_start_seconds: Histogram,
    tokenize_seconds: Histogram,
    guest_instances: Gauge,
}

/// Where the time of a request went that was answered.
pub(crate) struct Answered {
    pub(crate) total: Duration,
    pub(crate) guest: Duration,
    pub(crate) start: Duration,
    pub(crate) tokenize: Duration,
}

impl Metrics {
    pub(crate) fn new() -> Self {
        let mut registry = Registry::default();
        let scheduler = SchedulerMetrics::register(&mut registry);
        let requests = Family::default();
        let metrics = Self {
            rejections: Rejections::of(&scheduler),
            refusal_seconds: RefusalSeconds::register(&mut registry),
            scheduler,
            requests,
            guest_instances: Family::default(),
            seconds: Family::new_with_constructor(seconds),
            guest_seconds: Family::new_with_constructor(short_seconds),
            guest_start_seconds: Family::new_with_constructor(short_seconds),
            tokenize_seconds: Family::new_with_constructor(short_seconds),
            inflight: Gauge::default(),
            models_loaded: Gauge::default(),
            devices: Family::default(),
            state: StateCollector::default(),
            models_healthy: Family::default(),
            deployments_ready: Family::default(),
            registry: Mutex::default(),
        };
        registry.register("wisp_requests", "Requests by how they ended", metrics.requests.clone());
        registry.register("wisp_request_seconds", "Time from arrival to answer", metrics.seconds.clone());
        registry.register("wisp_guest_seconds", "Time in guests' own code", metrics.guest_seconds.clone());
        let started = metrics.guest_start_seconds.clone();
        registry.register("wisp_guest_start_seconds", "Time to make an instance", started);
        let tokenized = metrics.tokenize_seconds.clone();
        registry.register("wisp_tokenize_seconds", "Time that the host tokenised for requests", tokenized);
        let living = metrics.guest_instances.clone();
        registry.register("wisp_guest_instances", "Instances of guests that live", living);
        registry.register("wisp_inflight_requests", "Requests in the engine", metrics.inflight.clone());
        registry.register("wisp_models_loaded", "Models in service", metrics.models_loaded.clone());
        registry.register("wisp_device_info", "What each model runs on", metrics.devices.clone());
        registry.register_collector(Box::new(metrics.state.clone()));
        let healthy = metrics.models_healthy.clone();
        registry.register("wisp_model_healthy", "1 while the model is in service, otherwise 0", healthy);
        let ready = metrics.deployments_ready.clone();
        registry.register("wisp_deployment_ready", "1 while the deployment can answer, otherwise 0", ready);
        let build = Info::new(vec![("version", env!("CARGO_PKG_VERSION"))]);
        registry.register("wisp_build", "The program", build);
        Self { registry: Mutex::new(registry), ..metrics }
    }

    /// What is loaded, once all of it is; what was loaded before is not any more.
    pub(crate) fn loaded(&self, models: &[ModelInfo]) {
        self.devices.clear();
        self.models_loaded.set(i64::try_from(models.len()).unwrap_or(i64::MAX));
        for model in models {
            let labels = DeviceLabels {
                model: model.name.clone(),
                backend: model.placement.backend.to_string(),
                device: model.placement.device.to_string(),
                precision: model.precision.to_string(),
            };
            self.devices.get_or_create(&labels).set(1);
        }
    }

    pub(crate) fn deployment(&self, name: &str) -> DeploymentMetrics {
        let labels = DeploymentLabels { deployment: name.to_owned() };
        DeploymentMetrics {
            requests: self.requests_of(name),
            guest_seconds: self.guest_seconds.get_or_create_owned(&labels),
            guest_start_seconds: self.guest_start_seconds.get_or_create_owned(&labels),
            tokenize_seconds: self.tokenize_seconds.get_or_create_owned(&labels),
            guest_instances: self.guest_instances.get_or_create_owned(&labels),
        }
    }

    /// A request was answered.
    pub(crate) fn answered(&self, deployment: &DeploymentMetrics, method: Method, times: &Answered) {
        self.answered_in(&deployment.requests, method, times.total);
        deployment.guest_seconds.observe(times.guest.as_secs_f64());
        deployment.guest_start_seconds.observe(times.start.as_secs_f64());
        deployment.tokenize_seconds.observe(times.tokenize.as_secs_f64());
    }

    /// A deployment keeps tensors from one request to the next.
    pub(crate) fn keeps(&self, deployment: &str, kept: &Arc<KeptTensors>) {
        self.state.follow(deployment, kept);
    }

    /// An application answered; what it answered is its own business.
    pub(crate) fn answered_http(&self, deployment: &DeploymentMetrics) {
        self.answered_without_guest(deployment, Method::Http);
    }

    /// A request was answered of which no guest's times are known.
    pub(crate) fn answered_without_guest(&self, deployment: &DeploymentMetrics, method: Method) {
        self.ok(&deployment.requests, method).inc();
    }

    /// A request failed. Deployments that do not exist share one name: clients must not be able to make up series.
    pub(crate) fn failed(&self, deployment: Option<&DeploymentMetrics>, method: Method, error: &EngineError) {
        self.failed_by(deployment.map_or("", |deployment| deployment.requests.name()), method, error);
    }

    /// A request got no place. What its deployment is was not asked yet at the door.
    pub(crate) fn refused_at_door(&self, method: Method, error: &ScheduleError) {
        // Looked up once: refusals are what must cost nothing.
        let labels = || request("", method, code(ErrorKind::ResourceExhausted));
        self.rejections.at_door[method as usize].get_or_init(|| self.requests.get_or_create_owned(&labels())).inc();
        self.refused_a_place(error);
        if let ScheduleError::Overloaded { .. } = error {
            // Otherwise the queue that refuses counts it.
            self.rejections.overloaded.inc();
        }
    }

    /// A request got no place.
    pub(crate) fn refused_a_place(&self, error: &ScheduleError) {
        match error {
            ScheduleError::Quota { .. } => self.rejections.quota.inc(),
            ScheduleError::Full { .. } => self.rejections.inflight.inc(),
            _ => 0,
        };
    }

    /// A request was told that it is refused, so long after it arrived.
    pub(crate) fn told(&self, stage: RefusalStage, took: Duration) {
        self.refusal_seconds.observe(stage, took);
    }

    /// All figures in the text format of OpenMetrics, without its last line.
    pub(crate) fn encode(&self, now: &Now<'_>) -> String {
        let registry = self.registry.lock().unwrap_or_else(PoisonError::into_inner);
        self.inflight.set(i64::try_from(now.inflight).unwrap_or(i64::MAX));
        // What a reload took away is not there any more.
        self.models_healthy.clear();
        self.deployments_ready.clear();
        for &(model, is_healthy) in &now.models {
            let labels = ModelLabels { model: model.to_owned() };
            self.models_healthy.get_or_create(&labels).set(is_healthy.into());
        }
        for &(deployment, is_ready) in &now.deployments {
            let labels = DeploymentLabels { deployment: deployment.to_owned() };
            self.deployments_ready.get_or_create(&labels).set(is_ready.into());
        }
        let mut text = String::new();
        // Writing into a string does not fail.
        let _ = encode_registry(&mut text, &registry);
        text
    }
}

impl Rejections {
    fn of(scheduler: &SchedulerMetrics) -> Self {
        Self {
            quota: scheduler.rejected(RejectReason::Quota),
            inflight: scheduler.rejected(RejectReason::Inflight),
            overloaded: scheduler.rejected(RejectReason::Overloaded),
            instances: scheduler.rejected(RejectReason::Instances),
            at_door: Method::ALL.iter().map(|_| OnceLock::new()).collect(),
        }
    }
}

impl DeploymentMetrics {
    /// An instance lives from now on until the result is dropped.
    pub(crate) fn instance(&self) -> Living {
        self.guest_instances.inc();
        Living(self.guest_instances.clone())
    }
}

impl Drop for Living {
    fn drop(&mut self) {
        self.0.dec();
    }
}

fn request(deployment: &str, method: Method, code: &'static str) -> RequestLabels {
    RequestLabels { deployment: deployment.to_owned(), method: method.name(), code }
}

/// The label of a request that was answered.
const OK: &str = "ok";

/// The kind as a label, in the words of gRPC.
pub(crate) fn code(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::InvalidArgument | ErrorKind::TooLarge => "invalid_argument",
        ErrorKind::NotFound => "not_found",
        ErrorKind::PermissionDenied => "permission_denied",
        ErrorKind::ResourceExhausted => "resource_exhausted",
        ErrorKind::DeadlineExceeded => "deadline_exceeded",
        ErrorKind::Cancelled => "cancelled",
        ErrorKind::Unavailable => "unavailable",
        ErrorKind::Unsupported => "unimplemented",
        ErrorKind::Internal => "internal",
    }
}

/// From half a millisecond to some half a minute.
fn seconds() -> Histogram {
    Histogram::new(exponential_buckets(5e-4, 2.0, 16))
}

/// From five microseconds to some hundred milliseconds.
fn short_seconds() -> Histogram {
    Histogram::new(exponential_buckets(5e-6, 2.0, 15))
}
