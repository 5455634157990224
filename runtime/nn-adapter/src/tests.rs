//! The crate's own types over a session that gives back what it gets, one tensor of every type.

use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use proptest::prelude::*;
use wasmtime_wasi_nn::backend::{BackendError, BackendInner, Id, NamedTensor as GuestNamedTensor};
use wasmtime_wasi_nn::wit::{ExecutionTarget, GraphEncoding, Tensor as GuestTensor, TensorType};
use wasmtime_wasi_nn::{ExecutionContext, GraphRegistry};
use wisp_core::{
    Axis, BackendError as SessionError, BackendId, Batch, DataType, Device, ErrorKind, Kinded, Layout, NamedTensor,
    Placement, Precision, Session, SessionInfo, Signature, TensorSpec,
};
use wisp_scheduler::{QueueConfig, Served, SessionQueue, spawn};

use crate::{AdapterError, SessionBackend, SessionRegistry, Terms};

/// Every type with the bytes of one element, in the order of the model's inputs.
const TYPES: [(TensorType, usize); 7] = [
    (TensorType::Fp16, 2),
    (TensorType::Bf16, 2),
    (TensorType::Fp32, 4),
    (TensorType::Fp64, 8),
    (TensorType::U8, 1),
    (TensorType::I32, 4),
    (TensorType::I64, 8),
];

/// Gives its inputs back.
struct Echo {
    info: SessionInfo,
    /// Each inference waits for a word first, where there is somebody to give it.
    gate: Option<Receiver<()>>,
}

impl Session for Echo {
    fn info(&self) -> &SessionInfo {
        &self.info
    }

    fn run(&mut self, batch: &Batch) -> Result<Vec<NamedTensor>, SessionError> {
        let Batch::Padded(inputs) = batch else { unreachable!("the queue takes padded rows") };
        if let Some(gate) = &self.gate {
            let _ = gate.recv();
        }
        let given = |spec: &TensorSpec| inputs.iter().find(|input| input.name == spec.name).expect("checked").clone();
        Ok(self.info.signature.outputs.iter().map(given).collect())
    }
}

fn queue(gate: Option<Receiver<()>>) -> SessionQueue {
    let spec = |data_type: DataType| TensorSpec {
        name: data_type.name().to_owned(),
        data_type,
        shape: vec![Axis::Free, Axis::Fixed(2)],
        below: None,
    };
    let specs: Vec<_> = DataType::ALL.into_iter().map(spec).collect();
    let info = SessionInfo {
        placement: Placement { backend: BackendId::Candle, device: Device::Cpu },
        precision: Precision::F32,
        signature: Signature { inputs: specs.clone(), outputs: specs },
        layouts: vec![Layout::Padded],
        fused_outputs: vec![],
        library_version: "0".to_owned(),
    };
    let served = Served { session: Box::new(Echo { info, gate }), recovery: None, processor: None };
    spawn(QueueConfig::unproven("echo"), vec![served]).expect("the system has threads")
}

fn context(gate: Option<Receiver<()>>, terms: &Terms) -> ExecutionContext {
    let registry = SessionRegistry::new([("echo".to_owned(), queue(gate))], terms);
    registry.get("echo").expect("is registered").init_execution_context().expect("costs nothing")
}

/// `rows × 2` elements whose bytes count up, so that one in a wrong place shows.
fn tensor(ty: TensorType, size: usize, rows: u32) -> GuestTensor {
    let data = (0..rows as usize * 2 * size).map(|byte| byte as u8).collect();
    GuestTensor::new(vec![rows, 2], ty, data)
}

fn inputs(rows: u32) -> Vec<GuestNamedTensor> {
    let named = |(&(ty, size), data_type): (&(TensorType, usize), DataType)| GuestNamedTensor {
        name: data_type.name().to_owned(),
        tensor: tensor(ty, size, rows),
    };
    TYPES.iter().zip(DataType::ALL).map(named).collect()
}

fn cause(error: &BackendError) -> &AdapterError {
    let BackendError::BackendAccess(error) = error else { panic!("another kind of error: {error}") };
    error.downcast_ref().expect("is ours")
}

fn kind_of<T>(result: Result<T, BackendError>) -> ErrorKind {
    match result {
        Ok(_) => panic!("must be refused"),
        Err(error) => cause(&error).kind(),
    }
}

#[test]
fn tensors_of_every_type_go_by_name_and_come_back() {
    let outputs = context(None, &Terms::default()).compute_with_io(inputs(3)).expect("fits");
    for (output, input) in outputs.iter().zip(inputs(3)) {
        assert_eq!((&output.name, &output.tensor), (&input.name, &input.tensor));
    }
    assert_eq!(outputs.len(), TYPES.len());
}

