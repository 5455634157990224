//! The queue and its worker with a session that the test drives.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::time::Instant;
use wisp_core::{
    BackendError, BackendId, Batch, Cancel, DataType, Device, ErrorKind, Kinded, Layout, NamedTensor, Placement,
    Precision, Session, SessionInfo, Signature, Tensor, TensorSpec,
};

use crate::{HealthState, QueueLimits, Recovery, ScheduleError, SessionQueue, spawn};

/// What the driven session does with an inference.
enum Step {
    Answer,
    Fail,
    Panic,
    /// Waits until it is cancelled.
    Hang,
}

struct DrivenSession {
    info: SessionInfo,
    steps: Receiver<Step>,
    started: Sender<()>,
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
        let _ = self.started.send(());
        match self.steps.recv().expect("the test gives a step for every inference") {
            Step::Answer => match batch {
                Batch::Padded(inputs) => Ok(inputs.clone()),
                Batch::Packed(packed) => Ok(packed.inputs.clone()),
            },
            Step::Fail => Err(BackendError::Run { backend: BackendId::Candle, reason: "told to".to_owned() }),
            Step::Panic => panic!("told to"),
            Step::Hang => {
                self.cancellations.recv().expect("the flag lives in the session");
                Err(BackendError::Cancelled)
            }
        }
    }

    fn canceller(&self) -> Option<Arc<dyn Cancel>> {
        Some(self.cancelled.clone())
    }
}

struct Driver {
    queue: SessionQueue,
    steps: Sender<Step>,
    started: Receiver<()>,
}

/// A session, the steps that it is told, and a sign of each inference that starts.
fn driven() -> (DrivenSession, Sender<Step>, Receiver<()>) {
    let (steps, step_receiver) = channel();
    let (started_sender, started) = channel();
    let (cancel_sender, cancellations) = channel();
    let spec =
        TensorSpec { name: "x".to_owned(), data_type: DataType::F32, shape: vec![wisp_core::Axis::Free], below: None };
    let session = DrivenSession {
        info: SessionInfo {
            placement: Placement { backend: BackendId::Candle, device: Device::Cpu },
            precision: Precision::F32,
            signature: Signature { inputs: vec![spec.clone()], outputs: vec![spec] },
            layouts: vec![Layout::Padded],
            fused_outputs: Vec::new(),
            library_version: String::new(),
        },
        steps: step_receiver,
        started: started_sender,
        cancelled: Arc::new(CancelFlag(Mutex::new(cancel_sender))),
        cancellations,
    };
    (session, steps, started)
}

fn drive(max_queued: usize) -> Driver {
    drive_with(max_queued, None)
}

fn drive_with(max_queued: usize, recovery: Option<Recovery>) -> Driver {
    let (session, steps, started) = driven();
    let queue = spawn("driven", Box::new(session), QueueLimits { max_queued }, recovery).expect("a thread");
    Driver { queue, steps, started }
}

fn batch(value: f32) -> Batch {
    Batch::Padded(vec![NamedTensor::new("x", Tensor::from_slice(&[1], &[value]).expect("fits"))])
}

#[tokio::test]
async fn answers_go_to_the_caller_that_asked() {
    let driver = drive(8);
    driver.steps.send(Step::Answer).expect("open");
    driver.steps.send(Step::Answer).expect("open");
    let (a, b) = tokio::join!(driver.queue.infer(batch(1.0), None), driver.queue.infer(batch(2.0), None));
    let value = |inferred: &crate::Inferred| inferred.outputs[0].tensor.view::<f32>().expect("f32")[0];
    assert_eq!((value(&a.expect("answered")), value(&b.expect("answered"))), (1.0, 2.0));
}

#[tokio::test]
async fn a_failure_or_panic_leaves_the_queue_in_service() {
    let driver = drive(8);
    driver.steps.send(Step::Fail).expect("open");
    driver.steps.send(Step::Panic).expect("open");
    driver.steps.send(Step::Answer).expect("open");
    let failed = driver.queue.infer(batch(1.0), None).await.expect_err("was told to fail");
    assert_eq!(failed.to_string(), "backend `candle` failed: told to");
    let panicked = driver.queue.infer(batch(1.0), None).await.expect_err("was told to panic");
    assert!(matches!(panicked, ScheduleError::Panicked { .. }));
    driver.queue.infer(batch(1.0), None).await.expect("in service");
}

#[tokio::test]
async fn inputs_that_do_not_fit_the_signature_never_reach_the_session() {
    let driver = drive(8);
    let wrong = Batch::Padded(vec![NamedTensor::new("y", Tensor::from_slice(&[1], &[1.0_f32]).expect("fits"))]);
    let error = driver.queue.infer(wrong, None).await.expect_err("there is no input y");
    assert_eq!(error.kind(), ErrorKind::InvalidArgument);
    assert!(driver.started.try_recv().is_err());
}

#[tokio::test]
async fn what_would_be_late_is_refused_at_once_and_names_the_wait() {
    let driver = drive(8);
    let queue = driver.queue.clone();
    let running = tokio::spawn(async move { queue.infer(batch(1.0), None).await.map(|_| ()) });
    tokio::task::yield_now().await;
    driver.started.recv().expect("the first inference runs");
    driver.queue.shared.running.load.record(Duration::from_secs(60));
    let deadline = Instant::now() + Duration::from_secs(100);
    let refused = driver.queue.infer(batch(2.0), Some(deadline)).await.expect_err("would take 120 s");
    assert_eq!(refused.kind(), ErrorKind::ResourceExhausted);
    assert!(matches!(refused, ScheduleError::Overloaded { queued: 1, wait, .. } if wait.as_secs() == 120), "{refused}");
    driver.steps.send(Step::Answer).expect("open");
    running.await.expect("no panic").expect("answered");
    driver.steps.send(Step::Answer).expect("open");
    driver.queue.infer(batch(2.0), Some(deadline)).await.expect("an idle session refuses nobody");
}

