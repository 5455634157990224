//! Loading a model: the first placement that works and proves itself.

mod budget;
mod candidate;
mod loader;
mod processors;
mod recovery;
mod select;
mod side_by_side;
mod subject;
mod warm;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use wisp_core::{BackendId, Device, Placement, Precision, Session, StaticShape};
use wisp_host::{EmbeddingFacts, GrantedModel};
use wisp_model_store::{Model, ModelFile, Progress, Store};
use wisp_scheduler::{
    BatchRules, MemoryTurns, OnDemand, QueueConfig, QueueLimits, SchedulerMetrics, Served, SessionQueue, spawn,
};

use crate::StartError;
use crate::config::{BatchingConfig, DeviceConfig, LoadChoice, ModelConfig, PrecisionChoice, SessionsChoice};
use crate::prompts::Prompts;
use crate::proof::Proof;
use crate::proof::speed::Speed;
use budget::{Budget, taken_bytes};
pub use candidate::CandidateReport;
pub(crate) use loader::{Loader, Subject, threads};
use select::{Chosen, select};
use subject::LateSubject;
pub use warm::{Warmed, warm_model};

/// A model in service.
#[derive(Clone, Debug)]
pub struct ModelInfo {
    /// Its name in the configuration.
    pub name: String,
    /// Where it runs.
    pub placement: Placement,
    /// The arithmetic.
    pub precision: Precision,
    /// Version of the library that runs it.
    pub library_version: String,
    /// What it has shown.
    pub proof: Proof,
    /// Why this precision: what else was proven or refused, and how fast each is.
    pub reason: String,
    /// Digest of its files.
    pub digest: String,
    /// What its texts may be preceded by.
    pub prompts: Prompts,
    /// What it was chosen from, in the order in which it was tried.
    pub candidates: Vec<CandidateReport>,
}

/// What tells sessions apart; two models of the configuration that agree in it share one.
#[derive(Clone, Debug, PartialEq)]
struct SessionKey {
    model: String,
    placement: Vec<Placement>,
    precision: PrecisionChoice,
    static_shapes: Vec<StaticShape>,
    memory_bytes: Option<u64>,
    sessions: SessionsChoice,
    load: LoadChoice,
    unload_after_ms: Option<u64>,
    batching: BatchingConfig,
}

/// The models that are started, and the sessions that they share.
pub(crate) struct Models {
    sessions: Vec<(SessionKey, Started)>,
    budget: Budget,
    /// The memory of each device that models on demand take turns in; the same from one generation to the next.
    turns: BTreeMap<Device, MemoryTurns>,
    metrics: SchedulerMetrics,
}

/// A session in service and what is known of it.
#[derive(Clone)]
struct Started {
    granted: Arc<GrantedModel>,
    info: ModelInfo,
    /// Bytes of the file that it was loaded from.
    file_bytes: u64,
}

/// A file of a model and what its proof said; the error says why there is none, in one line.
pub type ProvenFile = (String, Result<Proof, String>);

/// Proves a model at one placement, in one precision, with all golden vectors, and keeps the results.
///
/// # Errors
/// What is wrong with this placement or precision, in one line.
pub fn prove_model(
    model: &Model,
    placement: Placement,
    precision: Precision,
    store: &Store,
    progress: &dyn Progress,
) -> Result<Vec<ProvenFile>, String> {
    let loader = Loader::new(model, store, progress);
    let first = model.manifest.model_files().find(|file| file.backends.contains(&placement.backend));
    select::prove_anew(&loader, &LateSubject::of(&loader, first), placement, precision)
}

