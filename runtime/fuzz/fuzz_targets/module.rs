//! Any bytes as a guest: told apart, compiled within a time, checked, linked, and if they are a program, run.

#![no_main]

use std::panic::{set_hook, take_hook};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use tokio::runtime::{Builder, Runtime};
use wisp_host::{
    Captured, Grants, Guest, GuestKind, Host, HostConfig, Limits, Loading, ProgramCall, Streams, TensorTypes, Terms,
    kind_of,
};

/// Largest module that is compiled. Inputs are not much longer, so that the refusal is among what is tried.
const MODULE_BYTES: usize = 32 << 10;

const LIMITS: Limits = Limits {
    memory_bytes: 4 << 20,
    table_elements: 1000,
    wall: Duration::from_secs(2),
    tensor_bytes: 1 << 20,
    handles: 100,
    fuel: Some(1_000_000),
    hostcall_bytes: 64 << 10,
    log_bytes: 1 << 10,
};

/// The thread that initialises a guest, whose panics the host catches: those of the tool that takes the snapshot.
const INITIALIZES: &str = "wisp-initialize";

static HOST: LazyLock<(Host, Runtime)> = LazyLock::new(|| {
    let find = take_hook();
    set_hook(Box::new(move |panic| {
        if std::thread::current().name() != Some(INITIALIZES) {
            find(panic);
        }
    }));
    let config = HostConfig {
        max_instances: 4,
        max_memory_bytes: LIMITS.memory_bytes,
        max_table_elements: LIMITS.table_elements,
        max_module_bytes: MODULE_BYTES,
        ..HostConfig::default()
    };
    let host = Host::new(config).expect("this machine runs guests");
    (host, Builder::new_current_thread().enable_time().build().expect("a runtime"))
});

fuzz_target!(|wasm: &[u8]| {
    let (host, runtime) = &*HOST;
    let kind = kind_of("fuzzed", wasm);
    let loading = Loading { is_metered: true, compile_limit: Some(Duration::from_secs(10)), ..Loading::default() };
    let Ok(guest) = host.load_as("fuzzed", wasm, loading) else { return };
    assert!(wasm.len() <= MODULE_BYTES, "a module beyond the limit is refused");
    assert_eq!(guest.kind(), kind.expect("what can be loaded has a kind"), "both ways to tell a kind agree");
    if guest.kind() == GuestKind::Program {
        run(&guest, runtime);
    }
});

/// Runs a program to whatever end.
fn run(guest: &Guest, runtime: &Runtime) {
    let call = ProgramCall {
        terms: Terms::new("fuzzed".into(), Arc::new(Grants::default()), LIMITS),
        streams: Streams::Captured { args: Vec::new(), input: Default::default(), output: Captured::new(1 << 10) },
        tensor_types: TensorTypes::default(),
    };
    let _ = runtime.block_on(guest.run(call));
}
