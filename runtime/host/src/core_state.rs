//! What the host keeps for one instance of a core module.

use wasmtime_wasi::p1::WasiP1Ctx;

use crate::account::Account;
use crate::wasi::{self, Streams};
use crate::witx::{Handles, TensorTypes};

/// Data of a core module's store: one per run, dropped with everything in it.
pub(crate) struct CoreState {
    pub(crate) account: Account,
    pub(crate) wasi: WasiP1Ctx,
    pub(crate) handles: Handles,
    pub(crate) tensor_types: TensorTypes,
    /// Failures that went to the log.
    pub(crate) told: u32,
}

impl CoreState {
    /// # Errors
    /// What keeps the host from giving what was granted, such as a folder that is not there.
    pub(crate) fn new(account: Account, streams: Streams, tensor_types: TensorTypes) -> std::io::Result<Self> {
        let wasi = wasi::context(&account, streams)?.build_p1();
        let handles = Handles::within(account.limits.handles);
        Ok(Self { account, wasi, handles, tensor_types, told: 0 })
    }
}
