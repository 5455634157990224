//! A session that does what a test tells it, and the queue in front of it.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};

use wisp_core::{
    Axis, BackendError, BackendId, Batch, Cancel, DataType, Device, Layout, NamedTensor, Placement, Precision, Session,
    SessionInfo, Signature, Tensor, TensorSpec,
};

use crate::cost::{Cost, CostModel};
pub(super) use crate::rules::tests::proven;
use crate::worker::spawn_with;
use crate::{BatchRules, Caller, QueueConfig, QueueLimits, Recovery, ScheduleError, Served, SessionQueue};

/// What the driven session does with an inference.
pub(super) enum Step {
    /// Gives the values back, twice as large.
    Answer,
    Fail,
    Panic,
    /// Waits until it is cancelled.
    Hang,
    /// Waits until the test says so, whatever is cancelled; then answers.
    Stuck(Receiver<()>),
}

/// An inference takes a second, however large: what waits together is cheapest together.
pub(super) const COST: Cost = Cost { fixed_us: 1e6, per_token_us: 0.0, per_pair_us: 0.0 };

/// Rows that make the session fail whatever it was told.
pub(super) const POISON: i64 = 666;

/// Answers `y = 2 x` for rows of integers, with a second output `count` of the rows' sums.
pub(super) struct DrivenSession {
    info: SessionInfo,
    steps: Receiver<Step>,
    started: Sender<Vec<usize>>,
    cancelled: Arc<CancelFlag>,
    cancellations: Receiver<()>,
}

struct CancelFlag(Mutex<Sender<()>>);

impl Cancel for CancelFlag {
    fn cancel(&self) {
        self.0.lock().expect("never poisoned").send(()).expect("the session outlives the test");
    }
}

impl Session for DrivenSession {
    fn info(&self) -> &SessionInfo {
        &self.info
    }

    fn run(&mut self, batch: &Batch) -> Result<Vec<NamedTensor>, BackendError> {
        let Batch::Padded(inputs) = batch else { unreachable!("the queue takes padded rows") };
        let x = inputs.iter().find(|input| input.name == "x").expect("checked");
        let _ = self.started.send(x.tensor.shape().to_vec());
        let step = self.steps.recv().expect("the test gives a step for every inference");
        let values = x.tensor.view::<i64>().expect("checked");
        let failed = || BackendError::Run { backend: BackendId::Candle, reason: "told to".to_owned() };
        match step {
            Step::Fail => return Err(failed()),
            Step::Panic => panic!("told to"),
            Step::Hang => {
                self.cancellations.recv().expect("the flag lives in the session");
                return Err(BackendError::Cancelled);
            }
            Step::Stuck(end) => drop(end.recv()),
            Step::Answer => {}
        }
        if values.contains(&POISON) {
            return Err(failed());
        }
        let doubled: Vec<i64> = values.iter().map(|value| 2 * value).collect();
        let (rows, length) = (x.tensor.shape()[0], x.tensor.shape()[1]);
        let sums: Vec<i64> = values.chunks(length).map(|row| row.iter().sum()).collect();
        let y = Tensor::from_slice(x.tensor.shape(), &doubled).expect("fits");
        let sum = Tensor::from_slice(&[rows, 1], &sums).expect("fits");
        Ok(vec![NamedTensor::new("y", y), NamedTensor::new("sum", sum)])
    }

    fn canceller(&self) -> Option<Arc<dyn Cancel>> {
        Some(self.cancelled.clone())
    }
}

/// A queue before a driven session.
pub(super) struct Driver {
    pub(super) queue: SessionQueue,
    pub(super) steps: Sender<Step>,
    /// Shape of each inference that starts.
    pub(super) started: Receiver<Vec<usize>>,
}

/// A session, the steps that it is told, and a sign of each inference that starts.
pub(super) fn driven() -> (DrivenSession, Sender<Step>, Receiver<Vec<usize>>) {
    let (steps, step_receiver) = channel();
    let (started_sender, started) = channel();
    let (cancel_sender, cancellations) = channel();
    let spec = |name: &str, second| TensorSpec {
        name: name.to_owned(),
        data_type: DataType::I64,
        shape: vec![Axis::Free, second],
        below: None,
    };
    let session = DrivenSession {
        info: SessionInfo {
            placement: Placement { backend: BackendId::Candle, device: Device::Cpu },
            precision: Precision::F32,
            signature: Signature {
                inputs: vec![spec("x", Axis::Free), spec("mask", Axis::Free)],
                outputs: vec![spec("y", Axis::Free), spec("sum", Axis::Free)],
            },
            layouts: vec![Layout::Padded],
            fused_outputs: vec![],
            library_version: "0".to_owned(),
        },
        steps: step_receiver,
        started: started_sender,
        cancelled: Arc::new(CancelFlag(Mutex::new(cancel_sender))),
        cancellations,
    };
    (session, steps, started)
}

pub(super) fn drive(rules: BatchRules) -> Driver {
    drive_with(rules, QueueLimits::default(), None)
}

pub(super) fn drive_with(rules: BatchRules, limits: QueueLimits, recovery: Option<Recovery>) -> Driver {
    drive_at(COST, rules, limits, recovery)
}

pub(super) fn drive_at(cost: Cost, rules: BatchRules, limits: QueueLimits, recovery: Option<Recovery>) -> Driver {
    let (session, steps, started) = driven();
    let config = QueueConfig { rules, limits, ..QueueConfig::unproven("driven") };
    let sessions = vec![Served { session: Box::new(session), recovery, processor: None }];
    let queue = spawn_with(config, sessions, CostModel::fixed(cost)).expect("a thread");
    Driver { queue, steps, started }
}

/// One row of these values.
pub(super) fn row(values: &[i64]) -> Vec<NamedTensor> {
    rows(&[values])
}

/// Rows of equal length.
pub(super) fn rows(rows: &[&[i64]]) -> Vec<NamedTensor> {
    let shape = [rows.len(), rows[0].len()];
    let mask = vec![1_i64; shape[0] * shape[1]];
    vec![
        NamedTensor::new("x", Tensor::from_slice(&shape, &rows.concat()).expect("fits")),
        NamedTensor::new("mask", Tensor::from_slice(&shape, &mask).expect("fits")),
    ]
}

/// The values of the first output.
pub(super) type Answered = Result<Vec<i64>, ScheduleError>;

impl Driver {
    pub(super) fn steps(&self, steps: impl IntoIterator<Item = Step>) {
        steps.into_iter().for_each(|step| self.steps.send(step).expect("open"));
    }

    /// Asks for an inference in the background.
    pub(super) fn ask(&self, inputs: Vec<NamedTensor>) -> tokio::task::JoinHandle<Answered> {
        let queue = self.queue.clone();
        tokio::spawn(async move { ask(&queue, inputs).await })
    }

    /// Puts one inference into the session and returns when it runs there: what is asked for now waits together.
    pub(super) async fn occupied(&self) -> tokio::task::JoinHandle<Answered> {
        let running = self.ask(row(&[1, 1]));
        tokio::task::yield_now().await;
        self.started.recv().expect("the first inference runs");
        running
    }

    /// Lets entries reach the queue until so many wait.
    pub(super) async fn until_queued(&self, count: usize) {
        while self.queue.queued() != count {
            tokio::task::yield_now().await;
        }
    }
}

pub(super) async fn ask(queue: &SessionQueue, inputs: Vec<NamedTensor>) -> Answered {
    let inferred = queue.infer(inputs, &Caller::default(), None, None).await?;
    Ok(inferred.outputs[0].tensor.view::<i64>().expect("i64").to_vec())
}
