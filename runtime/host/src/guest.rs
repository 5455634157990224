//! A guest: a component that is compiled, checked and linked, ready to be instantiated in microseconds.

use std::sync::Arc;

use sha2::{Digest, Sha256};
use wasmtime::component::Component;
use wasmtime::{Engine, Precompiled};
use wisp_scheduler::Origin;

use crate::bindings::EmbedderPre;
use crate::epoch::EpochTicker;
use crate::state::State;
use crate::{CodeFile, Host, HostError};

/// A loaded guest. Cheap to clone.
#[derive(Clone)]
pub struct Guest {
    pub(crate) engine: Engine,
    pub(crate) embedder: EmbedderPre<State>,
    pub(crate) max_instances: u32,
    name: Arc<str>,
    wasm_bytes: usize,
    origin: Origin,
    /// A guest outlives the host it came from, and its time limit needs the epoch to go on.
    pub(crate) ticker: Arc<EpochTicker>,
}

impl Guest {
    pub(crate) fn load(host: &Host, name: &str, wasm: &[u8], code: Option<&CodeFile>) -> Result<Self, HostError> {
        check_is_component(name, wasm, host.config.max_module_bytes)?;
        let component = match code.and_then(|code| mapped(host, name, wasm, code)) {
            Some(component) => component,
            None => compiled(host, wasm)
                .map_err(|error| HostError::Compile { guest: name.to_owned(), reason: format!("{error:#}") })?,
        };
        let misfit = |error: wasmtime::Error| HostError::Link { guest: name.to_owned(), reason: format!("{error:#}") };
        let linked = host.linker.instantiate_pre(&component).map_err(misfit)?;
        let embedder = EmbedderPre::new(linked).map_err(misfit)?;
        Ok(Self {
            engine: host.engine.clone(),
            embedder,
            max_instances: host.config.max_instances,
            name: name.into(),
            wasm_bytes: wasm.len(),
            origin: origin(wasm),
            ticker: Arc::clone(&host.ticker),
        })
    }

    /// The name it was loaded under.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Size of the module in bytes.
    #[must_use]
    pub fn wasm_bytes(&self) -> usize {
        self.wasm_bytes
    }

    /// The start of the module's digest: what tells its rows apart in a shared batch.
    #[must_use]
    pub fn origin(&self) -> Origin {
        self.origin
    }
}

/// The component of a file of code; what cannot be used is told, and costs the time of compiling.
fn mapped(host: &Host, name: &str, wasm: &[u8], code: &CodeFile) -> Option<Component> {
    let path = code.path().display();
    match code.component(&host.engine, wasm) {
        Ok(component) => Some(component),
        Err(reason) => {
            tracing::warn!(guest = name, %path, reason, "compiled code cannot be used; the guest is compiled here");
            None
        }
    }
}

fn compiled(host: &Host, wasm: &[u8]) -> wasmtime::Result<Component> {
    match &host.config.aot_cache {
        Some(cache) => cache.component(&host.engine, wasm),
        None => Component::from_binary(&host.engine, wasm),
    }
}

fn origin(wasm: &[u8]) -> Origin {
    let digest = Sha256::digest(wasm);
    let (start, _) = digest.split_first_chunk().expect("a digest of 32 bytes has 8");
    Origin(u64::from_be_bytes(*start))
}

impl std::fmt::Debug for Guest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Guest").field("name", &self.name).finish_non_exhaustive()
    }
}

/// Tells the usual mistakes apart before the compiler sees the bytes.
pub(crate) fn check_is_component(name: &str, wasm: &[u8], limit_bytes: usize) -> Result<(), HostError> {
    if wasm.len() > limit_bytes {
        return Err(HostError::TooLarge { guest: name.to_owned(), bytes: wasm.len(), limit_bytes });
    }
    let refuse = |reason: &str| Err(HostError::NotAComponent { guest: name.to_owned(), reason: reason.to_owned() });
    if matches!(Engine::detect_precompiled(wasm), Some(Precompiled::Component | Precompiled::Module)) {
        return refuse("it is precompiled machine code, which is never trusted; give the .wasm file");
    }
    match wasm {
        [b'\0', b'a', b's', b'm', 0x01, 0x00, 0x00, 0x00, ..] => {
            refuse("it is a core module; build it for the target wasm32-wasip2")
        }
        [b'\0', b'a', b's', b'm', ..] => Ok(()),
        [] => refuse("the file is empty"),
        _ => refuse("it does not start with the magic bytes of WebAssembly"),
    }
}
