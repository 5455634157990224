//! One call: a fresh instance, the guest's answer checked, and everything gone again.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use wasmtime::{Store, Trap, UpdateDeadline};
use wisp_core::ErrorKind;
use wisp_scheduler::{Announced, BatchShare, Caller, StageTimes};

use crate::bindings::exports::wisp::inference::embedding::{Embeddings, Inputs, Options};
use crate::convert::core_kind;
use crate::error::CallError;
use crate::state::State;
use crate::{GrantedModel, Grants, Guest, Limits};

/// Longest message of a guest that is passed on: it travels in a header, and clients limit those.
const MESSAGE_LIMIT_CHARS: usize = 1024;

/// A request to embed.
#[derive(Debug)]
pub struct EmbedCall {
    /// Name of the deployment, for messages and logs.
    pub deployment: Arc<str>,
    /// The models the guest may use.
    pub grants: Arc<Grants>,
    /// What the instance may use.
    pub limits: Limits,
    /// When the caller stops waiting; the time limit of the deployment holds as well.
    pub deadline: Option<Instant>,
    /// Who asks. The origin is the guest's, whatever is said here.
    pub caller: Caller,
    /// The work that was announced for this call, by model.
    pub announced: Vec<(Arc<GrantedModel>, Announced)>,
    /// What to embed.
    pub inputs: EmbedInputs,
    /// How.
    pub options: EmbedOptions,
}

/// What to embed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EmbedInputs {
    /// Texts.
    Texts(Vec<String>),
    /// Token ids with the special tokens already in place.
    Tokens(Vec<Vec<u32>>),
}

/// How to embed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EmbedOptions {
    /// Scale each vector to length 1.
    pub normalize: bool,
    /// Keep only the first so many dimensions.
    pub dimensions: Option<u32>,
    /// Cut inputs that are longer than the model's maximum.
    pub truncate: bool,
}

impl Default for EmbedOptions {
    /// Normalised, all dimensions, truncated.
    fn default() -> Self {
        Self { normalize: true, dimensions: None, truncate: true }
    }
}

/// The answer to an [`EmbedCall`].
#[derive(Clone, Debug)]
pub struct Embedded {
    /// All vectors, one after the other: row-major `[inputs, dimensions]`.
    pub values: Vec<f32>,
    /// Length of one vector.
    pub dimensions: usize,
    /// Tokens of each input that took part.
    pub token_counts: Vec<u32>,
    /// Where the time went.
    pub times: CallTimes,
    /// The inferences that computed it, and what they shared.
    pub share: BatchShare,
    /// The model that computed last, if any did.
    pub computed_by: Option<Arc<GrantedModel>>,
}

/// Where the time of a call went.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CallTimes {
    /// Making the instance.
    pub instantiate: Duration,
    /// From the start of the instance to its answer.
    pub total: Duration,
    /// Tokenising in the host.
    pub tokenize: Duration,
    /// Waiting in `compute`, hand-over to the worker thread included.
    pub host: Duration,
    /// What the scheduler reports of the time in `compute`.
    pub stages: StageTimes,
}

impl CallTimes {
    /// The guest's own time: its instance and its code, without tokenising and inference in the host.
    #[must_use]
    pub fn guest(&self) -> Duration {
        self.total.saturating_sub(self.tokenize + self.host)
    }
}