/// Opens a model in f32 on the first backend on the CPU that can, without any proof: to make golden answers with.
///
/// # Errors
/// One reason a backend.
pub(crate) fn open_reference(loader: &Loader<'_>) -> Result<(Box<dyn Session>, Subject), Vec<String>> {
    let subject = loader.subject(None).map_err(|reason| vec![reason])?;
    let mut reasons = Vec::new();
    for backend in BackendId::ALL {
        let placement = Placement { backend, device: Device::Cpu };
        let is_for = |file: &&ModelFile| file.backends.contains(&backend) && file.precision.is_none();
        let Some(file) = loader.model.manifest.model_files().find(is_for) else { continue };
        let opened = loader.backend(placement).and_then(|backend| {
            let version = backend.version().unwrap_or_default();
            loader.open(backend.as_ref(), file, placement, Precision::F32, &version)
        });
        match opened {
            Ok(session) => return Ok((session, subject)),
            Err(reason) => reasons.push(format!("{placement}: {reason}")),
        }
    }
    Err(reasons)
}

impl Models {
    /// Nothing is started yet. Those `before` are in service, and stay so for a while.
    pub(crate) fn within(
        devices: &BTreeMap<Device, DeviceConfig>,
        before: Option<&Self>,
        metrics: SchedulerMetrics,
    ) -> Self {
        let turns = before.map(|before| before.turns.clone()).unwrap_or_default();
        Self { sessions: Vec::new(), budget: Budget::of(devices), turns, metrics }
    }

    /// Loads the configured models for service: those that stay before those that take turns in what the others leave.
    ///
    /// # Errors
    /// As [`Models::start`].
    pub(crate) fn start_all(
        &mut self,
        models: &BTreeMap<String, ModelConfig>,
        before: Option<&Self>,
        store: &Store,
        progress: &dyn Progress,
    ) -> Result<Vec<(Arc<GrantedModel>, ModelInfo)>, StartError> {
        let mut order: Vec<_> = models.iter().collect();
        order.sort_by_key(|(_, config)| config.load == LoadChoice::OnDemand);
        let started = order.into_iter().map(|(name, config)| {
            let (granted, info) = self.start(name, config, before, store, progress)?;
            let told =
                if config.load == LoadChoice::Start { "model loaded" } else { "model proven, to be loaded on demand" };
            tracing::info!(
                model = name, placement = %info.placement, precision = %info.precision, why = info.reason, "{told}"
            );
            Ok((granted, info))
        });
        let mut started = started.collect::<Result<Vec<_>, StartError>>()?;
        started.sort_by(|(_, one), (_, other)| one.name.cmp(&other.name));
        Ok(started)
    }

    /// What is left of the memory from now on, once it is known that these models serve.
    pub(crate) fn divide_memory(&self) {
        self.turns.iter().for_each(|(device, turns)| turns.set_capacity(self.budget.left(*device)));
    }

    /// Loads a configured model for service: the first placement of its list that works. What is in service of those `before`
    /// and the same is taken over.
    ///
    /// # Errors
    /// [`StartError::Store`] when the manifest cannot be had, [`StartError::NoPlacement`] with one reason a placement.
    pub(crate) fn start(
        &mut self,
        name: &str,
        config: &ModelConfig,
        before: Option<&Self>,
        store: &Store,
        progress: &dyn Progress,
    ) -> Result<(Arc<GrantedModel>, ModelInfo), StartError> {
        let model = store
            .open(&config.source)
            .map_err(|error| StartError::Store { model: name.to_owned(), source: Box::new(error) })?;
        let key = SessionKey {
            model: model.digest().to_string(),
            placement: config.placement.clone(),
            precision: config.precision,
            static_shapes: config.static_shapes.clone(),
            memory_bytes: config.memory_bytes,
            sessions: config.sessions,
            load: config.load,
            unload_after_ms: config.unload_after_ms,
            batching: config.batching.clone(),
        };
        let started = match self.started(&key) {
            Some(started) => started,
            None => {
                let started = match before.and_then(|before| before.started(&key)) {
                    Some(started) => self.take_over(name, started, config)?,
                    None => self.open(name, &model, config, store, progress)?,
                };
                self.sessions.push((key, started.clone()));
                started
            }
        };
        Ok((started.granted, ModelInfo { name: name.to_owned(), ..started.info }))
    }

