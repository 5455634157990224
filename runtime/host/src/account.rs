//! What one request may use, and what it has used: the part of a store's data that every kind of guest has.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use wisp_core::{ErrorKind, NamedTensor};
use wisp_scheduler::observe::{self, Stage};
use wisp_scheduler::{Announced, BatchShare, Caller, Inferred, ScheduleError};

use crate::error::CallError;
use crate::limits::{GrowthLimiter, Limits};
use crate::terms::nobody;
use crate::{CallTimes, Copies, GrantedModel, Grants, ModelGrant};

/// The account of a request, dropped with it.
pub(crate) struct Account {
    pub(crate) deployment: Arc<str>,
    pub(crate) grants: Arc<Grants>,
    pub(crate) limits: Limits,
    pub(crate) growth: GrowthLimiter,
    pub(crate) deadline: Instant,
    /// Who asks.
    pub(crate) caller: Caller,
    /// Work that was announced and has not been asked for.
    pub(crate) announced: Vec<(Arc<GrantedModel>, Announced)>,
    /// Bytes of tensors that the guest holds.
    pub(crate) tensor_bytes: usize,
    /// Tensors that were copied.
    pub(crate) copies: Copies,
    /// Time spent in the host, by stage.
    pub(crate) times: CallTimes,
    /// The inferences so far, and what they shared.
    pub(crate) share: BatchShare,
    /// The model that computed last; reported as the placement of the answer.
    pub(crate) computed_by: Option<Arc<GrantedModel>>,
    /// Since when the instance waits for its model, while it does.
    waits_since: Option<Instant>,
    /// After which time a model that was overloaded may have room again.
    pub(crate) retry_after: Option<Duration>,
    /// The last failure that the guest was told of, to give its kind back to the caller when the guest passes it on.
    pub(crate) last_failure: Option<(ErrorKind, String)>,
}

impl Account {
    pub(crate) fn new(deployment: Arc<str>, grants: Arc<Grants>, limits: Limits, deadline: Instant) -> Self {
        Self {
            deployment,
            grants,
            limits,
            growth: GrowthLimiter::new(limits),
            deadline,
            caller: nobody(),
            announced: Vec::new(),
            tensor_bytes: 0,
            copies: Copies::default(),
            times: CallTimes::default(),
            share: BatchShare::default(),
            computed_by: None,
            waits_since: None,
            retry_after: None,
            last_failure: None,
        }
    }

    /// Takes `bytes` of tensor memory for the instance, or says that it has none left.
    pub(crate) fn reserve_tensor(&mut self, bytes: usize) -> Result<(), CallError> {
        let total = self.tensor_bytes.saturating_add(bytes);
        if total > self.limits.tensor_bytes {
            return Err(CallError::TensorBytes {
                deployment: self.deployment.to_string(),
                limit_bytes: self.limits.tensor_bytes,
            });
        }
        self.tensor_bytes = total;
        Ok(())
    }

    pub(crate) fn release_tensor(&mut self, bytes: usize) {
        self.tensor_bytes = self.tensor_bytes.saturating_sub(bytes);
    }

    /// Remembers a failure that is about to be told to the guest.
    pub(crate) fn note_failure(&mut self, kind: ErrorKind, message: &str) {
        self.last_failure = Some((kind, message.to_owned()));
    }

    /// The host has just tokenised for so long.
    pub(crate) fn add_tokenize_time(&mut self, elapsed: Duration) {
        self.times.tokenize += elapsed;
        observe::tell(|observer| {
            let now = Instant::now();
            observer.stage(Stage::Tokenize, now.checked_sub(elapsed).unwrap_or(now), now);
        });
    }

    /// An instance was made for this call since `started_at`.
    pub(crate) fn made_instance(&mut self, started_at: Instant) {
        self.times.instantiate = started_at.elapsed();
        observe::tell(|observer| observer.stage(Stage::Instantiate, started_at, Instant::now()));
    }

    /// Time that the guest waited for its models, this moment included.
    pub(crate) fn waited(&self) -> Duration {
        self.times.host + self.waits_since.map_or(Duration::ZERO, |since| since.elapsed())
    }

    /// Runs an inference of a granted model, within its own deadline as well.
    pub(crate) async fn infer(
        &mut self,
        grant: &ModelGrant,
        inputs: Vec<NamedTensor>,
    ) -> Result<Inferred, ScheduleError> {
        let (started_at, model) = (Instant::now(), &grant.model);
        let deadline = grant.deadline.map_or(self.deadline, |deadline| self.deadline.min(started_at + deadline));
        self.waits_since = Some(started_at);
        let announced = self.take_announced(model);
        let inferred = model.queue.infer(inputs, &self.caller, Some(deadline), announced).await;
        self.waits_since = None;
        self.times.host += started_at.elapsed();
        if let Err(ScheduleError::Overloaded { wait, .. }) = &inferred {
            self.retry_after = Some(*wait);
        }
        let inferred = inferred?;
        self.times.stages += inferred.times;
        self.share += inferred.share;
        self.computed_by = Some(Arc::clone(model));
        Ok(inferred)
    }

    /// What was announced for this model, if it was not asked for yet.
    fn take_announced(&mut self, model: &Arc<GrantedModel>) -> Option<Announced> {
        let index = self.announced.iter().position(|(other, _)| Arc::ptr_eq(other, model))?;
        Some(self.announced.swap_remove(index).1)
    }
}