#[test]
fn tensors_of_every_type_go_one_by_one_and_come_back() {
    let mut context = context(None, &Terms::default());
    for rows in [1, 2] {
        for (index, &(ty, size)) in (0_u32..).zip(&TYPES) {
            // A later tensor takes the place of the one before, by index as by name.
            let id =
                if rows == 1 { Id::Index(index) } else { Id::Name(DataType::ALL[index as usize].name().to_owned()) };
            context.set_input(id, &tensor(ty, size, rows)).expect("fits");
        }
        context.compute().expect("fits");
        for (index, &(ty, size)) in (0_u32..).zip(&TYPES) {
            assert_eq!(context.get_output(Id::Index(index)).expect("was computed"), tensor(ty, size, rows));
        }
    }
    let named = context.get_output(Id::Name("u8".to_owned())).expect("was computed");
    assert_eq!(named, tensor(TensorType::U8, 1, 2));
}

#[test]
fn what_does_not_exist_is_refused() {
    let mut context = context(None, &Terms::default());
    let byte = tensor(TensorType::U8, 1, 1);
    for id in [Id::Index(7), Id::Index(u32::MAX), Id::Name("x".to_owned()), Id::Name(String::new())] {
        assert_eq!(kind_of(context.set_input(id, &byte)), ErrorKind::InvalidArgument);
    }
    let error = context.get_output(Id::Index(0)).expect_err("nothing was computed");
    assert!(matches!(cause(&error), AdapterError::NotComputed), "{error:?}");
    for (index, &(ty, size)) in (0_u32..).zip(&TYPES) {
        context.set_input(Id::Index(index), &tensor(ty, size, 1)).expect("fits");
    }
    context.compute().expect("fits");
    let error = context.get_output(Id::Index(7)).expect_err("there are seven");
    assert_eq!(cause(&error).to_string().split(';').next(), Some("output 7 does not exist"));
}

#[test]
fn a_failed_compute_leaves_no_outputs() {
    let mut context = context(None, &Terms::default());
    for (index, &(ty, size)) in (0_u32..).zip(&TYPES) {
        context.set_input(Id::Index(index), &tensor(ty, size, 1)).expect("fits");
    }
    context.compute().expect("fits");
    // Its bytes fit its shape, and its shape does not fit the model.
    context.set_input(Id::Index(4), &GuestTensor::new(vec![2], TensorType::U8, vec![1, 2])).expect("is a tensor");
    assert_eq!(kind_of(context.compute()), ErrorKind::InvalidArgument);
    let error = context.get_output(Id::Index(0)).expect_err("the last compute failed");
    assert!(matches!(cause(&error), AdapterError::NotComputed), "{error:?}");
}

#[test]
fn inputs_that_are_missing_or_twice_are_refused() {
    let mut context = context(None, &Terms::default());
    assert_eq!(kind_of(context.compute()), ErrorKind::InvalidArgument);
    let missing = inputs(1).into_iter().skip(1).collect();
    assert_eq!(kind_of(context.compute_with_io(missing)), ErrorKind::InvalidArgument);
    let twice = inputs(1).into_iter().chain(inputs(1).into_iter().take(1)).collect();
    assert_eq!(kind_of(context.compute_with_io(twice)), ErrorKind::InvalidArgument);
}

#[test]
fn what_takes_longer_than_the_terms_say_is_given_up() {
    let (open, gate) = channel();
    let terms = Terms { compute_limit: Duration::ZERO, ..Terms::default() };
    let mut context = context(Some(gate), &terms);
    assert_eq!(kind_of(context.compute_with_io(inputs(1))), ErrorKind::DeadlineExceeded);
    drop(open);
}

#[test]
fn a_thread_of_a_runtime_can_wait_as_often_as_it_likes() {
    // More than the runtime lets one task do before it must yield, on a runtime whose only thread is the one that waits.
    let many = || async {
        let mut context = context(None, &Terms::default());
        for _ in 0..300 {
            context.compute_with_io(inputs(1)).expect("fits");
        }
    };
    let current = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    current.block_on(many());
    let worker = tokio::runtime::Builder::new_multi_thread().worker_threads(1).build().expect("a runtime");
    worker.block_on(async { tokio::spawn(many()).await.expect("does not panic") });
}

