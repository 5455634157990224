//! What the host keeps for one instance.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use wasmtime::component::ResourceTable;
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};
use wisp_core::ErrorKind;
use wisp_scheduler::{Announced, BatchShare, Caller};

use crate::error::CallError;
use crate::limits::{GrowthLimiter, Limits};
use crate::{CallTimes, GrantedModel, Grants, wasi};

/// Data of a store: one per request, dropped with everything in it.
pub(crate) struct State {
    pub(crate) deployment: Arc<str>,
    pub(crate) grants: Arc<Grants>,
    pub(crate) limits: Limits,
    pub(crate) growth: GrowthLimiter,
    pub(crate) deadline: Instant,
    /// Who asks.
    pub(crate) caller: Caller,
    /// Work that was announced and has not been asked for.
    pub(crate) announced: Vec<(Arc<GrantedModel>, Announced)>,
    pub(crate) table: ResourceTable,
    pub(crate) wasi: WasiCtx,
    /// Bytes of tensors in `table`.
    pub(crate) tensor_bytes: usize,
    /// Time spent in the host, by stage.
    pub(crate) times: CallTimes,
    /// The inferences so far, and what they shared.
    pub(crate) share: BatchShare,
    /// The model that computed last; reported as the placement of the answer.
    pub(crate) computed_by: Option<Arc<GrantedModel>>,
    /// Since when the instance waits for its model, while it does.
    pub(crate) waits_since: Option<Instant>,
    /// After which time a model that was overloaded may have room again.
    pub(crate) retry_after: Option<Duration>,
    /// The last failure that the guest was told of, to give its kind back to the caller when the guest passes it on.
    pub(crate) last_failure: Option<(ErrorKind, String)>,
}

impl State {
    pub(crate) fn new(deployment: Arc<str>, grants: Arc<Grants>, limits: Limits, deadline: Instant) -> Self {
        let mut table = ResourceTable::new();
        table.set_max_capacity(limits.handles);
        let wasi = wasi::context(&deployment, limits.log_bytes);
        Self {
            deployment,
            grants,
            limits,
            growth: GrowthLimiter::new(limits),
            deadline,
            caller: Caller::default(),
            announced: Vec::new(),
            table,
            wasi,
            tensor_bytes: 0,
            times: CallTimes::default(),
            share: BatchShare::default(),
            computed_by: None,
            waits_since: None,
            retry_after: None,
            last_failure: None,
        }
    }

    /// Takes `bytes` of tensor memory for the instance, or fails the call: `wasi:nn` gives a constructor no way to say no.
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

    /// What was announced for this model, if it was not asked for yet.
    pub(crate) fn take_announced(&mut self, model: &Arc<GrantedModel>) -> Option<Announced> {
        let index = self.announced.iter().position(|(other, _)| Arc::ptr_eq(other, model))?;
        Some(self.announced.swap_remove(index).1)
    }

    pub(crate) fn add_tokenize_time(&mut self, elapsed: Duration) {
        self.times.tokenize += elapsed;
    }

    /// Time that the guest waited for its models, this moment included.
    pub(crate) fn waited(&self) -> Duration {
        self.times.host + self.waits_since.map_or(Duration::ZERO, |since| since.elapsed())
    }
}

impl WasiView for State {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
    }
}