    fn started(&self, key: &SessionKey) -> Option<Started> {
        self.sessions.iter().find(|(known, _)| known == key).map(|(_, started)| started.clone())
    }

    fn take_over(&mut self, name: &str, started: Started, config: &ModelConfig) -> Result<Started, StartError> {
        let device = started.info.placement.device;
        let taken = self.budget.take(device, started.file_bytes, config.memory_bytes, config.load);
        taken.map_err(|reason| StartError::NoPlacement { model: name.to_owned(), reasons: vec![reason] })?;
        Ok(started)
    }

    fn open(
        &mut self,
        name: &str,
        model: &Model,
        config: &ModelConfig,
        store: &Store,
        progress: &dyn Progress,
    ) -> Result<Started, StartError> {
        let mut loader = Loader::new(model, store, progress);
        loader.static_shapes = &config.static_shapes;
        if let SessionsChoice::Exactly(sessions) = config.sessions {
            loader.threads = (threads() / sessions).max(1);
        }
        let no_placement = |reasons| StartError::NoPlacement { model: name.to_owned(), reasons };
        let is_listed = |backend| config.placement.iter().any(|placement| placement.backend == backend);
        let first = model
            .manifest
            .model_files()
            .find(|file| file.precision.is_none() && file.backends.iter().any(|&backend| is_listed(backend)));
        let reader = Loader::new(model, store, progress);
        let subject = LateSubject::of(&reader, first);
        let chosen = subject.beside(|| choose(name, config, &mut self.budget, &mut loader, &subject));
        let chosen = chosen.map_err(|reason| no_placement(vec![reason]))?.map_err(no_placement)?;
        let subject = subject.take().map_err(|reason| no_placement(vec![reason]))?;
        let placement = chosen.placement;
        let on_demand = self.on_demand(config, &chosen);
        serve(name, config, &mut loader, subject, chosen, (on_demand, &self.metrics)).map_err(|source| match source {
            ServeError::Thread(source) => StartError::Thread { model: name.to_owned(), source },
            ServeError::Session(reason) => no_placement(vec![format!("{placement}: {reason}")]),
        })
    }

    /// How the model is held in memory, if it does not stay there.
    fn on_demand(&mut self, config: &ModelConfig, chosen: &Chosen) -> Option<OnDemand> {
        (config.load == LoadChoice::OnDemand).then(|| OnDemand {
            turns: self.turns.entry(chosen.placement.device).or_default().clone(),
            bytes: taken_bytes(chosen.file.size_bytes, config.memory_bytes),
            idle: config.unload_after_ms.map(Duration::from_millis),
        })
    }
}

/// The first placement of the list that works; the error has one reason a placement.
fn choose(
    name: &str,
    config: &ModelConfig,
    budget: &mut Budget,
    loader: &mut Loader<'_>,
    subject: &LateSubject<'_>,
) -> Result<Chosen, Vec<String>> {
    let mut reasons = Vec::new();
    for &placement in &config.placement {
        let manifest = &loader.model.manifest;
        let selected = budget.limit(manifest, placement, config.memory_bytes).and_then(|limit_bytes| {
            loader.memory_limit_bytes = limit_bytes;
            let chosen = select(loader, subject, placement, config.precision)?;
            budget.take(placement.device, chosen.file.size_bytes, config.memory_bytes, config.load)?;
            Ok(chosen)
        });
        match selected {
            Ok(chosen) => {
                for reason in &reasons {
                    tracing::warn!(model = name, %placement, "placement skipped: {reason}");
                }
                return Ok(chosen);
            }
            Err(reason) => reasons.push(format!("{placement}: {reason}")),
        }
    }
    Err(reasons)
}

/// Why a chosen session is not served.
enum ServeError {
    Thread(std::io::Error),
    /// Another one like it could not be opened.
    Session(String),
}

