//! How often a tensor is copied between a guest's memory and a session: once in, once out, and not at all in between.

use std::sync::{Arc, Mutex};

use wisp_core::{
    Axis, BackendError, BackendId, Batch, DataType, Device, Layout, NamedTensor, Placement, Precision, Session,
    SessionInfo, Signature, TensorSpec,
};
use wisp_host::{
    Captured, GrantedModel, Grants, Host, HostConfig, Limits, ModelGrant, ProgramCall, Streams, TensorTypes, Terms,
};
use wisp_scheduler::{QueueConfig, Served, spawn};

/// Where the memory of tensors lay when a session saw them.
#[derive(Clone, Default)]
struct Seen(Arc<Mutex<Vec<Addresses>>>);

#[derive(Clone, Copy, Debug)]
struct Addresses {
    input: usize,
    output: usize,
}

/// A session that gives its input back, and notes where it lay.
struct Echo {
    info: SessionInfo,
    seen: Seen,
}

impl Echo {
    fn new(seen: Seen) -> Self {
        let spec = |name: &str| TensorSpec {
            name: name.to_owned(),
            data_type: DataType::F32,
            shape: vec![Axis::Free, Axis::Free],
            below: None,
        };
        let info = SessionInfo {
            placement: Placement { backend: BackendId::Candle, device: Device::Cpu },
            precision: Precision::F32,
            signature: Signature { inputs: vec![spec("in")], outputs: vec![spec("in")] },
            layouts: vec![Layout::Padded],
            fused_outputs: vec![],
            library_version: "test".to_owned(),
        };
        Self { info, seen }
    }
}

impl Session for Echo {
    fn info(&self) -> &SessionInfo {
        &self.info
    }

    fn run(&mut self, batch: &Batch) -> Result<Vec<NamedTensor>, BackendError> {
        let Batch::Padded(inputs) = batch else { panic!("padded is the only layout of this session") };
        let output = inputs[0].clone();
        let address = |tensor: &NamedTensor| tensor.tensor.data().as_ptr() as usize;
        let addresses = Addresses { input: address(&inputs[0]), output: address(&output) };
        self.seen.0.lock().expect("no panic").push(addresses);
        Ok(vec![output])
    }
}

/// Runs `embed-nn chain` so many times through the session; gives what it printed, what was copied, and what was seen.
async fn chain(test: &str, times: u32) -> Option<(String, wisp_host::Copies, Vec<Addresses>)> {
    let wasm = std::fs::read(wisp_testing::guest(test, "embed-nn")?).expect("it was built");
    let seen = Seen::default();
    let session = Served { session: Box::new(Echo::new(seen.clone())), recovery: None, processor: None };
    let queue = spawn(QueueConfig::unproven("echo"), vec![session]).expect("a thread");
    let model = GrantedModel {
        name: "echo".to_owned(),
        queue,
        tokenizer: None,
        embedding: None,
        labels: vec![],
        max_batch_tokens: u32::MAX,
    };
    let grants = Grants::new([("echo".to_owned(), ModelGrant::from(Arc::new(model)))]);
    let host = Host::new(HostConfig { max_instances: 1, ..HostConfig::default() }).expect("an engine");
    let guest = host.load("embed-nn", &wasm).expect("is a program");
    let args = ["embed-nn", "chain", "name:echo", "in", &times.to_string()].map(str::to_owned).to_vec();
    let output = Captured::new(1 << 16);
    let streams = Streams::Captured { args, input: "".into(), output: output.clone() };
    let limits = Limits { wall: std::time::Duration::from_secs(60), ..Limits::default() };
    let terms = Terms::new("test".into(), Arc::new(grants), limits);
    let end = guest.run(ProgramCall { terms, streams, tensor_types: TensorTypes::Witx }).await.expect("runs");
    let printed = String::from_utf8_lossy(&output.stdout()).trim().to_owned();
    assert_eq!(end.code, 0, "{}", String::from_utf8_lossy(&output.stderr()));
    let seen = seen.0.lock().expect("no panic").clone();
    Some((printed, end.copies, seen))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tensor_is_copied_once_in_and_once_out_however_many_inferences_lie_between() {
    let test = "a_tensor_is_copied_once_in_and_once_out_however_many_inferences_lie_between";
    for times in [1, 2, 16] {
        let Some((printed, copies, seen)) = chain(test, times).await else { return };
        assert_eq!(printed, "499500");
        assert_eq!((copies.tensors_in, copies.bytes_in), (1, 4000));
        assert_eq!((copies.tensors_out, copies.bytes_out), (1, 4000));
        // The session reads the memory that the guest's bytes were copied into, and the next one what the last one wrote.
        assert_eq!(seen.len(), times as usize);
        for (earlier, later) in seen.iter().zip(&seen[1..]) {
            assert_eq!(earlier.output, later.input);
        }
        assert_eq!(seen[0].input % 64, 0, "aligned for every instruction set");
    }
}
