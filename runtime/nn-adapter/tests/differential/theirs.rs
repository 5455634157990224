//! Guests on a host such as another embedder of Wasmtime writes it: `wasmtime-wasi` and `wasmtime-wasi-nn`, synchronous.

use wasmtime::component::{Component, Linker as ComponentLinker, ResourceTable};
use wasmtime::{Engine, Linker, Module, Result, Store};
use wasmtime_wasi::p1::WasiP1Ctx;
use wasmtime_wasi::p2::bindings::sync::Command;
use wasmtime_wasi::p2::pipe::MemoryOutputPipe;
use wasmtime_wasi::{FsPerms, I32Exit, WasiCtx, WasiCtxBuilder, WasiCtxView, WasiView};
use wasmtime_wasi_nn::wit::WasiNnView;
use wasmtime_wasi_nn::{Backend, Registry, wit, witx};

use crate::run::{OUTPUT_LIMIT_BYTES, Output, Run};

/// What guests compute with.
pub(crate) struct Inference {
    pub(crate) backends: Vec<Backend>,
    pub(crate) registry: Registry,
}

struct ComponentState {
    wasi: WasiCtx,
    nn: wit::WasiNnCtx,
    table: ResourceTable,
}

struct ModuleState {
    wasi: WasiP1Ctx,
    nn: witx::WasiNnCtx,
}

impl WasiView for ComponentState {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
    }
}

/// Runs a component that exports `wasi:cli/run`.
pub(crate) fn run_component(run: &Run<'_>, inference: Inference) -> Output {
    let pipes = Pipes::new();
    let nn = wit::WasiNnCtx::new(inference.backends, inference.registry);
    let state = ComponentState { wasi: pipes.context(run).build(), nn, table: ResourceTable::new() };
    let call = || -> Result<i32> {
        let engine = Engine::default();
        let component = Component::new(&engine, run.wasm)?;
        let mut linker = ComponentLinker::new(&engine);
        wasmtime_wasi::p2::add_to_linker_sync(&mut linker)?;
        wit::add_to_linker(&mut linker, |state: &mut ComponentState| WasiNnView::new(&mut state.table, &mut state.nn))?;
        let mut store = Store::new(&engine, state);
        let command = Command::instantiate(&mut store, &component, &linker)?;
        Ok(i32::from(command.wasi_cli_run().call_run(&mut store)?.is_err()))
    };
    pipes.output(call())
}

/// Runs a core module with `_start`.
pub(crate) fn run_module(run: &Run<'_>, inference: Inference) -> Output {
    let pipes = Pipes::new();
    let nn = witx::WasiNnCtx::new(inference.backends, inference.registry);
    let state = ModuleState { wasi: pipes.context(run).build_p1(), nn };
    let call = || -> Result<i32> {
        let engine = Engine::default();
        let module = Module::new(&engine, run.wasm)?;
        let mut linker = Linker::new(&engine);
        wasmtime_wasi::p1::add_to_linker_sync(&mut linker, |state: &mut ModuleState| &mut state.wasi)?;
        witx::add_to_linker(&mut linker, |state: &mut ModuleState| &mut state.nn)?;
        // WasmEdge's extensions, which some guests import and the crate has not.
        linker.define_unknown_imports_as_traps(&module)?;
        let mut store = Store::new(&engine, state);
        let instance = linker.instantiate(&mut store, &module)?;
        instance.get_typed_func::<(), ()>(&mut store, "_start")?.call(&mut store, ())?;
        Ok(0)
    };
    pipes.output(call())
}

struct Pipes {
    stdout: MemoryOutputPipe,
    stderr: MemoryOutputPipe,
}

impl Pipes {
    fn new() -> Self {
        let pipe = || MemoryOutputPipe::new(OUTPUT_LIMIT_BYTES);
        Self { stdout: pipe(), stderr: pipe() }
    }

    fn context(&self, run: &Run<'_>) -> WasiCtxBuilder {
        let mut context = WasiCtxBuilder::new();
        context.stdout(self.stdout.clone()).stderr(self.stderr.clone()).args(&run.args());
        context.preopened_dir(run.folder, Run::FOLDER, FsPerms::ReadOnly).expect("the folder is there");
        context
    }

    fn output(&self, ended: Result<i32>) -> Output {
        let code = ended.or_else(|error| error.downcast_ref::<I32Exit>().map(|exit| exit.0).ok_or(error));
        let text = |pipe: &MemoryOutputPipe| String::from_utf8_lossy(&pipe.contents()).into_owned();
        Output {
            code: code.map_err(|error| format!("{error:?}")),
            stdout: text(&self.stdout),
            stderr: text(&self.stderr),
        }
    }
}
