//! Instances that are kept for the next request, for deployments that ask for it.
//!
//! What a guest remembers in its memory then passes from one request to the next of the same deployment, and nothing else
//! does: each request has an account of its own. An instance is used again only after a call that went well, that gave back
//! every tensor, and not for ever: what leaks in a guest is bounded by its limits, and those are counted anew.

use std::sync::{Mutex, PoisonError};

use wasmtime::Store;

use crate::account::Account;
use crate::bindings::Embedder;
use crate::error::CallError;
use crate::state::State;
use crate::{Guest, GuestKind};

/// Calls of one instance, after which a fresh one takes its place.
const CALL_LIMIT: u32 = 1_000;

/// Instances that wait at one time: as many as requests run side by side on a large machine; each costs what its guest has
/// touched.
const WAITING_LIMIT: usize = 32;

/// An instance, or the store for one that is to be made.
pub(crate) struct Live {
    pub(crate) store: Store<State>,
    pub(crate) instance: Option<Embedder>,
    calls: u32,
}

/// Instances between two calls; the one that was used last is taken first, because its memory is in the caches.
#[derive(Default)]
pub(crate) struct Kept(Mutex<Vec<Live>>);

impl Live {
    pub(crate) fn new(store: Store<State>) -> Self {
        Self { store, instance: None, calls: 0 }
    }
}

impl Kept {
    pub(crate) fn take(&self) -> Option<Live> {
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
    /// The same guest, whose instances serve one request after the other. Only embedders are called so often.
    #[must_use]
    pub fn reusing(mut self) -> Self {
        self.kept = (self.kind() == GuestKind::Embedder).then(Default::default);
        self
    }

    /// Gives a kept instance to another request.
    pub(crate) fn renew(&self, mut kept: Live, account: Account) -> Result<Live, CallError> {
        self.loaded.arm(&mut kept.store, &account);
        kept.store.data_mut().account = account;
        Ok(kept)
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
