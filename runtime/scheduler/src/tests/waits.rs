//! Deadlines, cancellation, and what is refused at the door.

use std::time::Duration;

use tokio::time::Instant;
use wisp_core::{ErrorKind, Kinded, NamedTensor, Tensor};

use super::driven::{Step, ask, drive, drive_with, proven, row};
use crate::{BatchRules, Caller, Lane, QueueLimits, ScheduleError};

#[tokio::test]
async fn inputs_that_do_not_fit_the_signature_never_reach_the_session() {
    let driver = drive(proven());
    let wrong = vec![NamedTensor::new("y", Tensor::from_slice(&[1, 1], &[1_i64]).expect("fits"))];
    let error = ask(&driver.queue, wrong).await.expect_err("there is no input y");
    assert_eq!(error.kind(), ErrorKind::InvalidArgument);
    assert!(driver.started.try_recv().is_err());
}

#[tokio::test]
async fn inputs_of_different_lengths_in_one_entry_are_refused_by_name() {
    let driver = drive(proven());
    let mut uneven = row(&[1, 2, 3]);
    uneven[1] = row(&[1, 2]).remove(1);
    let error = ask(&driver.queue, uneven).await.expect_err("the mask is shorter");
    assert_eq!(error.to_string(), "input `mask` has shape [1, 2], `x` has [1, 3]");
}

#[tokio::test]
async fn what_would_be_late_is_refused_at_once_and_names_the_wait() {
    let driver = drive(BatchRules::unproven());
    let running = driver.occupied().await;
    let infer = |deadline| driver.queue.infer(row(&[2, 2]), driver_caller(), Some(deadline), None);
    let refused = infer(Instant::now() + Duration::from_millis(1500)).await.expect_err("would take 2 s");
    assert_eq!(refused.kind(), ErrorKind::ResourceExhausted);
    assert!(
        matches!(refused, ScheduleError::Overloaded { wait, .. } if (1500..=2000).contains(&wait.as_millis())),
        "{refused}"
    );
    driver.steps([Step::Answer]);
    running.await.expect("no panic").expect("answered");
    driver.steps([Step::Answer]);
    infer(Instant::now() + Duration::from_millis(1500)).await.expect("an idle session refuses nobody");
}

#[tokio::test]
async fn the_least_wait_is_that_of_the_lane_that_is_served_soonest() {
    let driver = drive(BatchRules::unproven());
    let caller = Caller::default();
    assert_eq!(driver.queue.least_wait(&caller.tenant), Duration::ZERO, "an idle session keeps nobody waiting");
    let _announced = driver.queue.announce(&caller, 1, 2, None).expect("is admitted");
    assert!(driver.queue.predicted_wait(&caller) >= Duration::from_secs(1), "one inference stands before it");
    let bulk = Caller { lane: Lane::Bulk, ..caller.clone() };
    let both = [&caller, &bulk].map(|caller| driver.queue.predicted_wait(caller));
    assert_eq!(Some(driver.queue.least_wait(&caller.tenant)), both.into_iter().min());
}

fn driver_caller() -> &'static Caller {
    static CALLER: std::sync::OnceLock<Caller> = std::sync::OnceLock::new();
    CALLER.get_or_init(Caller::default)
}

#[tokio::test]
async fn admitted_work_counts_before_it_is_asked_for() {
    let driver = drive(BatchRules::unproven());
    let caller = Caller::default();
    let deadline = Some(Instant::now() + Duration::from_millis(1500));
    let announced = driver.queue.announce(&caller, 1, 2, deadline).expect("an idle session refuses nobody");
    let refused = driver.queue.announce(&caller, 1, 2, deadline).expect_err("a second is on its way");
    assert!(matches!(refused, ScheduleError::Overloaded { .. }), "{refused}");
    driver.steps([Step::Answer]);
    driver.queue.infer(row(&[1, 1]), &caller, deadline, Some(announced)).await.expect("its own work is not in its way");
    driver.queue.announce(&caller, 1, 2, deadline).expect("nothing is left");
}

