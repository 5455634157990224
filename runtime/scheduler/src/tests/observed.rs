//! What observers of requests are told of the inferences that these are in.

use std::sync::{Arc, Mutex};

use tokio::time::Instant;

use super::driven::{Step, ask, drive, proven, row};
use crate::BatchRules;
use crate::observe::{Batch, CallEnd, Entry, Fact, GuestCall, Observer, SpanIds, Stage, observed};

/// Writes down what it is told.
struct Diary {
    ids: SpanIds,
    lines: Arc<Mutex<Vec<String>>>,
}

impl Diary {
    fn of(span: u64) -> (Arc<Self>, Arc<Mutex<Vec<String>>>) {
        let lines: Arc<Mutex<Vec<String>>> = Arc::default();
        (Arc::new(Self { ids: SpanIds { trace: 1, span }, lines: Arc::clone(&lines) }), lines)
    }

    fn write(&self, line: String) {
        self.lines.lock().expect("never poisoned").push(line);
    }
}

impl Observer for Diary {
    fn ids(&self) -> SpanIds {
        self.ids
    }

    fn trace_state(&self) -> Option<String> {
        None
    }

    fn note(&self, fact: Fact<'_>) {
        self.write(format!("{fact:?}"));
    }

    fn stage(&self, stage: Stage, _: Instant, _: Instant) {
        self.write(format!("{stage:?}"));
    }

    fn guest(&self, deployment: &str) -> Arc<dyn Observer> {
        self.write(format!("guest {deployment}"));
        Arc::new(Self { ids: SpanIds { span: self.ids.span + 100, ..self.ids }, lines: Arc::clone(&self.lines) })
    }

    fn guest_ended(&self, end: CallEnd<'_>) {
        self.write(format!("{end:?}"));
    }

    fn batch(&self, batch: &Batch<'_>) -> SpanIds {
        assert!(batch.started_at <= batch.gathered_at && batch.gathered_at <= batch.inferred_at);
        let spans: Vec<u64> = batch.requests.iter().map(|ids| ids.span).collect();
        let Batch { model, share, entries, failure, .. } = batch;
        self.write(format!("batch {model}: {} rows, {entries} entries, {spans:?}, {failure:?}", share.rows));
        SpanIds { trace: 9, span: 9 }
    }

    fn entry(&self, entry: &Entry<'_>) {
        assert!(entry.queued_at <= entry.batch.started_at);
        self.write(format!("{} rows in {}", entry.rows, entry.batch_ids.span));
    }
}

fn read(lines: &Mutex<Vec<String>>) -> Vec<String> {
    lines.lock().expect("never poisoned").clone()
}

#[tokio::test]
async fn the_first_observed_request_is_told_of_the_batch_and_each_of_its_own_part() {
    let driver = drive(BatchRules { ragged: None, ..proven() });
    let running = driver.occupied().await;
    let ((first, told_first), (second, told_second)) = (Diary::of(1), Diary::of(2));
    let unobserved = driver.ask(row(&[1, 1]));
    let waiting: Vec<_> = [first, second]
        .into_iter()
        .map(|diary| {
            let queue = driver.queue.clone();
            tokio::spawn(observed(Some(diary as Arc<dyn Observer>), async move { ask(&queue, row(&[2, 2])).await }))
        })
        .collect();
    driver.until_queued(3).await;
    driver.steps([Step::Answer, Step::Answer]);
    running.await.expect("no panic").expect("answered");
    unobserved.await.expect("no panic").expect("answered");
    for answer in waiting {
        answer.await.expect("no panic").expect("answered");
    }
    assert_eq!(read(&told_first), ["batch driven: 3 rows, 3 entries, [1, 2], None", "1 rows in 9"]);
    assert_eq!(read(&told_second), ["1 rows in 9"]);
}

#[tokio::test]
async fn a_batch_that_fails_is_told_with_its_reason() {
    let driver = drive(proven());
    let (diary, told) = Diary::of(7);
    driver.steps([Step::Fail]);
    observed(Some(diary as Arc<dyn Observer>), ask(&driver.queue, row(&[1]))).await.expect_err("told to fail");
    let told = read(&told);
    assert!(told.len() == 1 && told[0].starts_with("batch driven: 1 rows, 1 entries, [7], Some("), "{told:?}");
}

#[tokio::test]
async fn what_a_guest_computes_is_told_as_its_own() {
    let driver = drive(proven());
    let (diary, told) = Diary::of(7);
    driver.steps([Step::Answer]);
    let queue = driver.queue.clone();
    let call = async move { GuestCall::begin("d").run(ask(&queue, row(&[1]))).await };
    observed(Some(diary as Arc<dyn Observer>), call).await.expect("answered");
    let expected = ["guest d", "batch driven: 1 rows, 1 entries, [107], None", "1 rows in 9", "Answered"];
    assert_eq!(read(&told), expected);
}

#[tokio::test]
async fn a_call_that_nobody_waits_for_is_told_as_given_up() {
    let (diary, told) = Diary::of(7);
    let call = async { GuestCall::begin("d").run(std::future::pending::<Result<(), String>>()).await };
    let call = observed(Some(diary as Arc<dyn Observer>), call);
    tokio::select! {
        biased;
        _ = call => panic!("does not end"),
        () = std::future::ready(()) => {}
    }
    assert_eq!(read(&told), ["guest d", "GivenUp"]);
}
