//! The host: engines, and the linkers that every guest is linked with once.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use wasmtime::component::{HasSelf, Linker as ComponentLinker};
use wasmtime::{Engine, Linker};

use crate::bindings::Embedder;
use crate::bindings::classifier::wisp::inference::state;
use crate::compile::compiled;
use crate::compiled::ModuleKind;
use crate::core_state::CoreState;
use crate::epoch::EpochTicker;
use crate::pool::pooled_or_not;
use crate::state::State;
use crate::{AotCache, CodeFile, Guest, HostError, nn, witx};

/// How the engine is set up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostConfig {
    /// Instances that can exist at one time; one more is refused with [`CallError::Instances`](crate::CallError).
    pub max_instances: u32,
    /// Largest linear memory of any deployment; address space for it is reserved per instance, by class: up to 64 MiB, up to
    /// 128 MiB, and so on in powers of two. Compiled code holds for a class.
    pub max_memory_bytes: usize,
    /// Largest table of any deployment, in elements.
    pub max_table_elements: usize,
    /// Largest module that is compiled, in bytes.
    pub max_module_bytes: usize,
    /// Whether the kernel is asked which pages a guest touched (`PAGEMAP_SCAN`, Linux 6.7), where it can tell: without it, all
    /// memory that is kept for the next instance is wiped.
    pub pagemap_scan: bool,
    /// Where compiled code is kept; `None` compiles at every start.
    pub aot_cache: Option<AotCache>,
}

impl Default for HostConfig {
    fn default() -> Self {
        let limits = crate::Limits::default();
        Self {
            max_instances: 256,
            max_memory_bytes: limits.memory_bytes,
            max_table_elements: limits.table_elements,
            max_module_bytes: 64 << 20,
            pagemap_scan: true,
            aot_cache: None,
        }
    }
}

/// The host of all guests. Cheap to clone.
#[derive(Clone)]
pub struct Host(Arc<Inner>);

struct Inner {
    config: HostConfig,
    plain: Flavour,
    /// For guests that are metered; made when the first one is loaded, because counting slows every guest of an engine down.
    metered: Mutex<Option<Arc<Flavour>>>,
}

/// An engine, and what its guests are linked with.
pub(crate) struct Flavour {
    pub(crate) engine: Engine,
    pub(crate) components: ComponentLinker<State>,
    pub(crate) modules: Linker<CoreState>,
    pub(crate) ticker: Arc<EpochTicker>,
    pub(crate) is_metered: bool,
}

/// How a guest is loaded.
#[derive(Clone, Copy, Debug, Default)]
pub struct Loading<'a> {
    /// Code that was compiled before, if it can be used.
    pub code: Option<&'a CodeFile>,
    /// Whether what it computes is counted, for [`Limits::fuel`](crate::Limits).
    pub is_metered: bool,
    /// Longest that compiling may take; `None` for as long as it takes.
    pub compile_limit: Option<Duration>,
    /// Largest module, in bytes, where it is less than [`HostConfig::max_module_bytes`].
    pub max_module_bytes: Option<usize>,
}

impl Host {
    /// Sets the engine up. Where the machine has too little address space to set instances aside, they are made one by one, and
    /// the log says so.
    ///
    /// # Errors
    /// [`HostError::Engine`] when the machine cannot give what the configuration asks for.
    pub fn new(config: HostConfig) -> Result<Self, HostError> {
        let plain = Flavour::new(&config, false)?;
        Ok(Self(Arc::new(Inner { config, plain, metered: Mutex::default() })))
    }

    /// Compiles, checks and links a guest. `name` stands in messages.
    ///
    /// # Errors
    /// [`HostError`] naming what is wrong with the module.
    pub fn load(&self, name: &str, wasm: &[u8]) -> Result<Guest, HostError> {
        self.load_as(name, wasm, Loading::default())
    }

    /// As [`Host::load`], in another way.
    ///
    /// # Errors
    /// As [`Host::load`]; [`HostError::CompileTime`].
    pub fn load_as(&self, name: &str, wasm: &[u8], loading: Loading<'_>) -> Result<Guest, HostError> {
        let Inner { config, plain, .. } = &*self.0;
        let limit_bytes =
            loading.max_module_bytes.map_or(config.max_module_bytes, |own| own.min(config.max_module_bytes));
        let kind = ModuleKind::detect(name, wasm, limit_bytes)?;
        if !loading.is_metered {
            let compiled = compiled(plain, config, name, kind, wasm, loading)?;
            return Guest::link(plain, name, wasm, &compiled, config.max_instances);
        }
        let metered = self.metered()?;
        let compiled = compiled(&metered, config, name, kind, wasm, Loading { code: None, ..loading })?;
        Guest::link(&metered, name, wasm, &compiled, config.max_instances)
    }

    fn metered(&self) -> Result<Arc<Flavour>, HostError> {
        let mut metered = self.0.metered.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(flavour) = &*metered {
            return Ok(Arc::clone(flavour));
        }
        let flavour = Arc::new(Flavour::new(&self.0.config, true)?);
        Ok(Arc::clone(metered.insert(flavour)))
    }
}

impl Flavour {
    fn new(config: &HostConfig, is_metered: bool) -> Result<Self, HostError> {
        let broken = |error: wasmtime::Error| HostError::Engine(format!("{error:#}"));
        let engine = pooled_or_not(config, is_metered)?;
        let ticker = EpochTicker::start(engine.clone()).map_err(|error| HostError::Engine(error.to_string()))?;
        Ok(Self {
            components: component_linker(&engine).map_err(broken)?,
            modules: module_linker(&engine).map_err(broken)?,
            engine,
            ticker: Arc::new(ticker),
            is_metered,
        })
    }
}

/// What components can import.
pub(crate) fn component_linker(engine: &Engine) -> wasmtime::Result<ComponentLinker<State>> {
    let mut linker = ComponentLinker::new(engine);
    wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
    wasmtime_wasi_http::p2::add_only_http_to_linker_async(&mut linker)?;
    Embedder::add_to_linker::<_, HasSelf<_>>(&mut linker, |state| state)?;
    state::add_to_linker::<_, HasSelf<_>>(&mut linker, |state| state)?;
    nn::link_without_copies(&mut linker)?;
    Ok(linker)
}

/// What core modules can import.
fn module_linker(engine: &Engine) -> wasmtime::Result<Linker<CoreState>> {
    let mut linker = Linker::new(engine);
    wasmtime_wasi::p1::add_to_linker_async(&mut linker, |state: &mut CoreState| &mut state.wasi)?;
    witx::add_to_linker(&mut linker)?;
    Ok(linker)
}
