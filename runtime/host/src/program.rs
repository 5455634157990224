//! Programs: components that export `wasi:cli/run`, and core modules with `_start`.

use std::sync::Arc;

use tokio::time::error::Elapsed;
use tokio::time::{Instant, timeout_at};
use wasmtime::{InstancePre, Store};
use wasmtime_wasi::I32Exit;
use wasmtime_wasi::p2::bindings::CommandPre;

use crate::call::late;
use crate::core_state::CoreState;
use crate::error::CallError;
use crate::guest::{HasAccount, Shape};
use crate::state::State;
use crate::terms::{End, Terms};
use crate::wasi::Streams;
use crate::{CallTimes, Copies, Guest, TensorTypes};

/// A run of a program.
#[derive(Debug)]
pub struct ProgramCall {
    /// The terms.
    pub terms: Terms,
    /// Its standard streams, and its arguments.
    pub streams: Streams,
    /// Which numbers a core module gives to element types.
    pub tensor_types: TensorTypes,
}

/// How a program ended.
#[derive(Clone, Debug)]
pub struct ProgramEnd {
    /// Its exit code; 0 for success.
    pub code: i32,
    /// Where the time went.
    pub times: CallTimes,
    /// Tensors that went into its memory or came out of it.
    pub copies: Copies,
}

impl Guest {
    /// Runs a program to its end. Dropping the future ends it.
    ///
    /// # Errors
    /// [`CallError`] when it breaks off; an exit code of its own is none.
    pub async fn run(&self, call: ProgramCall) -> Result<ProgramEnd, CallError> {
        let ProgramCall { terms, streams, tensor_types } = call;
        let started_at = Instant::now();
        let end = terms.end(started_at);
        let account = terms.open(self, end);
        let deployment = Arc::clone(&account.deployment);
        let granting = |error: std::io::Error| CallError::granting(&deployment, &error);
        let _running = self.loaded.ticker.run();
        match &self.loaded.shape {
            Shape::Command(command) => {
                let mut store = self.loaded.store(State::new(account, streams).map_err(granting)?);
                let ended = timeout_at(end.at, run_command(command, &mut store)).await;
                self.ended(ended, &mut store, started_at, end)
            }
            Shape::Core(module) => {
                let mut store = self.loaded.store(CoreState::new(account, streams, tensor_types).map_err(granting)?);
                let ended = timeout_at(end.at, run_module(module, &mut store)).await;
                self.ended(ended, &mut store, started_at, end)
            }
            Shape::Embedder(_) | Shape::Classifier(_) | Shape::Http(_) => {
                Err(self.wrong_kind(&account, "runs as a program"))
            }
        }
    }

    fn ended<T: HasAccount>(
        &self,
        ended: Result<wasmtime::Result<i32>, Elapsed>,
        store: &mut Store<T>,
        started_at: Instant,
        end: End,
    ) -> Result<ProgramEnd, CallError> {
        let account = store.data_mut().account();
        account.times.total = started_at.elapsed();
        let code = match ended {
            Ok(Ok(code)) => code,
            Ok(Err(error)) => match error.downcast_ref::<I32Exit>() {
                Some(exit) => exit.0,
                None => return Err(self.explain(&error, account)),
            },
            Err(_) => return Err(late(account, end.is_wall)),
        };
        Ok(ProgramEnd { code, times: account.times, copies: account.copies })
    }
}

async fn run_command(command: &CommandPre<State>, store: &mut Store<State>) -> wasmtime::Result<i32> {
    let started_at = Instant::now();
    let instance = command.instantiate_async(&mut *store).await?;
    store.data_mut().account.times.instantiate = started_at.elapsed();
    let ended = instance.wasi_cli_run().call_run(store).await?;
    Ok(i32::from(ended.is_err()))
}

async fn run_module(module: &InstancePre<CoreState>, store: &mut Store<CoreState>) -> wasmtime::Result<i32> {
    let started_at = Instant::now();
    let instance = module.instantiate_async(&mut *store).await?;
    store.data_mut().account.times.instantiate = started_at.elapsed();
    let start = instance.get_typed_func::<(), ()>(&mut *store, "_start")?;
    start.call_async(store, ()).await?;
    Ok(0)
}
