//! Guests on Wisp's own host, as `wisp run` starts them.

use bytes::Bytes;
use wisp_core::{BackendId, Device, Placement};
use wisp_engine::{Captured, DirConfig, GrantsConfig, GuestLimits, Program, ProgramConfig, Streams, TensorTypes};
use wisp_model_store::{NoProgress, Store};

use crate::run::{OUTPUT_LIMIT_BYTES, Output, Run};

/// Runs a component or a core module that brings its model as bytes; it is started on OpenVINO.
pub(crate) fn run(run: &Run<'_>, store: &Store) -> Output {
    let config = ProgramConfig {
        name: "guest".to_owned(),
        grants: GrantsConfig {
            dirs: vec![DirConfig { host: run.folder.to_owned(), guest: Run::FOLDER.to_owned() }],
            load: vec![Placement { backend: BackendId::OpenVino, device: Device::Cpu }],
            ..GrantsConfig::default()
        },
        // Room for a file of weights of 90 MB, and time for the slowest machine to compile it.
        limits: GuestLimits { memory_bytes: 512 << 20, wall_ms: 120_000, ..GuestLimits::default() },
        ..ProgramConfig::default()
    };
    let program = Program::load(&config, run.wasm, store, &NoProgress).unwrap_or_else(|error| panic!("{error}"));
    let output = Captured::new(OUTPUT_LIMIT_BYTES);
    let streams = Streams::Captured { args: run.args(), input: Bytes::new(), output: output.clone() };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    let ended = runtime.block_on(program.run(streams, TensorTypes::Witx));
    Output {
        code: ended.map(|end| end.code).map_err(|error| error.to_string()),
        stdout: String::from_utf8_lossy(&output.stdout()).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr()).into_owned(),
    }
}
