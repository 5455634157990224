//! Instances that serve one request, or are kept for the next one, for deployments that ask for it.
//!
//! What a guest remembers in its memory then passes from one request to the next of the same deployment, and nothing else
//! does: each request has an account of its own. An instance is used again only after a call that went well, that gave back
//! every tensor, and not for ever: what leaks in a guest is bounded by its limits, and those are counted anew.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::time::Instant;
use wasmtime::Store;

use crate::account::Account;
use crate::bindings::Embedder;
use crate::bindings::classifier::Classifier;
use crate::error::CallError;
use crate::guest::Shape;
use crate::state::State;
use crate::wasi::Streams;
use crate::{Guest, GuestKind};

/// Calls of one instance, after which a fresh one takes its place.
const CALL_LIMIT: u32 = 1_000;

/// Instances that wait at one time: as many as requests run side by side on a large machine; each costs what its guest has
/// touched.
const WAITING_LIMIT: usize = 32;

/// An instance, or the store for one that is to be made.
pub(crate) struct Live {
    pub(crate) store: Store<State>,
    instance: Option<Instance>,
    calls: u32,
}

/// An instance as what it is called.
pub(crate) enum Instance {
    Embedder(Embedder),
    Classifier(Classifier),
}

/// Instances between two calls; the one that was used last is taken first, because its memory is in the caches.
#[derive(Default)]
pub(crate) struct Kept(Mutex<Vec<Live>>);

impl Live {
    fn new(store: Store<State>) -> Self {
        Self { store, instance: None, calls: 0 }
    }

    /// The instance, made if it is not there yet, and its store.
    pub(crate) async fn instance(&mut self, guest: &Guest) -> wasmtime::Result<(&mut Store<State>, &Instance)> {
        let Self { store, instance, .. } = self;
        let instance = match instance {
            Some(instance) => instance,
            None => {
                let started_at = Instant::now();
                let made = Instance::make(guest, store).await?;
                store.data_mut().account.made_instance(started_at);
                instance.insert(made)
            }
        };
        Ok((store, instance))
    }
}

impl Instance {
    async fn make(guest: &Guest, store: &mut Store<State>) -> wasmtime::Result<Self> {
        match &guest.loaded.shape {
            Shape::Embedder(embedder) => embedder.instantiate_async(store).await.map(Self::Embedder),
            Shape::Classifier(classifier) => classifier.instantiate_async(store).await.map(Self::Classifier),
            Shape::Http(_) | Shape::Command(_) | Shape::Core(_) => wasmtime::bail!("the guest answers no calls"),
        }
    }
}

impl Kept {
    fn take(&self) -> Option<Live> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).pop()
    }

    fn put(&self, live: Live) {
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if waiting.len() < WAITING_LIMIT {
            waiting.push(live);
        }
    }
}

impl Guest {
    /// The same guest, whose instances serve one request after the other. Only embedders and classifiers are called so often.
    #[must_use]
    pub fn reusing(mut self) -> Self {
        let is_called = matches!(self.kind(), GuestKind::Embedder | GuestKind::Classifier);
        self.kept = is_called.then(Default::default);
        self
    }

    /// An instance that was kept, or the store for a new one, of a guest that is of this kind; `what` says what such a one does.
    pub(crate) fn ready(&self, account: Account, kind: GuestKind, what: &str) -> Result<Live, CallError> {
        if self.kind() != kind {
            return Err(self.wrong_kind(&account, what));
        }
        if let Some(kept) = self.kept.as_ref().and_then(|kept| kept.take()) {
            return Ok(self.renewed(kept, account));
        }
        let deployment = Arc::clone(&account.deployment);
        let state = State::new(account, Streams::Log).map_err(|error| CallError::granting(&deployment, &error))?;
        Ok(Live::new(self.loaded.store(state)))
    }

    /// Gives a kept instance to another request.
    fn renewed(&self, mut kept: Live, account: Account) -> Live {
        self.loaded.arm(&mut kept.store, &account);
        kept.store.data_mut().account = account;
        kept
    }

    /// Keeps an instance whose call went well, if this guest reuses them.
    pub(crate) fn keep(&self, mut live: Live) {
        let Some(kept) = &self.kept else { return };
        live.calls += 1;
        let holds_nothing = live.store.data().account.tensor_bytes == 0;
        if holds_nothing && live.calls < CALL_LIMIT {
            kept.put(live);
        }
    }
}
