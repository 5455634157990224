//! Rows of different callers in one inference: who meets, and that everybody gets their own.

use super::driven::{Answered, Step, ask, drive, proven, row, rows};
use crate::{BatchRules, Caller, Origin, Tenant};

#[tokio::test]
async fn what_waits_together_runs_together_and_everybody_gets_their_own_rows() {
    let driver = drive(BatchRules { ragged: None, ..proven() });
    let first = driver.occupied().await;
    let waiting: Vec<_> = (1..=5_i64).map(|value| driver.ask(row(&[value, value]))).collect();
    driver.until_queued(5).await;
    driver.steps([Step::Answer, Step::Answer]);
    first.await.expect("no panic").expect("answered");
    for (value, answer) in (1..).zip(waiting) {
        assert_eq!(answer.await.expect("no panic").expect("answered"), [2 * value, 2 * value]);
    }
    assert_eq!(driver.started.try_recv().expect("one inference"), [5, 2]);
    assert!(driver.started.try_recv().is_err(), "and no other");
}

#[tokio::test]
async fn shorter_rows_are_filled_up_once_it_is_known_which_outputs_follow_the_length() {
    let driver = drive(proven());
    let first = driver.occupied().await;
    let (short, long) = (driver.ask(row(&[3])), driver.ask(row(&[4, 5, 6])));
    driver.until_queued(2).await;
    driver.steps((0..3).map(|_| Step::Answer));
    first.await.expect("no panic").expect("answered");
    assert_eq!(short.await.expect("no panic").expect("answered"), [6]);
    assert_eq!(long.await.expect("no panic").expect("answered"), [8, 10, 12]);
    let shapes: Vec<_> = driver.started.try_iter().collect();
    assert_eq!(shapes, [[1, 1], [1, 3]], "not yet together");

    let running = driver.occupied().await;
    let (short, long) = (driver.ask(rows(&[&[3], &[7]])), driver.ask(row(&[4, 5, 6])));
    driver.until_queued(2).await;
    driver.steps([Step::Answer, Step::Answer]);
    running.await.expect("no panic").expect("answered");
    assert_eq!(short.await.expect("no panic").expect("answered"), [6, 14]);
    assert_eq!(long.await.expect("no panic").expect("answered"), [8, 10, 12]);
    assert_eq!(driver.started.try_iter().collect::<Vec<_>>(), [[3, 3]]);
}

#[tokio::test]
async fn an_output_that_does_not_follow_the_length_is_never_cut() {
    let driver = drive(proven());
    driver.steps((0..3).map(|_| Step::Answer));
    for values in [&[1_i64, 2][..], &[1, 2, 3], &[1]] {
        ask(&driver.queue, row(values)).await.expect("answered");
    }
    driver.started.try_iter().for_each(drop);
    let running = driver.occupied().await;
    let waiting = [&[1_i64][..], &[2, 3, 4]].map(|values| {
        let (queue, inputs) = (driver.queue.clone(), row(values));
        tokio::spawn(async move { queue.infer(inputs, &Caller::default(), None, None).await })
    });
    driver.until_queued(2).await;
    driver.steps([Step::Answer, Step::Answer]);
    running.await.expect("no panic").expect("answered");
    for (answer, sum) in waiting.into_iter().zip([1, 9]) {
        let inferred = answer.await.expect("no panic").expect("answered");
        assert_eq!(inferred.outputs[1].tensor.view::<i64>().expect("i64"), [sum]);
        assert_eq!(inferred.share.rows, 2);
    }
}

#[tokio::test]
async fn nothing_is_shared_where_rows_are_not_proven() {
    let driver = drive(BatchRules::unproven());
    let first = driver.occupied().await;
    let waiting: Vec<_> = (1..=3_i64).map(|value| driver.ask(row(&[value, value]))).collect();
    driver.until_queued(3).await;
    driver.steps((0..4).map(|_| Step::Answer));
    first.await.expect("no panic").expect("answered");
    for answer in waiting {
        answer.await.expect("no panic").expect("answered");
    }
    assert_eq!(driver.started.try_iter().collect::<Vec<_>>(), [[1, 2], [1, 2], [1, 2]]);
}

#[tokio::test]
async fn a_request_of_many_rows_runs_in_parts_and_comes_back_whole() {
    let driver = drive(BatchRules { max_rows: 2, ..proven() });
    driver.steps((0..3).map(|_| Step::Answer));
    let inputs = rows(&[&[1, 1], &[2, 2], &[3, 3], &[4, 4], &[5, 5]]);
    let inferred = driver.queue.infer(inputs, &Caller::default(), None, None).await.expect("answered");
    assert_eq!(inferred.outputs[0].tensor.shape(), [5, 2]);
    assert_eq!(inferred.outputs[0].tensor.view::<i64>().expect("i64"), [2, 2, 4, 4, 6, 6, 8, 8, 10, 10]);
    assert_eq!((inferred.share.inferences, inferred.share.rows, inferred.share.tokens), (3, 5, 10));
}

#[tokio::test]
async fn rows_of_two_guests_and_two_tenants_meet_in_one_recorded_batch() {
    let driver = drive(BatchRules { ragged: None, ..proven() });
    let first = driver.occupied().await;
    let callers = [("a", 1), ("b", 2)].map(|(name, digest)| Caller {
        tenant: Tenant::new(name, 1.0, 8),
        origin: Origin(digest),
        ..Caller::default()
    });
    let waiting: Vec<tokio::task::JoinHandle<Answered>> = callers
        .into_iter()
        .map(|caller| {
            let queue = driver.queue.clone();
            tokio::spawn(async move {
                let inferred = queue.infer(row(&[1, 2]), &caller, None, None).await?;
                Ok(inferred.outputs[0].tensor.view::<i64>().expect("i64").to_vec())
            })
        })
        .collect();
    driver.until_queued(2).await;
    driver.steps([Step::Answer, Step::Answer]);
    first.await.expect("no panic").expect("answered");
    for answer in waiting {
        assert_eq!(answer.await.expect("no panic").expect("answered"), [2, 4]);
    }
    let records = driver.queue.recent_batches();
    let last = records.last().expect("two batches ran");
    let members: Vec<_> = last.members.iter().map(|member| (member.origin.0, member.tenant.as_str())).collect();
    assert_eq!((last.rows(), members), (2, vec![(1, "a"), (2, "b")]));
}
