//! A guest that plays scripts, and what must hold after each of them.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::runtime::{Builder, Runtime};
use wisp_host::{
    CallError, Captured, GrantedModel, Grants, Guest, Host, HostConfig, Limits, Loading, ModelGrant, Outside,
    ProgramCall, Streams, TensorTypes, Terms,
};
use wisp_scheduler::{QueueConfig, Served, spawn};

use crate::echo::EchoSession;
use crate::loader::EchoLoader;
use crate::memory;

/// Bounds that a script of some hundred bytes reaches.
const LIMITS: Limits = Limits {
    memory_bytes: 4 << 20,
    table_elements: 1000,
    // Fuel ends a guest that computes; this ends one that makes the host compute.
    wall: Duration::from_secs(2),
    tensor_bytes: 1 << 20,
    handles: 200,
    fuel: Some(2_000_000),
    hostcall_bytes: 256 << 10,
    log_bytes: 1 << 10,
};

/// What a good script has: all the time that a busy machine may need.
const PATIENT: Limits = Limits { wall: Duration::from_secs(60), ..LIMITS };

/// What a guest may print.
const PRINTED_BYTES: usize = 1 << 16;

/// A guest, what it is granted, and a script whose end is known.
///
/// `echo` is granted whole; of `few` a guest may compute one row at once. Models from memory are granted.
pub struct Stage {
    runtime: Runtime,
    guest: Guest,
    grants: Arc<Grants>,
    echo: Arc<GrantedModel>,
    /// Handles on the model while no guest runs.
    held: usize,
    good: Vec<u8>,
    printed: Vec<u8>,
}

impl Stage {
    /// Loads `target/guests/<guest>.wasm`. `good` is a script that computes with the model `echo` and prints `printed`.
    ///
    /// # Panics
    /// When the guest is not built, or the good script does not do what it should.
    #[must_use]
    pub fn new(guest: &str, good: Vec<u8>, printed: Vec<u8>) -> Self {
        let path = format!("{}/../../target/guests/{guest}.wasm", env!("CARGO_MANIFEST_DIR"));
        let wasm = std::fs::read(&path)
            .unwrap_or_else(|error| panic!("{path} cannot be read ({error}); build the guests: cargo xtask guests"));
        let config = HostConfig {
            max_instances: 4,
            max_memory_bytes: LIMITS.memory_bytes,
            max_table_elements: LIMITS.table_elements,
            ..HostConfig::default()
        };
        let host = Host::new(config).expect("this machine runs guests");
        let loading = Loading { is_metered: true, ..Loading::default() };
        let guest = host.load_as(guest, &wasm, loading).expect("the guest fits the host");
        let echo = Arc::new(echo());
        let grants = Arc::new(grants(&echo));
        let runtime = Builder::new_current_thread().enable_time().build().expect("a runtime");
        let held = Arc::strong_count(&echo);
        let stage = Self { runtime, guest, grants, echo, held, good, printed };
        // Once before memory is bounded, so that what is made at first use is not counted as a script's.
        stage.check();
        memory::bound();
        stage
    }

    /// Plays a script. However it ends, the same guest and model then do what they should, and nothing is left behind.
    pub fn play(&self, script: &[u8]) {
        // An end is as good as another; that there is one, is the point.
        let _ = self.run(Bytes::copy_from_slice(script), LIMITS);
        assert_eq!(Arc::strong_count(&self.echo), self.held, "handles on the model outlive their instance");
        assert_eq!(self.echo.queue.queued(), 0, "an inference outlives its caller");
        self.check();
    }

    fn check(&self) {
        let (code, printed) = self.run(self.good.clone().into(), PATIENT).expect("a good script runs");
        assert_eq!((code, printed), (0, self.printed.clone().into()), "a good script prints what the model answers");
    }

    fn run(&self, script: Bytes, limits: Limits) -> Result<(i32, Bytes), CallError> {
        let output = Captured::new(PRINTED_BYTES);
        let call = ProgramCall {
            terms: Terms::new("fuzzed".into(), Arc::clone(&self.grants), limits),
            streams: Streams::Captured { args: vec!["guest".to_owned()], input: script, output: output.clone() },
            tensor_types: TensorTypes::default(),
        };
        let end = self.runtime.block_on(self.guest.run(call))?;
        Ok((end.code, output.stdout()))
    }
}

fn echo() -> GrantedModel {
    let served = Served { session: Box::new(EchoSession::new()), recovery: None, processor: None };
    GrantedModel {
        name: "echo".to_owned(),
        queue: spawn(QueueConfig::unproven("echo"), vec![served]).expect("a thread"),
        tokenizer: None,
        embedding: None,
        labels: Vec::new(),
        max_batch_tokens: 1000,
    }
}

fn grants(echo: &Arc<GrantedModel>) -> Grants {
    let few = ModelGrant { max_rows: Some(1), ..Arc::clone(echo).into() };
    let loader = EchoLoader { echo: Arc::clone(echo), limit_bytes: LIMITS.hostcall_bytes };
    let outside = Outside { loader: Some(Arc::new(loader)), ..Outside::default() };
    let models = [("echo".to_owned(), Arc::clone(echo).into()), ("few".to_owned(), few)];
    Grants::new(models).with_outside(outside)
}
