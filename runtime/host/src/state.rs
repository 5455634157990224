//! What the host keeps for one instance of a component.

use wasmtime::component::ResourceTable;
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};
use wasmtime_wasi_http::{WasiHttpCtx, WasiHttpCtxView, WasiHttpView};

use crate::account::Account;
use crate::http::OutgoingHttp;
use crate::wasi::{self, Streams};

/// Data of a component's store: one per request, dropped with everything in it.
pub(crate) struct State {
    pub(crate) account: Account,
    pub(crate) table: ResourceTable,
    wasi: WasiCtx,
    http: WasiHttpCtx,
    outgoing: OutgoingHttp,
}

impl State {
    /// # Errors
    /// What keeps the host from giving what was granted, such as a folder that is not there.
    pub(crate) fn new(account: Account, streams: Streams) -> std::io::Result<Self> {
        let mut table = ResourceTable::new();
        table.set_max_capacity(account.limits.handles);
        let wasi = wasi::context(&account, streams)?.build();
        let outgoing = OutgoingHttp::of(&account);
        Ok(Self { account, table, wasi, http: WasiHttpCtx::new(), outgoing })
    }
}

impl WasiView for State {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
    }
}

impl WasiHttpView for State {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        WasiHttpCtxView { hooks: &mut self.outgoing, table: &mut self.table, ctx: &mut self.http }
    }
}
