//! Sessions that fail, panic, hang or break: what callers are told, and how service goes on.

use std::sync::mpsc::channel;
use std::time::Duration;

use wisp_core::{Batch, ErrorKind, Kinded, Session};

use super::driven::{POISON, Step, ask, drive, drive_at, drive_with, driven, proven, row};
use crate::{BatchRules, Canary, Cost, HealthState, QueueLimits, Recovery, ScheduleError, SessionQueue};

#[tokio::test]
async fn a_failure_or_panic_leaves_the_queue_in_service() {
    let driver = drive(proven());
    driver.steps([Step::Fail, Step::Panic, Step::Answer]);
    let failed = ask(&driver.queue, row(&[1])).await.expect_err("was told to fail");
    assert_eq!(failed.to_string(), "backend `candle` failed: told to");
    let panicked = ask(&driver.queue, row(&[1])).await.expect_err("was told to panic");
    assert!(matches!(panicked, ScheduleError::Panicked { .. }));
    ask(&driver.queue, row(&[1])).await.expect("in service");
}

#[tokio::test]
async fn an_entry_that_makes_its_batch_fail_is_the_only_one_to_fail() {
    let driver = drive(BatchRules { ragged: None, ..proven() });
    let first = driver.occupied().await;
    let values = [1, 2, POISON, 4, 5];
    let waiting: Vec<_> = values.iter().map(|&value| driver.ask(row(&[value, value]))).collect();
    driver.until_queued(values.len()).await;
    driver.steps((0..20).map(|_| Step::Answer));
    first.await.expect("no panic").expect("answered");
    for (value, answer) in values.into_iter().zip(waiting) {
        match answer.await.expect("no panic") {
            Ok(answered) => assert_eq!(answered, [2 * value, 2 * value]),
            Err(error) => assert_eq!((value, error.kind()), (POISON, ErrorKind::Internal)),
        }
    }
}

#[tokio::test]
async fn a_panic_over_a_batch_is_answered_by_its_halves() {
    let driver = drive(BatchRules { ragged: None, ..proven() });
    let first = driver.occupied().await;
    let waiting = [2, 3].map(|value| driver.ask(row(&[value, value])));
    driver.until_queued(2).await;
    driver.steps([Step::Answer, Step::Panic, Step::Answer, Step::Answer]);
    first.await.expect("no panic").expect("answered");
    for answer in waiting {
        answer.await.expect("no panic").expect("each half is well");
    }
}

/// A recovery whose canary is right as soon as it is answered; `reopen` gives what the test says.
fn recovery(reopen: impl FnMut() -> Result<Box<dyn Session>, String> + Send + 'static) -> Recovery {
    let canary = Canary { batch: Batch::Padded(row(&[7])), check: Box::new(|_| Ok(())) };
    Recovery { canary: Some(canary), reopen: Box::new(reopen) }
}

/// Waits until the worker has written down what the test expects.
async fn until(queue: &SessionQueue, is_expected: impl Fn(&HealthState) -> bool) {
    while !is_expected(&queue.health()) {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn a_failure_of_one_request_does_not_take_a_session_out_of_service() {
    let never = recovery(|| Err("is never asked for".to_owned()));
    let driver = drive_with(proven(), QueueLimits::default(), Some(never));
    // The second step answers the canary, the third the second request.
    driver.steps([Step::Fail, Step::Answer, Step::Answer]);
    ask(&driver.queue, row(&[1])).await.expect_err("was told to fail");
    ask(&driver.queue, row(&[2])).await.expect("in service");
    assert_eq!(driver.queue.health(), HealthState::Healthy);
}

#[tokio::test]
async fn a_session_that_fails_its_canary_is_refused_at_once_and_comes_back_when_it_can_be_opened() {
    let (session, steps, _started) = driven();
    let mut sessions = vec![Ok(Box::new(session) as Box<dyn Session>), Err("still gone".to_owned())];
    let recovery = recovery(move || sessions.pop().unwrap_or_else(|| Err("no more".to_owned())));
    let driver = drive_with(proven(), QueueLimits::default(), Some(recovery));
    driver.steps([Step::Fail, Step::Panic]);
    ask(&driver.queue, row(&[1])).await.expect_err("was told to fail");
    until(&driver.queue, |health| *health != HealthState::Healthy).await;
    let refused = ask(&driver.queue, row(&[2])).await.expect_err("is out of service");
    assert_eq!(refused.kind(), ErrorKind::Unavailable);
    assert!(refused.to_string().starts_with("model `driven` is out of service and will be tried again: "), "{refused}");

    // The first attempt to open it fails, the second gives a session that answers its canary.
    until(&driver.queue, |health| matches!(health, HealthState::Unhealthy { attempts: 1, .. })).await;
    [Step::Answer, Step::Answer].into_iter().for_each(|step| steps.send(step).expect("open"));
    until(&driver.queue, |health| *health == HealthState::Healthy).await;
    ask(&driver.queue, row(&[3])).await.expect("in service again");
}

#[tokio::test]
async fn a_batch_of_a_broken_session_is_not_tried_in_halves() {
    let gone = recovery(|| Err("gone".to_owned()));
    let driver = drive_with(BatchRules { ragged: None, ..proven() }, QueueLimits::default(), Some(gone));
    let first = driver.occupied().await;
    let waiting: Vec<_> = (0..8).map(|value| driver.ask(row(&[value, value]))).collect();
    driver.until_queued(8).await;
    // The batch fails, and so does the canary, once to decide and once for the record.
    driver.steps([Step::Answer, Step::Fail, Step::Fail, Step::Fail]);
    first.await.expect("no panic").expect("answered");
    for answer in waiting {
        assert_eq!(answer.await.expect("no panic").expect_err("broken").kind(), ErrorKind::Unavailable);
    }
    until(&driver.queue, |health| *health != HealthState::Healthy).await;
}

#[tokio::test]
async fn an_inference_that_never_ends_is_given_up_and_another_session_takes_over() {
    let (session, steps, _started) = driven();
    let mut sessions = vec![session];
    let recovery = recovery(move || {
        let session = sessions.pop().ok_or_else(|| "no more".to_owned())?;
        Ok(Box::new(session) as Box<dyn Session>)
    });
    let limits = QueueLimits { hang: Duration::from_millis(20), ..QueueLimits::default() };
    // It is given up after twenty times what was to be expected, which is nothing here.
    let driver = drive_at(Cost::default(), proven(), limits, Some(recovery));
    let (release, stuck) = channel();
    driver.steps([Step::Stuck(stuck)]);
    let hung = driver.ask(row(&[1]));
    tokio::task::yield_now().await;
    driver.started.recv().expect("runs");
    until(&driver.queue, |health| *health != HealthState::Healthy).await;
    let error = hung.await.expect("no panic").expect_err("was given up");
    assert!(matches!(error, ScheduleError::Hung { .. }), "{error}");

    // The canary of the new session, then a request.
    [Step::Answer, Step::Answer].into_iter().for_each(|step| steps.send(step).expect("open"));
    until(&driver.queue, |health| *health == HealthState::Healthy).await;
    assert_eq!(ask(&driver.queue, row(&[3])).await.expect("in service again"), [6]);
    // The old thread comes back, finds itself replaced, and takes nothing.
    drop(release);
    steps.send(Step::Answer).expect("open");
    assert_eq!(ask(&driver.queue, row(&[4])).await.expect("still in service"), [8]);
}