#[test]
fn models_are_started_by_the_hosts_function() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let notes = Arc::clone(&seen);
    let load = move |_: GraphEncoding, parts: &[&[u8]], target: ExecutionTarget| {
        notes.lock().expect("never poisoned").push((parts.concat(), target));
        if target == ExecutionTarget::Cpu { Ok(queue(None)) } else { Err("this host has only a processor".into()) }
    };
    let mut backend = SessionBackend::new(GraphEncoding::Onnx, Terms::default(), Arc::new(load));
    let graph = backend.load(&[b"model"], ExecutionTarget::Cpu).expect("starts");
    graph.init_execution_context().expect("costs nothing").compute_with_io(inputs(1)).expect("fits");
    let refused = |result: Result<_, BackendError>| result.map(|_: wasmtime_wasi_nn::Graph| ()).expect_err("refused");
    let error = refused(backend.load(&[b"model"], ExecutionTarget::Gpu));
    assert_eq!(cause(&error).to_string(), "the guest's model was not started: this host has only a processor");
    assert_eq!(seen.lock().expect("never poisoned").len(), 2);

    let error = refused(backend.load(&[b"xml", b"weights"], ExecutionTarget::Cpu));
    assert!(matches!(error, BackendError::InvalidNumberOfBuilders(1, 2)), "{error}");
    let error = refused(backend.load(&[b""], ExecutionTarget::Cpu));
    assert!(matches!(cause(&error), AdapterError::EmptyModel { .. }), "{error}");
    assert_eq!(seen.lock().expect("never poisoned").len(), 2, "the function is not asked for what is no model");
    assert!(backend.as_dir_loadable().is_none());
}

#[test]
fn guests_hold_what_the_terms_allow_and_each_store_as_much() {
    // Bytes of the seven inputs, of two elements each, and of the outputs that equal them.
    let one_row: usize = TYPES.iter().map(|(_, size)| 2 * size).sum();
    let terms = Terms { context_limit: 2, tensor_limit_bytes: 2 * one_row, ..Terms::default() };
    let registry = SessionRegistry::new([("echo".to_owned(), queue(None))], &terms);
    let open = |registry: &SessionRegistry| registry.get("echo").expect("is registered").init_execution_context();
    let (mut first, mut second) = (open(&registry).expect("one of two"), open(&registry).expect("two of two"));
    assert_eq!(kind_of(open(&registry)), ErrorKind::ResourceExhausted);
    open(&registry.clone()).expect("another store");

    let fill = |context: &mut ExecutionContext| {
        let mut inputs = (0_u32..).zip(&TYPES);
        inputs.try_for_each(|(index, &(ty, size))| context.set_input(Id::Index(index), &tensor(ty, size, 1)))
    };
    fill(&mut first).expect("half of the bytes");
    fill(&mut second).expect("the other half");
    assert_eq!(kind_of(first.compute()), ErrorKind::ResourceExhausted);
    fill(&mut first).expect("each takes the place of itself");
    drop(second);
    first.compute().expect("there is room for outputs again");
    open(&registry).expect("a context was given back");
}

#[test]
fn as_many_models_are_started_as_the_terms_allow() {
    let load = |_: GraphEncoding, _: &[&[u8]], _: ExecutionTarget| Ok(queue(None));
    let terms = Terms { model_limit: 1, ..Terms::default() };
    let mut backend = SessionBackend::new(GraphEncoding::Autodetect, terms, Arc::new(load));
    let graph = backend.load(&[b"model"], ExecutionTarget::Cpu).expect("the first");
    assert_eq!(kind_of(backend.load(&[b"model"], ExecutionTarget::Cpu)), ErrorKind::ResourceExhausted);
    backend.clone().load(&[b"model"], ExecutionTarget::Cpu).expect("another store");
    drop(graph);
    backend.load(&[b"model"], ExecutionTarget::Cpu).expect("the first is gone");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_tensor_is_accepted_or_refused(
        dimensions in proptest::collection::vec(prop_oneof![0_u32..4, Just(u32::MAX)], 0..20),
        ty in 0..TYPES.len(),
        length in 0_usize..100,
        index in 0_u32..9,
    ) {
        let mut context = context(None, &Terms::default());
        let odd = GuestTensor::new(dimensions, TYPES[ty].0, vec![0; length]);
        let _ = context.set_input(Id::Index(index), &odd);
        let _ = context.compute();
        let mut given = inputs(1);
        given[ty].tensor = odd;
        let _ = context.compute_with_io(given);
        // Whatever came before, a good call is answered.
        prop_assert_eq!(context.compute_with_io(inputs(1)).expect("fits").len(), TYPES.len());
    }
}