#[tokio::test]
async fn a_full_queue_refuses_at_once() {
    let driver = drive(1);
    let queue = driver.queue.clone();
    let running = tokio::spawn(async move { queue.infer(batch(1.0), None).await.map(|_| ()) });
    tokio::task::yield_now().await;
    driver.started.recv().expect("the first inference runs");
    let queue = driver.queue.clone();
    let waiting = tokio::spawn(async move { queue.infer(batch(2.0), None).await.map(|_| ()) });
    tokio::task::yield_now().await;
    let refused = driver.queue.infer(batch(3.0), None).await.expect_err("one runs and one waits");
    assert_eq!(refused.kind(), ErrorKind::ResourceExhausted);
    driver.steps.send(Step::Answer).expect("open");
    driver.steps.send(Step::Answer).expect("open");
    running.await.expect("no panic").expect("answered");
    waiting.await.expect("no panic").expect("answered");
}

#[tokio::test]
async fn a_deadline_cancels_the_running_inference() {
    let driver = drive(8);
    driver.steps.send(Step::Hang).expect("open");
    let deadline = Instant::now() + Duration::from_millis(20);
    let error = driver.queue.infer(batch(1.0), Some(deadline)).await.expect_err("hangs");
    assert_eq!(error.kind(), ErrorKind::DeadlineExceeded);
    driver.steps.send(Step::Answer).expect("open");
    driver.queue.infer(batch(1.0), None).await.expect("the worker is free again");
}

#[tokio::test]
async fn an_entry_whose_caller_left_is_never_run() {
    let driver = drive(8);
    let queue = driver.queue.clone();
    let first = tokio::spawn(async move { queue.infer(batch(1.0), None).await.map(|_| ()) });
    tokio::task::yield_now().await;
    driver.started.recv().expect("the first inference runs");
    let queue = driver.queue.clone();
    let second = tokio::spawn(async move { queue.infer(batch(2.0), None).await.map(|_| ()) });
    tokio::task::yield_now().await;
    second.abort();
    assert!(second.await.expect_err("aborted").is_cancelled());
    driver.steps.send(Step::Answer).expect("open");
    first.await.expect("no panic").expect("answered");
    driver.steps.send(Step::Answer).expect("open");
    driver.queue.infer(batch(3.0), None).await.expect("answered");
    // Two runs were started in all: the first and the last.
    driver.started.recv().expect("the last inference ran");
    assert!(driver.started.try_recv().is_err());
}

/// A recovery whose canary is right as soon as it is answered; `reopen` gives what the test says.
fn recovery(reopen: impl FnMut() -> Result<Box<dyn Session>, String> + Send + 'static) -> Recovery {
    Recovery { canary: batch(7.0), check: Box::new(|_| Ok(())), reopen: Box::new(reopen) }
}

/// Waits until the worker has written down what the test expects.
async fn until(queue: &SessionQueue, is_expected: impl Fn(&HealthState) -> bool) {
    while !is_expected(&queue.health()) {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn a_failure_of_one_request_does_not_take_a_session_out_of_service() {
    let driver = drive_with(8, Some(recovery(|| Err("is never asked for".to_owned()))));
    for step in [Step::Fail, Step::Answer, Step::Answer] {
        driver.steps.send(step).expect("open");
    }
    driver.queue.infer(batch(1.0), None).await.expect_err("was told to fail");
    // The second step answers the canary, the third this request.
    driver.queue.infer(batch(2.0), None).await.expect("in service");
    assert_eq!(driver.queue.health(), HealthState::Healthy);
}

#[tokio::test]
async fn a_session_that_fails_its_canary_is_refused_at_once_and_comes_back_when_it_can_be_opened() {
    let (session, steps, _started) = driven();
    let mut sessions = vec![Ok(Box::new(session) as Box<dyn Session>), Err("still gone".to_owned())];
    let driver = drive_with(8, Some(recovery(move || sessions.pop().unwrap_or_else(|| Err("no more".to_owned())))));
    driver.steps.send(Step::Fail).expect("open");
    driver.steps.send(Step::Panic).expect("open");
    driver.queue.infer(batch(1.0), None).await.expect_err("was told to fail");
    until(&driver.queue, |health| *health != HealthState::Healthy).await;
    let refused = driver.queue.infer(batch(2.0), None).await.expect_err("is out of service");
    assert_eq!(refused.kind(), ErrorKind::Unavailable);
    assert!(refused.to_string().starts_with("model `driven` is out of service and will be tried again: "), "{refused}");

    // The first attempt to open it fails, the second gives a session that answers its canary.
    until(&driver.queue, |health| matches!(health, HealthState::Unhealthy { attempts: 1, .. })).await;
    steps.send(Step::Answer).expect("open");
    steps.send(Step::Answer).expect("open");
    until(&driver.queue, |health| *health == HealthState::Healthy).await;
    driver.queue.infer(batch(3.0), None).await.expect("in service again");
}