/// Gives the session, and as many more as are configured, to worker threads.
fn serve(
    name: &str,
    config: &ModelConfig,
    loader: &mut Loader<'_>,
    subject: Subject,
    mut chosen: Chosen,
    (on_demand, metrics): (Option<OnDemand>, &SchedulerMetrics),
) -> Result<Started, ServeError> {
    let others = match config.sessions {
        SessionsChoice::Auto => side_by_side::divide(loader, &subject, &mut chosen),
        SessionsChoice::Exactly(sessions) => {
            let others = (1..sessions).map(|_| chosen.open_another(loader));
            others.collect::<Result<_, _>>().map_err(ServeError::Session)?
        }
    };
    let loader = &*loader;
    let session = chosen.session.info();
    let info = ModelInfo {
        name: name.to_owned(),
        placement: session.placement,
        precision: session.precision,
        library_version: session.library_version.clone(),
        proof: chosen.proof.clone(),
        reason: chosen.reason.clone(),
        digest: loader.model.digest().to_string(),
        prompts: Prompts::of(&loader.model.manifest),
        candidates: chosen.candidates.clone(),
    };
    let queue = QueueConfig {
        model: name.to_owned(),
        rules: rules(loader, config, &info.proof),
        limits: QueueLimits { max_queued: config.batching.max_queued, ..QueueLimits::default() },
        cost: info.proof.speed.and_then(Speed::cost),
        on_demand,
        metrics: Some(metrics.clone()),
    };
    let recovery = || recovery::of(loader, config, &subject, &chosen);
    let chosen_bytes = chosen.file.size_bytes;
    let all_recoveries: Vec<_> = std::iter::repeat_with(recovery).take(others.len() + 1).collect();
    let mut processors = match info.placement.device {
        Device::Cpu => processors::of_sessions(others.len() + 1, loader.threads),
        _ => Vec::new(),
    }
    .into_iter();
    let sessions = others.into_iter().chain([chosen.session]).zip(all_recoveries);
    let served = |(session, recovery)| Served { session, recovery: Some(recovery), processor: processors.next() };
    let sessions = sessions.map(served).collect();
    let queue = spawn(queue, sessions).map_err(ServeError::Thread)?;
    let granted = Arc::new(granted(name, loader.model, subject, queue, &info));
    Ok(Started { granted, info, file_bytes: chosen_bytes })
}

/// What requests may share of a model: what is proven and configured.
fn rules(loader: &Loader<'_>, config: &ModelConfig, proof: &Proof) -> BatchRules {
    let manifest = &loader.model.manifest;
    BatchRules {
        shares_rows: config.batching.enabled && proof.batching.rows.is_proven(),
        pads_rows: proof.batching.padding.is_proven(),
        ragged: manifest.ragged.clone(),
        max_rows: manifest.batching.max_batch_rows as usize,
        max_tokens: manifest.batching.max_batch_tokens as usize,
        static_shapes: config.static_shapes.clone(),
        max_batch: config.batching.max_batch(),
        max_queue_delay: config.batching.max_queue_delay(),
        ..BatchRules::unproven()
    }
}

fn granted(name: &str, model: &Model, subject: Subject, queue: SessionQueue, info: &ModelInfo) -> GrantedModel {
    let manifest = &model.manifest;
    let may_batch = info.proof.batching.rows.is_proven() && info.proof.batching.padding.is_proven();
    GrantedModel {
        name: name.to_owned(),
        queue,
        tokenizer: subject.tokenizer,
        embedding: manifest.embedding.as_ref().map(|embedding| EmbeddingFacts {
            dimensions: u32::try_from(embedding.dimensions).unwrap_or(u32::MAX),
            pooling: embedding.pooling,
        }),
        labels: subject.labels,
        // Guests put rows together up to this; where that is not proven, every row is an inference of its own.
        max_batch_tokens: if may_batch { manifest.batching.max_batch_tokens } else { 1 },
    }
}
