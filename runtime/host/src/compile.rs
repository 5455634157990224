//! From a module's bytes to machine code: mapped, read from the cache, or compiled within a time.

use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;

use wasmtime::Engine;
use wasmtime::component::Component;

use crate::compiled::{Compiled, ModuleKind};
use crate::sandbox::{Flavour, Loading};
use crate::{AotCache, CodeFile, HostConfig, HostError, nesting, snapshot};

/// The code of a guest: what was compiled before, or compiled now.
pub(crate) fn compiled(
    flavour: &Flavour,
    config: &HostConfig,
    name: &str,
    kind: ModuleKind,
    wasm: &[u8],
    loading: Loading<'_>,
) -> Result<Compiled, HostError> {
    // Code that travels alone is that of components; programs do not run in pods.
    let code = loading.code.filter(|_| kind == ModuleKind::Component);
    if let Some(component) = code.and_then(|code| mapped(flavour, name, wasm, code)) {
        return Ok(Compiled::Component(component));
    }
    match loading.compile_limit {
        Some(limit) => within(limit, flavour, config, name, kind, wasm),
        None => from_cache(&flavour.engine, config.aot_cache.as_ref(), name, kind, wasm),
    }
}

fn from_cache(
    engine: &Engine,
    cache: Option<&AotCache>,
    name: &str,
    kind: ModuleKind,
    wasm: &[u8],
) -> Result<Compiled, HostError> {
    match cache {
        Some(cache) => cache.compiled(engine, name, kind, wasm),
        None => compile(engine, name, kind, wasm),
    }
}

/// The compiler cannot be interrupted, so that it is left to itself when it takes too long, and whoever waits is told.
fn within(
    limit: Duration,
    flavour: &Flavour,
    config: &HostConfig,
    name: &str,
    kind: ModuleKind,
    wasm: &[u8],
) -> Result<Compiled, HostError> {
    let (send, receive) = mpsc::channel();
    let (engine, cache, guest, wasm) =
        (flavour.engine.clone(), config.aot_cache.clone(), name.to_owned(), wasm.to_vec());
    let compiler = std::thread::Builder::new().name("wisp-compile".to_owned());
    let started = compiler.spawn(move || send.send(from_cache(&engine, cache.as_ref(), &guest, kind, &wasm)));
    started.map_err(|error| HostError::Engine(error.to_string()))?;
    match receive.recv_timeout(limit) {
        Ok(compiled) => compiled,
        Err(RecvTimeoutError::Timeout) => Err(HostError::CompileTime { guest: name.to_owned(), limit }),
        Err(RecvTimeoutError::Disconnected) => {
            Err(HostError::Compile { guest: name.to_owned(), reason: "the compiler panicked".to_owned() })
        }
    }
}

/// Initialises and compiles.
pub(crate) fn compile(engine: &Engine, name: &str, kind: ModuleKind, wasm: &[u8]) -> Result<Compiled, HostError> {
    nesting::check(name, wasm)?;
    let initialized = snapshot::initialized(name, kind, wasm)?;
    kind.compile(engine, initialized.as_deref().unwrap_or(wasm))
        .map_err(|error| HostError::Compile { guest: name.to_owned(), reason: format!("{error:#}") })
}

/// Initialises and compiles, to bytes that can be kept.
pub(crate) fn precompile(engine: &Engine, name: &str, kind: ModuleKind, wasm: &[u8]) -> Result<Vec<u8>, HostError> {
    nesting::check(name, wasm)?;
    let initialized = snapshot::initialized(name, kind, wasm)?;
    kind.precompile(engine, initialized.as_deref().unwrap_or(wasm))
        .map_err(|error| HostError::Compile { guest: name.to_owned(), reason: format!("{error:#}") })
}

/// The component of a file of code; what cannot be used is told, and costs the time of compiling.
fn mapped(flavour: &Flavour, name: &str, wasm: &[u8], code: &CodeFile) -> Option<Component> {
    let path = code.path().display();
    match code.component(&flavour.engine, wasm) {
        Ok(component) => Some(component),
        Err(reason) => {
            tracing::warn!(guest = name, %path, reason, "compiled code cannot be used; the guest is compiled here");
            None
        }
    }
}
