//! Growth: what an inference costs on its way through the queue while many others wait, of one tenant or of many.
//!
//! `cargo bench -p wisp-benches --bench growth`

#![forbid(unsafe_code)]

use std::collections::BTreeMap;
use std::sync::mpsc::{Receiver, Sender, channel};

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use tokio::runtime::Runtime;
use tokio::task::JoinSet;
use wisp_core::{
    Axis, BackendError, BackendId, Batch, DataType, Device, Layout, NamedTensor, Placement, Precision, Ragged, Session,
    SessionInfo, Signature, Tensor, TensorSpec,
};
use wisp_scheduler::{BatchRules, Caller, Cost, QueueConfig, Served, SessionQueue, Tenant, spawn};

/// Entries that wait all the time.
const WAITING: [usize; 5] = [1, 10, 100, 1_000, 10_000];

/// Tenants that have entries among them, beside one alone.
const TENANTS: [usize; 2] = [10, 100];

/// Entries that a batch takes where rows meet.
const BATCH: usize = 16;

/// Lengths of rows: short ones, and some that do not fit among them.
const LENGTHS: [usize; 4] = [12, 16, 16, 60];

/// An inference costs what twenty tokens do; it is never run for real.
const COST: Cost = Cost { fixed_us: 2500.0, per_token_us: 130.0, per_pair_us: 0.06 };

/// Gives its input back, once for each time that it is told to.
struct Told {
    info: SessionInfo,
    steps: Receiver<()>,
}

impl Session for Told {
    fn info(&self) -> &SessionInfo {
        &self.info
    }

    fn run(&mut self, batch: &Batch) -> Result<Vec<NamedTensor>, BackendError> {
        let Batch::Padded(inputs) = batch else { return Err(BackendError::Cancelled) };
        // Nobody tells it any more when the benchmark is over.
        self.steps.recv().map_err(|_| BackendError::Cancelled)?;
        let x = inputs.iter().find(|input| input.name == "x").ok_or(BackendError::Cancelled)?;
        Ok(vec![NamedTensor::new("y", x.tensor.clone())])
    }
}

/// A queue in which so many entries wait for a session that is told what to do.
struct Line {
    runtime: Runtime,
    queue: SessionQueue,
    steps: Sender<()>,
    asked: JoinSet<bool>,
    callers: Vec<Caller>,
    next: usize,
    answered: usize,
}

impl Line {
    fn new(waiting: usize, tenants: usize, rules: BatchRules) -> anyhow::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
        let (steps, receiver) = channel();
        let session = Box::new(Told { info: info(), steps: receiver });
        let config = QueueConfig { rules, cost: Some(COST), ..QueueConfig::unproven("growth") };
        let queue = spawn(config, vec![Served { session, recovery: None, processor: None }])?;
        let tenant = |number| Tenant::new(format!("t{number}"), 1.0, usize::MAX);
        let callers = (0..tenants).map(|number| Caller { tenant: tenant(number), ..Caller::default() }).collect();
        let mut line = Self { runtime, queue, steps, asked: JoinSet::new(), callers, next: 0, answered: 0 };
        // The session learns from two lengths, one after the other, that its output follows them.
        for length in [LENGTHS[0], LENGTHS[3]] {
            line.ask(length)?;
            line.answer_all_but(0)?;
        }
        for index in 0..waiting {
            line.ask(LENGTHS[index % LENGTHS.len()])?;
        }
        Ok(line)
    }

    fn ask(&mut self, length: usize) -> anyhow::Result<()> {
        let tensor = |value: i64| Tensor::from_slice(&[1, length], &vec![value; length]);
        let inputs = vec![NamedTensor::new("x", tensor(7)?), NamedTensor::new("mask", tensor(1)?)];
        let (queue, caller) = (self.queue.clone(), self.callers[self.next % self.callers.len()].clone());
        self.next += 1;
        let infer = async move { queue.infer(inputs, &caller, None, None).await.is_ok() };
        self.asked.spawn_on(infer, self.runtime.handle());
        Ok(())
    }

    /// Lets inferences run until no more than so many entries wait.
    fn answer_all_but(&mut self, waiting: usize) -> anyhow::Result<()> {
        while self.next - self.answered > waiting {
            self.steps.send(())?;
            // The entries of one inference are answered one right after the other.
            let mut done = self.runtime.block_on(self.asked.join_next());
            while let Some(answer) = done {
                anyhow::ensure!(answer?, "an entry was not answered");
                self.answered += 1;
                done = self.asked.try_join_next();
            }
        }
        Ok(())
    }

    /// So many more entries come, and as many are answered.
    fn turn(&mut self, count: usize, waiting: usize) -> anyhow::Result<()> {
        for index in 0..count {
            self.ask(LENGTHS[index % LENGTHS.len()])?;
        }
        self.answer_all_but(waiting)
    }
}

fn info() -> SessionInfo {
    let spec = |name: &str| TensorSpec {
        name: name.to_owned(),
        data_type: DataType::I64,
        shape: vec![Axis::Free, Axis::Free],
        below: None,
    };
    SessionInfo {
        placement: Placement { backend: BackendId::Candle, device: Device::Cpu },
        precision: Precision::F32,
        signature: Signature { inputs: vec![spec("x"), spec("mask")], outputs: vec![spec("y")] },
        layouts: vec![Layout::Padded],
        fused_outputs: vec![],
        library_version: "0".to_owned(),
    }
}

/// Rows meet in batches of [`BATCH`].
fn shared() -> BatchRules {
    let pad_values = BTreeMap::from([("x".to_owned(), 0.0), ("mask".to_owned(), 0.0)]);
    BatchRules {
        shares_rows: true,
        pads_rows: true,
        ragged: Some(Ragged { axis: 1, mask_input: "mask".to_owned(), pad_values }),
        max_rows: BATCH,
        max_tokens: 4096,
        ..BatchRules::unproven()
    }
}

fn growth(criterion: &mut Criterion) {
    for (name, rules, count) in [("alone", BatchRules::unproven(), 1), ("shared", shared(), BATCH)] {
        let mut group = criterion.benchmark_group(format!("an entry through the queue, {name}"));
        group.throughput(Throughput::Elements(count as u64));
        let shapes = WAITING.map(|waiting| (waiting, 1)).into_iter().chain(TENANTS.map(|tenants| (1_000, tenants)));
        for (waiting, tenants) in shapes {
            let mut line = Line::new(waiting, tenants, rules.clone()).expect("the queue takes what it is given");
            let id = BenchmarkId::new(format!("{tenants} tenants"), format!("{waiting} waiting"));
            group.bench_function(id, |bencher| {
                bencher.iter(|| line.turn(count, waiting).expect("every entry is answered"));
            });
        }
        group.finish();
    }
}

criterion_group!(benches, growth);
criterion_main!(benches);
