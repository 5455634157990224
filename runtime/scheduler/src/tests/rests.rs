//! Models that are loaded when they are needed: how they come, go, and take turns.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use wisp_core::{BackendError, Batch, ErrorKind, Kinded, NamedTensor, Session, SessionInfo};

use super::driven::{ask, driven, row};
use crate::{
    Caller, HealthState, MemoryTurns, OnDemand, QueueConfig, Recovery, SHORTEST_STAY, Served, SessionQueue, spawn,
};

/// Sessions that are open, those that ever were, and the most at one time.
#[derive(Clone, Default)]
struct Counts(Arc<[AtomicUsize; 3]>);

impl Counts {
    fn open(&self) -> usize {
        self.0[0].load(Ordering::SeqCst)
    }

    fn opened(&self) -> usize {
        self.0[1].load(Ordering::SeqCst)
    }

    fn most(&self) -> usize {
        self.0[2].load(Ordering::SeqCst)
    }
}

/// Answers with its input, and is counted as long as it lives.
struct Counted {
    info: SessionInfo,
    counts: Counts,
}

impl Counted {
    fn open(counts: &Counts) -> Box<dyn Session> {
        counts.0[1].fetch_add(1, Ordering::SeqCst);
        let open = counts.0[0].fetch_add(1, Ordering::SeqCst) + 1;
        counts.0[2].fetch_max(open, Ordering::SeqCst);
        Box::new(Self { info: driven().0.info().clone(), counts: counts.clone() })
    }
}

impl Session for Counted {
    fn info(&self) -> &SessionInfo {
        &self.info
    }

    fn run(&mut self, batch: &Batch) -> Result<Vec<NamedTensor>, BackendError> {
        let Batch::Padded(inputs) = batch else { unreachable!("the queue takes padded rows") };
        let named = |name: &str| NamedTensor::new(name, inputs[0].tensor.clone());
        Ok(vec![named("y"), named("sum")])
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.counts.0[0].fetch_sub(1, Ordering::SeqCst);
    }
}

fn model(counts: &Counts, turns: &MemoryTurns, idle: Option<Duration>) -> SessionQueue {
    model_with(counts, turns, idle, || Ok(()))
}

/// A model of ten bytes; whether it can be opened is asked each time.
fn model_with(
    counts: &Counts,
    turns: &MemoryTurns,
    idle: Option<Duration>,
    mut may_open: impl FnMut() -> Result<(), String> + Send + 'static,
) -> SessionQueue {
    let reopened = counts.clone();
    let reopen = move || may_open().map(|()| Counted::open(&reopened));
    let recovery = Recovery { canary: None, reopen: Box::new(reopen) };
    let served = Served { session: Counted::open(counts), recovery: Some(recovery), processor: None };
    let on_demand = OnDemand { turns: turns.clone(), bytes: 10, idle };
    let config = QueueConfig { on_demand: Some(on_demand), ..QueueConfig::unproven("counted") };
    spawn(config, vec![served]).expect("a thread")
}

/// Memory for so many bytes.
fn turns(bytes: u64) -> MemoryTurns {
    let turns = MemoryTurns::default();
    turns.set_capacity(Some(bytes));
    turns
}