#[tokio::test]
async fn a_full_queue_refuses_at_once() {
    let limits = QueueLimits { max_queued: 1, ..QueueLimits::default() };
    let driver = drive_with(proven(), limits, None);
    let running = driver.occupied().await;
    let waiting = driver.ask(row(&[2, 2]));
    driver.until_queued(1).await;
    let refused = ask(&driver.queue, row(&[3, 3])).await.expect_err("one runs and one waits");
    assert_eq!(refused.kind(), ErrorKind::ResourceExhausted);
    driver.steps([Step::Answer, Step::Answer]);
    running.await.expect("no panic").expect("answered");
    waiting.await.expect("no panic").expect("answered");
}

#[tokio::test]
async fn a_deadline_cancels_the_running_inference() {
    let driver = drive(proven());
    driver.steps([Step::Hang]);
    let deadline = Instant::now() + Duration::from_millis(20);
    let error = driver.queue.infer(row(&[1, 1]), &Caller::default(), Some(deadline), None).await.expect_err("hangs");
    assert_eq!(error.kind(), ErrorKind::DeadlineExceeded);
    driver.steps([Step::Answer]);
    ask(&driver.queue, row(&[1, 1])).await.expect("the worker is free again");
}

#[tokio::test]
async fn a_shared_inference_is_stopped_only_when_the_last_caller_left() {
    let driver = drive(BatchRules { ragged: None, ..proven() });
    let first = driver.occupied().await;
    let (leaves, stays) = (driver.ask(row(&[2, 2])), driver.ask(row(&[3, 3])));
    driver.until_queued(2).await;
    driver.steps([Step::Answer]);
    first.await.expect("no panic").expect("answered");
    assert_eq!(driver.started.recv().expect("both run together"), [2, 2]);
    leaves.abort();
    leaves.await.expect_err("aborted");
    driver.steps([Step::Answer]);
    assert_eq!(stays.await.expect("no panic").expect("was not cancelled"), [6, 6]);

    let first = driver.occupied().await;
    let both = [2, 3].map(|value| driver.ask(row(&[value, value])));
    driver.until_queued(2).await;
    driver.steps([Step::Answer, Step::Hang]);
    first.await.expect("no panic").expect("answered");
    assert_eq!(driver.started.recv().expect("both run together"), [2, 2]);
    for leaves in both {
        leaves.abort();
        leaves.await.expect_err("aborted");
    }
    driver.steps([Step::Answer]);
    ask(&driver.queue, row(&[4, 4])).await.expect("the worker is free again");
}

#[tokio::test]
async fn an_entry_whose_caller_left_is_never_run_and_takes_no_room() {
    let driver = drive(proven());
    let first = driver.occupied().await;
    let second = driver.ask(row(&[2, 2]));
    driver.until_queued(1).await;
    second.abort();
    assert!(second.await.expect_err("aborted").is_cancelled());
    assert_eq!(driver.queue.queued(), 0);
    driver.steps([Step::Answer]);
    first.await.expect("no panic").expect("answered");
    driver.steps([Step::Answer]);
    ask(&driver.queue, row(&[3, 3])).await.expect("answered");
    // Two runs were started in all: the first and the last.
    driver.started.recv().expect("the last inference ran");
    assert!(driver.started.try_recv().is_err());
}

#[tokio::test]
async fn a_worker_waits_for_what_is_on_its_way_and_no_longer() {
    let delay = Duration::from_secs(3600);
    let driver = drive(BatchRules { max_queue_delay: delay, ragged: None, ..proven() });
    let caller = Caller::default();
    let announced = driver.queue.announce(&caller, 1, 2, None).expect("idle");
    let first = driver.ask(row(&[1, 1]));
    driver.until_queued(1).await;
    driver.steps([Step::Answer, Step::Answer]);
    let second = driver.queue.infer(row(&[2, 2]), &caller, None, Some(announced)).await.expect("answered");
    first.await.expect("no panic").expect("answered");
    assert_eq!(second.share.rows, 2, "the first waited for the second");

    let announced = driver.queue.announce(&caller, 1, 2, None).expect("idle");
    let waiting = driver.ask(row(&[1, 1]));
    driver.until_queued(1).await;
    drop(announced);
    waiting.await.expect("no panic").expect("answered, since nobody comes any more");
}
