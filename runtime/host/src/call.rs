//! What every call of a guest has in common: where its time went, what was copied, and why it broke off.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use wasmtime::Trap;
use wisp_core::ErrorKind;
use wisp_scheduler::StageTimes;

use crate::account::Account;
use crate::core_state::CoreState;
use crate::error::CallError;
use crate::guest::Shape;
use crate::state::State;
use crate::terms::End;
use crate::wasi::Streams;
use crate::{Guest, TensorTypes, Terms};

/// Longest message of a guest that is passed on: it travels in a header, and clients limit those.
const MESSAGE_LIMIT_CHARS: usize = 1024;

/// How wasmtime says that a call brought more bytes than one may; its type is private.
const HOSTCALL_BYTES: &str = "fuel allocated for hostcalls has been exhausted";

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

/// Tensors that were copied between a guest's memory and the host's. One that goes out of one `compute` into the next stays in
/// the host and is not among them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Copies {
    /// Tensors that came out of the guest's memory, each copied once.
    pub tensors_in: u64,
    /// Their bytes.
    pub bytes_in: u64,
    /// Tensors that went into it, each copied once.
    pub tensors_out: u64,
    /// Their bytes.
    pub bytes_out: u64,
}

impl Copies {
    pub(crate) fn took_in(&mut self, bytes: usize) {
        self.tensors_in += 1;
        self.bytes_in += bytes as u64;
    }

    pub(crate) fn gave_out(&mut self, bytes: usize) {
        self.tensors_out += 1;
        self.bytes_out += bytes as u64;
    }
}

impl Guest {
    /// Makes an instance and drops it again, as every request does: the cost of the sandbox itself.
    ///
    /// # Errors
    /// As any call.
    pub async fn instantiate(&self, terms: Terms) -> Result<(), CallError> {
        let end = terms.end(Instant::now());
        let account = terms.open(self, end);
        let deployment = Arc::clone(&account.deployment);
        let granting = |error: std::io::Error| CallError::granting(&deployment, &error);
        let _running = self.loaded.ticker.run();
        if let Shape::Core(module) = &self.loaded.shape {
            let state = CoreState::new(account, Streams::Log, TensorTypes::default()).map_err(granting)?;
            let mut store = self.loaded.store(state);
            let made = module.instantiate_async(&mut store).await.map(drop);
            return made.map_err(|error| self.explain(&error, &store.data().account));
        }
        let mut store = self.loaded.store(State::new(account, Streams::Log).map_err(granting)?);
        let made = match &self.loaded.shape {
            Shape::Embedder(embedder) => embedder.instantiate_async(&mut store).await.map(drop),
            Shape::Classifier(classifier) => classifier.instantiate_async(&mut store).await.map(drop),
            Shape::Http(proxy) => proxy.instantiate_async(&mut store).await.map(drop),
            Shape::Command(command) => command.instantiate_async(&mut store).await.map(drop),
            Shape::Core(_) => Ok(()),
        };
        made.map_err(|error| self.explain(&error, &store.data().account))
    }

    /// Why a call broke off, in words that name the limit where one was reached.
    pub(crate) fn explain(&self, error: &wasmtime::Error, account: &Account) -> CallError {
        if let Some(error) = error.downcast_ref::<CallError>() {
            return error.clone();
        }
        let deployment = account.deployment.to_string();
        if error.is::<wasmtime::PoolConcurrencyLimitError>() {
            return CallError::Instances { limit: self.loaded.max_instances };
        }
        let trap = error.downcast_ref::<Trap>();
        if let (Some(Trap::OutOfFuel), Some(limit)) = (trap, account.limits.fuel) {
            return CallError::Fuel { deployment, limit };
        }
        // What follows a refused growth is the guest's way of giving up: an abort, which is a trap of no meaning.
        if let Some(refused) = account.growth.refused {
            return CallError::Memory { deployment, wanted: refused.to_string() };
        }
        let reason = match trap {
            Some(trap) => trap.to_string(),
            None => error.root_cause().to_string(),
        };
        if reason.contains(HOSTCALL_BYTES) {
            return CallError::HostcallBytes { deployment, limit_bytes: account.limits.hostcall_bytes };
        }
        tracing::debug!(deployment, "guest trapped: {error:?}");
        CallError::Trap { deployment, reason }
    }

    /// The error for a call that this kind of guest does not have.
    pub(crate) fn wrong_kind(&self, account: &Account, what: &str) -> CallError {
        CallError::WrongKind { deployment: account.deployment.to_string(), kind: self.kind(), what: what.to_owned() }
    }
}

/// The error for a call that ran out of time: whose limit it was decides what helps.
pub(crate) fn late(account: &Account, is_wall: bool) -> CallError {
    let deployment = account.deployment.to_string();
    match is_wall {
        true => CallError::Wall { deployment, wall: account.limits.wall, waited: account.waited() },
        false => CallError::Deadline { deployment },
    }
}

/// A guest's message as it is passed on.
fn message(text: &str) -> String {
    text.chars().take(MESSAGE_LIMIT_CHARS).collect()
}

/// The guest's own error, or the host's that it passed on: `wasi:nn` has fewer codes than there are kinds, so a failure
/// that came from the host gets its kind back.
pub(crate) fn passed_on(account: &Account, kind: ErrorKind, text: &str, end: End) -> CallError {
    let message = message(text);
    match &account.last_failure {
        Some((ErrorKind::DeadlineExceeded, _)) if Instant::now() >= end.at => late(account, end.is_wall),
        Some((host_kind, host_message)) if message.contains(host_message.as_str()) => match account.retry_after {
            Some(retry_after) if *host_kind == ErrorKind::ResourceExhausted => {
                CallError::Overloaded { message, retry_after }
            }
            _ => CallError::Guest { kind: *host_kind, message },
        },
        _ => CallError::Guest { kind, message },
    }
}
