//! Guests that are initialised once, ahead of all calls.
//!
//! A component that exports `wizer-initialize` (no parameters, no result) has it called when it is loaded, in a sandbox of its
//! own that is granted nothing. What its memory looks like afterwards becomes part of the module, and every instance starts
//! from there: a table that takes milliseconds to build costs a page fault. The work is done by [`wasmtime_wizer`].

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use wasmtime::component::{Component, Instance, Lift, WasmList};
use wasmtime::{Config, Engine, Result, Store, UpdateDeadline, bail};
use wasmtime_wizer::{ComponentInstanceState, Wizer};

use crate::account::Account;
use crate::compiled::ModuleKind;
use crate::epoch::EpochTicker;
use crate::sandbox::component_linker;
use crate::state::State;
use crate::wasi::Streams;
use crate::{Grants, HostError, Limits, exports};

/// The export that is called. The name is the one that the tool is known by.
pub const INITIALIZE_EXPORT: &str = "wizer-initialize";

/// Longest that an initialisation may take; it happens once a module, so that it can be generous.
const LIMIT: Duration = Duration::from_secs(30);

/// What the thread is called that calls it. Linux shows 15 bytes.
const THREAD: &str = "wisp-initialize";

/// The module after its own initialisation, or nothing for modules that have none.
///
/// # Errors
/// [`HostError::Initialize`] when it fails, takes too long, or cannot be kept in a module.
pub(crate) fn initialized(name: &str, kind: ModuleKind, wasm: &[u8]) -> Result<Option<Vec<u8>>, HostError> {
    let has_export = || exports::of_component(wasm).iter().any(|export| export == INITIALIZE_EXPORT);
    if kind != ModuleKind::Component || !has_export() {
        return Ok(None);
    }
    let failed = |reason: String| HostError::Initialize { guest: name.to_owned(), reason };
    // A thread without a runtime, because whoever loads a guest may be on one that has one.
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().name(THREAD.to_owned());
        let started = thread.spawn_scoped(scope, || initialize(name, wasm));
        let started = started.map_err(|error| HostError::Engine(error.to_string()))?;
        match started.join() {
            Ok(result) => result.map(Some).map_err(|error| failed(format!("{error:#}"))),
            Err(_) => Err(failed("the tool that takes the snapshot panicked".to_owned())),
        }
    })
}

fn initialize(name: &str, wasm: &[u8]) -> Result<Vec<u8>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        match tokio::time::timeout(LIMIT, take(name, wasm)).await {
            Ok(taken) => taken,
            Err(_) => bail!("`{INITIALIZE_EXPORT}` did not end within {} s", LIMIT.as_secs()),
        }
    })
}

async fn take(name: &str, wasm: &[u8]) -> Result<Vec<u8>> {
    let mut wizer = Wizer::new();
    // The export stays: a component lifts the function of its core module by this name.
    wizer.init_func(INITIALIZE_EXPORT).keep_init_func(true);
    let (context, instrumented) = wizer.instrument_component(wasm)?;
    // Instances are not pooled here: the instrumented component has parts that no guest has.
    let engine = Engine::new(Config::new().epoch_interruption(true))?;
    let _ticker = EpochTicker::start(engine.clone())?;
    let component = Component::from_binary(&engine, &instrumented)?;
    let mut store = store(name, &engine)?;
    let instance = component_linker(&engine)?.instantiate_async(&mut store, &component).await?;
    let function = instance.get_typed_func::<(), ()>(&mut store, INITIALIZE_EXPORT)?;
    function.call_async(&mut store, ()).await?;
    wizer.snapshot_component(&context, &mut Access { store, instance }).await
}

fn store(name: &str, engine: &Engine) -> Result<Store<State>> {
    let account = Account::new(name.into(), Arc::new(Grants::default()), Limits::default(), Instant::now() + LIMIT);
    let mut store = Store::new(engine, State::new(account, Streams::Log)?);
    store.limiter(|state| &mut state.account.growth);
    store.set_epoch_deadline(1);
    store.epoch_deadline_callback(|_| Ok(UpdateDeadline::Yield(1)));
    Ok(store)
}

/// How the tool reads what an instance's memory has become.
struct Access {
    store: Store<State>,
    instance: Instance,
}

impl Access {
    async fn call<R: Lift + Send + Sync + 'static>(&mut self, interface: &str, function: &str) -> R {
        let Self { store, instance } = self;
        // The trait has no way to fail, and these are the functions that instrumenting has just added.
        let interface = instance.get_export_index(&mut *store, None, interface).expect("it was added");
        let function = instance.get_export_index(&mut *store, Some(&interface), function).expect("it was added");
        let function = instance.get_typed_func::<(), (R,)>(&mut *store, function).expect("it has this type");
        let (value,) = function.call_async(&mut *store, ()).await.expect("it reads what is there");
        value
    }
}

impl ComponentInstanceState for Access {
    async fn call_func_ret_list_u8(&mut self, interface: &str, function: &str, contents: impl FnOnce(&[u8]) + Send) {
        let list: WasmList<u8> = self.call(interface, function).await;
        contents(list.as_le_slice(&self.store));
    }

    async fn call_func_ret_s32(&mut self, interface: &str, function: &str) -> i32 {
        self.call(interface, function).await
    }

    async fn call_func_ret_s64(&mut self, interface: &str, function: &str) -> i64 {
        self.call(interface, function).await
    }

    async fn call_func_ret_f32(&mut self, interface: &str, function: &str) -> u32 {
        let value: f32 = self.call(interface, function).await;
        value.to_bits()
    }

    async fn call_func_ret_f64(&mut self, interface: &str, function: &str) -> u64 {
        let value: f64 = self.call(interface, function).await;
        value.to_bits()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_component_has_one_memory_also_while_it_is_initialised() {
        let wasm = include_bytes!("../../fuzz/corpus/module/component-of-two-memories");
        let error = initialized("guest", ModuleKind::Component, wasm).expect_err("its modules have one each");
        assert!(error.to_string().contains("memory count too high"), "{error}");
    }
}
