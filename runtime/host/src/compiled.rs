//! Machine code of a module, of either kind.

use wasmtime::component::Component;
use wasmtime::{Engine, Module, Precompiled};

use crate::HostError;

/// A compiled module.
#[derive(Clone)]
pub(crate) enum Compiled {
    /// A component.
    Component(Component),
    /// A core module.
    Module(Module),
}

/// What the first bytes say that a module is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ModuleKind {
    Component,
    Core,
}

impl ModuleKind {
    /// Tells the usual mistakes apart before the compiler sees the bytes.
    pub(crate) fn detect(name: &str, wasm: &[u8], limit_bytes: usize) -> Result<Self, HostError> {
        if wasm.len() > limit_bytes {
            return Err(HostError::TooLarge { guest: name.to_owned(), bytes: wasm.len(), limit_bytes });
        }
        let refuse = |reason: &str| Err(HostError::NotAModule { guest: name.to_owned(), reason: reason.to_owned() });
        if matches!(Engine::detect_precompiled(wasm), Some(Precompiled::Component | Precompiled::Module)) {
            return refuse("it is precompiled machine code, which is never trusted; give the .wasm file");
        }
        match wasm {
            [b'\0', b'a', b's', b'm', 0x01, 0x00, 0x00, 0x00, ..] => Ok(Self::Core),
            [b'\0', b'a', b's', b'm', ..] => Ok(Self::Component),
            [] => refuse("the file is empty"),
            _ => refuse("it does not start with the magic bytes of WebAssembly"),
        }
    }

    /// Compiles.
    pub(crate) fn compile(self, engine: &Engine, wasm: &[u8]) -> wasmtime::Result<Compiled> {
        match self {
            Self::Component => Component::from_binary(engine, wasm).map(Compiled::Component),
            Self::Core => Module::from_binary(engine, wasm).map(Compiled::Module),
        }
    }

    /// Compiles to bytes that [`Compiled::serialize`] would give.
    pub(crate) fn precompile(self, engine: &Engine, wasm: &[u8]) -> wasmtime::Result<Vec<u8>> {
        match self {
            Self::Component => engine.precompile_component(wasm),
            Self::Core => engine.precompile_module(wasm),
        }
    }
}

impl Compiled {
    pub(crate) fn serialize(&self) -> wasmtime::Result<Vec<u8>> {
        match self {
            Self::Component(component) => component.serialize(),
            Self::Module(module) => module.serialize(),
        }
    }
}
