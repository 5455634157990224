//! A guest: a module that is compiled, checked and linked, ready to be instantiated in microseconds.

use std::sync::Arc;

use sha2::{Digest, Sha256};
use wasmtime::component::Component;
use wasmtime::{Engine, InstancePre, Module, Store, UpdateDeadline};
use wasmtime_wasi::p2::bindings::CommandPre;
use wasmtime_wasi_http::p2::bindings::ProxyPre;
use wisp_scheduler::Origin;

use crate::account::Account;
use crate::bindings::EmbedderPre;
use crate::bindings::classifier::ClassifierPre;
use crate::compiled::Compiled;
use crate::core_state::CoreState;
use crate::epoch::EpochTicker;
use crate::keep::Kept;
use crate::sandbox::Flavour;
use crate::state::State;
use crate::{HostError, exports, offer};

/// A loaded guest. Cheap to clone; clones share the instances that are kept.
#[derive(Clone)]
pub struct Guest {
    pub(crate) loaded: Arc<Loaded>,
    /// Where its instances wait for the next request, if they do.
    pub(crate) kept: Option<Arc<Kept>>,
}

/// What a guest is made to be called as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GuestKind {
    /// A component that exports `wisp:inference/embedding`.
    Embedder,
    /// A component that exports `wisp:inference/classification`.
    Classifier,
    /// A component that exports `wasi:http/incoming-handler`.
    Http,
    /// A program: a component that exports `wasi:cli/run`, or a core module of WASI preview 1.
    Program,
}

/// What all clones of a guest share.
pub(crate) struct Loaded {
    pub(crate) shape: Shape,
    pub(crate) max_instances: u32,
    engine: Engine,
    name: Box<str>,
    wasm_bytes: usize,
    origin: Origin,
    is_metered: bool,
    /// A guest outlives the host it came from, and its time limit needs the epoch to go on.
    pub(crate) ticker: Arc<EpochTicker>,
}

/// A guest linked as what it is.
pub(crate) enum Shape {
    Embedder(EmbedderPre<State>),
    Classifier(ClassifierPre<State>),
    Http(ProxyPre<State>),
    Command(CommandPre<State>),
    Core(InstancePre<CoreState>),
}

/// Data of a store that knows its account.
pub(crate) trait HasAccount: Send + 'static {
    fn account(&mut self) -> &mut Account;
}

impl HasAccount for State {
    fn account(&mut self) -> &mut Account {
        &mut self.account
    }
}

impl HasAccount for CoreState {
    fn account(&mut self) -> &mut Account {
        &mut self.account
    }
}

impl std::fmt::Display for GuestKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Embedder => "an embedder (it exports wisp:inference/embedding)",
            Self::Classifier => "a classifier (it exports wisp:inference/classification)",
            Self::Http => "an HTTP application (it exports wasi:http/incoming-handler)",
            Self::Program => "a program (it exports wasi:cli/run or _start)",
        })
    }
}

impl Guest {
    /// Links compiled code. `wasm` is what it was compiled from.
    pub(crate) fn link(
        flavour: &Flavour,
        name: &str,
        wasm: &[u8],
        compiled: &Compiled,
        max_instances: u32,
    ) -> Result<Self, HostError> {
        let shape = match compiled {
            Compiled::Component(component) => link_component(flavour, name, component)?,
            Compiled::Module(module) => Shape::Core(link_module(flavour, name, module)?),
        };
        let loaded = Loaded {
            shape,
            max_instances,
            engine: flavour.engine.clone(),
            name: name.into(),
            wasm_bytes: wasm.len(),
            origin: origin(wasm),
            is_metered: flavour.is_metered,
            ticker: Arc::clone(&flavour.ticker),
        };
        Ok(Self { loaded: Arc::new(loaded), kept: None })
    }