async fn until(is_so: impl Fn() -> bool) {
    while !is_so() {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

#[tokio::test]
async fn a_model_on_demand_begins_at_rest_and_is_opened_once_for_all_who_ask() {
    let counts = Counts::default();
    let queue = model(&counts, &MemoryTurns::default(), None);
    assert!(!queue.is_loaded());
    assert_eq!((counts.open(), queue.health()), (0, HealthState::Healthy));
    let asked: Vec<_> = (0..20).map(|value| (value, queue.clone())).collect();
    let answers = asked.into_iter().map(|(value, queue)| tokio::spawn(async move { ask(&queue, row(&[value])).await }));
    for (value, answer) in answers.collect::<Vec<_>>().into_iter().enumerate() {
        assert_eq!(answer.await.expect("no panic").expect("answered"), [i64::try_from(value).expect("small")]);
    }
    assert!(queue.is_loaded());
    // Once to be proven, once for all of these.
    assert_eq!(counts.opened(), 2);
    drop(queue);
    until(|| counts.open() == 0).await;
}

#[tokio::test]
async fn a_model_that_is_released_rests_and_an_inference_that_comes_all_the_same_opens_it_for_itself() {
    let counts = Counts::default();
    let queue = model(&counts, &MemoryTurns::default(), None);
    ask(&queue, row(&[1])).await.expect("answered");
    queue.release();
    until(|| !queue.is_loaded()).await;
    assert_eq!(counts.open(), 0);
    ask(&queue, row(&[2])).await.expect("answered");
    until(|| !queue.is_loaded()).await;
    queue.ask_for();
    until(|| queue.is_loaded()).await;
    assert_eq!(counts.open(), 1);
    ask(&queue, row(&[3])).await.expect("answered");
    assert!(queue.is_loaded(), "nobody has released it again");
}

#[tokio::test]
async fn what_is_not_used_leaves_by_itself() {
    let counts = Counts::default();
    let queue = model(&counts, &MemoryTurns::default(), Some(Duration::from_millis(30)));
    ask(&queue, row(&[1])).await.expect("answered");
    until(|| counts.open() == 0).await;
    assert!(!queue.is_loaded());
    ask(&queue, row(&[2])).await.expect("is opened again");
}

#[tokio::test]
async fn the_one_that_was_used_longest_ago_makes_room() {
    let (counts, turns) = (Counts::default(), turns(20));
    let models: Vec<_> = (0..3).map(|_| model(&counts, &turns, None)).collect();
    for index in [0, 1, 0] {
        ask(&models[index], row(&[1])).await.expect("answered");
    }
    ask(&models[2], row(&[1])).await.expect("room is made");
    assert_eq!([0, 1, 2].map(|index| models[index].is_loaded()), [true, false, true]);
    ask(&models[1], row(&[1])).await.expect("room is made");
    assert_eq!([0, 1, 2].map(|index| models[index].is_loaded()), [false, true, true]);
    assert_eq!(counts.most(), 2, "there is never more than there is room for");
}

#[tokio::test]
async fn two_models_that_always_have_work_both_get_on_and_never_meet() {
    let (counts, turns) = (Counts::default(), turns(10));
    let slowly = || {
        std::thread::sleep(Duration::from_millis(50));
        Ok(())
    };
    let models = [(); 2].map(|()| model_with(&counts, &turns, None, slowly));
    let began_at = Instant::now();
    let busy = models.clone().map(|queue| {
        tokio::spawn(async move {
            let mut answered = 0;
            while began_at.elapsed() < 3 * SHORTEST_STAY {
                ask(&queue, row(&[1])).await.expect("answered, if late");
                answered += 1;
            }
            answered
        })
    });
    let mut all = 0;
    for answered in busy {
        let answered = answered.await.expect("no panic");
        assert!(answered > 1);
        all += answered;
    }
    assert_eq!(counts.most(), 1);
    assert!(counts.opened() < all, "each stays for more than an inference: {} for {all}", counts.opened());
}

#[tokio::test]
async fn who_cannot_wait_for_room_leaves_the_line() {
    let (counts, turns) = (Counts::default(), turns(5));
    let large = model(&counts, &turns, None);
    let deadline = tokio::time::Instant::now() + Duration::from_millis(50);
    let late = large.infer(row(&[1]), &Caller::default(), Some(deadline), None).await.expect_err("there is no room");
    assert_eq!(late.kind(), ErrorKind::DeadlineExceeded);
    turns.set_capacity(Some(10));
    ask(&large, row(&[1])).await.expect("there is room now");
}

#[tokio::test]
async fn a_model_that_cannot_be_opened_says_why_and_is_tried_again() {
    let (counts, tries) = (Counts::default(), Arc::new(AtomicUsize::new(0)));
    let tried = Arc::clone(&tries);
    let may_open = move || match tried.fetch_add(1, Ordering::SeqCst) {
        0 => Err("the disk is gone".to_owned()),
        _ => Ok(()),
    };
    let queue = model_with(&counts, &turns(10), None, may_open);
    let error = ask(&queue, row(&[1])).await.expect_err("cannot be opened");
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(error.to_string().contains("the disk is gone"), "{error}");
    until(|| queue.health() == HealthState::Healthy).await;
    ask(&queue, row(&[1])).await.expect("is back");
    assert_eq!((tries.load(Ordering::SeqCst), counts.open()), (2, 1));
}