impl EmbedInputs {
    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Self::Texts(texts) => texts.len(),
            Self::Tokens(rows) => rows.len(),
        }
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Guest {
    /// Runs the guest's `embed` in a fresh instance. Dropping the future ends the instance and its inference.
    ///
    /// # Errors
    /// [`CallError`]; no other request notices.
    pub async fn embed(&self, call: EmbedCall) -> Result<Embedded, CallError> {
        let (started_at, count) = (Instant::now(), call.inputs.len());
        let wall_end = started_at + call.limits.wall;
        let deadline = call.deadline.map_or(wall_end, |deadline| deadline.min(wall_end));
        let mut state = State::new(Arc::clone(&call.deployment), call.grants, call.limits, deadline);
        state.caller = Caller { origin: self.origin(), ..call.caller };
        state.announced = call.announced;
        let mut store = self.store(state);
        let _running = self.ticker.run();

        let inputs = match call.inputs {
            EmbedInputs::Texts(texts) => Inputs::Texts(texts),
            EmbedInputs::Tokens(rows) => Inputs::Tokens(rows),
        };
        let EmbedOptions { normalize, dimensions, truncate } = call.options;
        let run = self.run(&mut store, &inputs, Options { normalize, dimensions, truncate });
        let ended = tokio::time::timeout_at(deadline, run).await;
        let answer = match ended {
            Ok(Ok(answer)) => answer,
            Ok(Err(error)) => return Err(self.explain(&error, store.data())),
            Err(_) => return Err(late(store.data(), wall_end <= deadline)),
        };

        let state = store.data_mut();
        let embeddings =
            answer.map_err(|error| passed_on(state, core_kind(error.kind), error.message, wall_end <= deadline))?;
        state.times.total = started_at.elapsed();
        check(&embeddings, count)
            .map_err(|reason| CallError::Result { deployment: call.deployment.to_string(), reason })?;
        Ok(Embedded {
            values: embeddings.values,
            dimensions: embeddings.dimensions as usize,
            token_counts: embeddings.token_counts,
            times: state.times,
            share: state.share,
            computed_by: state.computed_by.take(),
        })
    }

    /// Makes an instance and drops it again, as every request does: the cost of the sandbox itself.
    ///
    /// # Errors
    /// As [`Guest::embed`].
    pub async fn instantiate(&self, deployment: &Arc<str>, grants: &Arc<Grants>) -> Result<(), CallError> {
        let limits = Limits::default();
        let state = State::new(Arc::clone(deployment), Arc::clone(grants), limits, Instant::now() + limits.wall);
        let mut store = self.store(state);
        let _running = self.ticker.run();
        match self.embedder.instantiate_async(&mut store).await {
            Ok(_) => Ok(()),
            Err(error) => Err(self.explain(&error, store.data())),
        }
    }

    fn store(&self, state: State) -> Store<State> {
        let mut store = Store::new(&self.engine, state);
        store.limiter(|state| &mut state.growth);
        // A guest that computes gives the thread back once an epoch, so that its time limit and others get their turn.
        store.set_epoch_deadline(1);
        store.epoch_deadline_callback(|_| Ok(UpdateDeadline::Yield(1)));
        store
    }

    async fn run(
        &self,
        store: &mut Store<State>,
        inputs: &Inputs,
        options: Options,
    ) -> wasmtime::Result<Result<Embeddings, crate::bindings::exports::wisp::inference::embedding::Error>> {
        let started_at = Instant::now();
        let instance = self.embedder.instantiate_async(&mut *store).await?;
        store.data_mut().times.instantiate = started_at.elapsed();
        instance.wisp_inference_embedding().call_embed(store, inputs, options).await
    }

    /// Why a call broke off, in words that name the limit where one was reached.
    fn explain(&self, error: &wasmtime::Error, state: &State) -> CallError {
        if let Some(error) = error.downcast_ref::<CallError>() {
            return error.clone();
        }
        let deployment = state.deployment.to_string();
        if error.is::<wasmtime::PoolConcurrencyLimitError>() {
            return CallError::Instances { limit: self.max_instances };
        }
        // What follows a refused growth is the guest's way of giving up: an abort, which is a trap of no meaning.
        if let Some(refused) = state.growth.refused {
            return CallError::Memory { deployment, wanted: refused.to_string() };
        }
        let reason = match error.downcast_ref::<Trap>() {
            Some(trap) => trap.to_string(),
            None => error.root_cause().to_string(),
        };
        tracing::debug!(deployment, "guest trapped: {error:?}");
        CallError::Trap { deployment, reason }
    }
}

/// The error for a call that ran out of time: whose limit it was decides what helps.
fn late(state: &State, is_wall: bool) -> CallError {
    let deployment = state.deployment.to_string();
    match is_wall {
        true => CallError::Wall { deployment, wall: state.limits.wall, waited: state.waited() },
        false => CallError::Deadline { deployment },
    }
}

/// The guest's own error, or the host's that it passed on: `wasi:nn` has fewer codes than there are kinds, so a failure
/// that came from the host gets its kind back.
fn passed_on(state: &State, kind: ErrorKind, message: String, is_wall: bool) -> CallError {
    let message: String = message.chars().take(MESSAGE_LIMIT_CHARS).collect();
    match &state.last_failure {
        Some((ErrorKind::DeadlineExceeded, _)) if Instant::now() >= state.deadline => late(state, is_wall),
        Some((host_kind, host_message)) if message.contains(host_message.as_str()) => match state.retry_after {
            Some(retry_after) if *host_kind == ErrorKind::ResourceExhausted => {
                CallError::Overloaded { message, retry_after }
            }
            _ => CallError::Guest { kind: *host_kind, message },
        },
        _ => CallError::Guest { kind, message },
    }
}

/// Whether the guest's result answers the request.
fn check(embeddings: &Embeddings, count: usize) -> Result<(), String> {
    let (values, dimensions) = (embeddings.values.len(), embeddings.dimensions as usize);
    if dimensions == 0 {
        return Err("vectors have no dimensions".to_owned());
    }
    if count.checked_mul(dimensions) != Some(values) {
        return Err(format!("{values} values for {count} inputs of {dimensions} dimensions"));
    }
    if embeddings.token_counts.len() != count {
        return Err(format!("{} token counts for {count} inputs", embeddings.token_counts.len()));
    }
    if let Some(index) = embeddings.values.iter().position(|value| !value.is_finite()) {
        return Err(format!("vector {} holds a value that is not a finite number", index / dimensions));
    }
    Ok(())
}