    /// What it is made to be called as.
    #[must_use]
    pub fn kind(&self) -> GuestKind {
        match self.loaded.shape {
            Shape::Embedder(_) => GuestKind::Embedder,
            Shape::Classifier(_) => GuestKind::Classifier,
            Shape::Http(_) => GuestKind::Http,
            Shape::Command(_) | Shape::Core(_) => GuestKind::Program,
        }
    }

    /// The name it was loaded under.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.loaded.name
    }

    /// Size of the module in bytes.
    #[must_use]
    pub fn wasm_bytes(&self) -> usize {
        self.loaded.wasm_bytes
    }

    /// The start of the module's digest: what tells its rows apart in a shared batch.
    #[must_use]
    pub fn origin(&self) -> Origin {
        self.loaded.origin
    }
}

impl Loaded {
    /// A store whose guest keeps within the limits of the account in it.
    pub(crate) fn store<T: HasAccount>(&self, data: T) -> Store<T> {
        let mut store = Store::new(&self.engine, data);
        store.limiter(|data| &mut data.account().growth);
        // A guest that computes gives the thread back once an epoch, so that its time limit and others get their turn.
        store.set_epoch_deadline(1);
        store.epoch_deadline_callback(|_| Ok(UpdateDeadline::Yield(1)));
        let (fuel, hostcall_bytes) =
            (store.data_mut().account().limits.fuel, store.data_mut().account().limits.hostcall_bytes);
        self.fill(&mut store, fuel, hostcall_bytes);
        store
    }

    /// Gives a store anew what a call may use up.
    pub(crate) fn arm<T>(&self, store: &mut Store<T>, account: &Account) {
        self.fill(store, account.limits.fuel, account.limits.hostcall_bytes);
    }

    fn fill<T>(&self, store: &mut Store<T>, fuel: Option<u64>, hostcall_bytes: usize) {
        store.set_hostcall_fuel(hostcall_bytes);
        if self.is_metered {
            store.set_fuel(fuel.unwrap_or(u64::MAX)).expect("the engine of a metered guest counts fuel");
        }
    }
}

fn link_component(flavour: &Flavour, name: &str, component: &Component) -> Result<Shape, HostError> {
    offer::check_imports(&flavour.engine, name, component)?;
    let misfit = |error: wasmtime::Error| HostError::Link { guest: name.to_owned(), reason: format!("{error:#}") };
    let linked = flavour.components.instantiate_pre(component).map_err(misfit)?;
    let ty = component.component_type();
    let exports: Vec<_> = ty.exports(&flavour.engine).map(|(export, _)| export.to_owned()).collect();
    let shape = match exports::kind(&exports) {
        Some(GuestKind::Embedder) => EmbedderPre::new(linked).map(Shape::Embedder),
        Some(GuestKind::Classifier) => ClassifierPre::new(linked).map(Shape::Classifier),
        Some(GuestKind::Http) => ProxyPre::new(linked).map(Shape::Http),
        Some(GuestKind::Program) => CommandPre::new(linked).map(Shape::Command),
        None => {
            let reason = offer::nothing_to_call(&exports);
            return Err(HostError::Link { guest: name.to_owned(), reason });
        }
    };
    shape.map_err(misfit)
}

fn link_module(flavour: &Flavour, name: &str, module: &Module) -> Result<InstancePre<CoreState>, HostError> {
    offer::check_module(name, module)?;
    let misfit = |error: wasmtime::Error| HostError::Link { guest: name.to_owned(), reason: format!("{error:#}") };
    flavour.modules.instantiate_pre(module).map_err(misfit)
}

fn origin(wasm: &[u8]) -> Origin {
    let digest = Sha256::digest(wasm);
    let (start, _) = digest.split_first_chunk().expect("a digest of 32 bytes has 8");
    Origin(u64::from_be_bytes(*start))
}

impl std::fmt::Debug for Guest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Guest").field("name", &self.name()).field("kind", &self.kind()).finish_non_exhaustive()
    }
}
