//! Requests of different guests at one time: they share inferences, and nobody gets another's vector.

use std::collections::BTreeSet;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::Instant;
use wisp_core::{BackendId, ErrorKind, Kinded};
use wisp_engine::{BatchShare, EmbedRequest, Engine, Lane, SessionsChoice, Tenant};
use wisp_testing::{MODEL, RealModel, cosine};

use crate::support;

/// What "the same vector" means with f32.
const MIN_COSINE: f64 = 0.99999;

fn engine(test: &str, backend: BackendId) -> Option<(Engine, RealModel)> {
    let real = RealModel::get(test)?;
    let mut config = support::config(test, backend)?;
    // However slow the machine is, time is no reason to keep rows apart here.
    config.models.get_mut(MODEL).expect("the default model").batching.max_batch_ms = 3_600_000;
    Some((support::start(config, &real), real))
}

fn request(deployment: &str, text: &str) -> EmbedRequest {
    EmbedRequest { deployment: Some(deployment.to_owned()), ..EmbedRequest::texts([text]) }
}

/// Sends every golden text as a request of its own to both guests, all at once; returns what each was shared with.
async fn all_at_once(engine: &Engine, real: &RealModel) -> Vec<BatchShare> {
    let mut asked = JoinSet::new();
    for deployment in ["embedder", "portable"] {
        for (index, text) in real.golden.texts.iter().enumerate() {
            let (engine, request) = (engine.clone(), request(deployment, text));
            asked.spawn(async move { (deployment, index, engine.embed(request).await) });
        }
    }
    let mut shares = Vec::new();
    while let Some(answered) = asked.join_next().await {
        let (deployment, index, answer) = answered.expect("no panic");
        let answer = answer.unwrap_or_else(|error| panic!("{deployment}, text {index}: {error}"));
        let cosine = cosine(&answer.values, real.golden.vector(index));
        assert!(cosine >= MIN_COSINE, "{deployment}, text {index}: cosine {cosine}");
        shares.push(answer.share);
    }
    shares
}

async fn guests_share(backend: BackendId, test: &str) {
    let Some((engine, real)) = engine(test, backend) else { return };
    let shares = all_at_once(&engine, &real).await;
    assert!(shares.iter().all(|share| share.inferences == 1 && share.tokens <= share.padded_tokens));
    let shared = shares.iter().filter(|share| share.rows > 1).count();
    assert!(shared > shares.len() / 2, "{shared} of {} requests shared an inference", shares.len());
    let origins = |batch: &wisp_engine::BatchRecord| {
        batch.members.iter().map(|member| member.origin).collect::<BTreeSet<_>>().len()
    };
    let batches = engine.recent_batches(MODEL);
    assert!(batches.iter().any(|batch| origins(batch) == 2), "no batch has rows of both modules");
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_of_two_modules_meet_on_onnx_runtime_and_each_gets_its_own_vector() {
    guests_share(BackendId::Ort, "rows_of_two_modules_meet_on_onnx_runtime_and_each_gets_its_own_vector").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_of_two_modules_meet_on_openvino_and_each_gets_its_own_vector() {
    guests_share(BackendId::OpenVino, "rows_of_two_modules_meet_on_openvino_and_each_gets_its_own_vector").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_of_two_modules_meet_on_candle_and_each_gets_its_own_vector() {
    guests_share(BackendId::Candle, "rows_of_two_modules_meet_on_candle_and_each_gets_its_own_vector").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_shared_where_batching_is_off() {
    let test = "nothing_is_shared_where_batching_is_off";
    let Some(real) = RealModel::get(test) else { return };
    let Some(mut config) = support::config(test, BackendId::Candle) else { return };
    config.models.get_mut(MODEL).expect("the default model").batching.enabled = false;
    let engine = support::start(config, &real);
    let shares = all_at_once(&engine, &real).await;
    assert!(shares.iter().all(|share| (share.inferences, share.rows) == (1, 1)));
}

#[tokio::test(flavor = "multi_thread")]
async fn several_sessions_work_side_by_side() {
    let test = "several_sessions_work_side_by_side";
    let Some(real) = RealModel::get(test) else { return };
    let Some(mut config) = support::config(test, BackendId::Ort) else { return };
    config.models.get_mut(MODEL).expect("the default model").sessions = SessionsChoice::Exactly(2);
    let engine = support::start(config, &real);
    all_at_once(&engine, &real).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_that_were_chosen_by_measuring_answer_right_and_are_remembered() {
    let test = "sessions_that_were_chosen_by_measuring_answer_right_and_are_remembered";
    if std::thread::available_parallelism().map_or(1, std::num::NonZero::get) < 2 {
        return wisp_testing::lacks(test, "second processor");
    }
    let Some(real) = RealModel::get(test) else { return };
    let Some(mut config) = support::config(test, BackendId::Ort) else { return };
    config.models.get_mut(MODEL).expect("the default model").sessions = SessionsChoice::Auto;
    let engine = support::start(config.clone(), &real);
    let measured = engine.models()[0].proof.side_by_side.expect("was measured, now or before");
    assert!(measured.sessions >= 1 && measured.tried >= 2 && measured.tried_rows_per_s > 0.0, "{measured}");
    all_at_once(&engine, &real).await;
    drop(engine);
    let again = support::start(config, &real);
    assert_eq!(again.models()[0].proof.side_by_side, Some(measured), "is not measured twice");
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_that_vanish_and_deadlines_that_pass_leave_the_others_their_own_vectors() {
    let test = "clients_that_vanish_and_deadlines_that_pass_leave_the_others_their_own_vectors";
    let Some((engine, real)) = engine(test, BackendId::OpenVino) else { return };
    let mut asked = JoinSet::new();
    for round in 0..3 {
        for (index, text) in real.golden.texts.iter().enumerate() {
            let (engine, mut request) = (engine.clone(), request("embedder", text));
            let turn = (index + round) % 4;
            if turn == 1 {
                request.deadline = Some(Instant::now() + Duration::from_millis(1));
            }
            let task = asked.spawn(async move { (turn, index, engine.embed(request).await) });
            if turn == 2 {
                tokio::spawn(async move {
                    tokio::time::sleep(Duration::from_millis(index as u64 % 20)).await;
                    task.abort();
                });
            }
        }
    }
    while let Some(answered) = asked.join_next().await {
        // A task that was aborted has no answer.
        let Ok((turn, index, answer)) = answered else { continue };
        match answer {
            Ok(answer) => {
                let cosine = cosine(&answer.values, real.golden.vector(index));
                assert!(cosine >= MIN_COSINE, "text {index}: cosine {cosine}");
            }
            Err(error) => {
                let expected = matches!(error.kind(), ErrorKind::DeadlineExceeded | ErrorKind::ResourceExhausted);
                assert!(turn == 1 && expected, "text {index} of turn {turn}: {error}");
            }
        }
    }
    assert_eq!(engine.inflight(), 0);
    all_at_once(&engine, &real).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_single_text_is_answered_before_the_bulk_that_came_before_it() {
    let test = "a_single_text_is_answered_before_the_bulk_that_came_before_it";
    let Some(real) = RealModel::get(test) else { return };
    let Some(config) = support::config(test, BackendId::Ort) else { return };
    let engine = support::start(config, &real);
    let long = real.golden.texts.iter().max_by_key(|text| text.len()).expect("64 texts").clone();
    let flood = Tenant::new("flood", 1.0, 64);
    let mut bulk = JoinSet::new();
    for _ in 0..8 {
        let mut request = EmbedRequest::texts(vec![long.clone(); 32]);
        (request.lane, request.tenant) = (Lane::Bulk, Some(flood.clone()));
        request.deployment = Some("embedder".to_owned());
        let engine = engine.clone();
        bulk.spawn(async move { engine.embed(request).await });
    }
    while engine.inflight() < 8 {
        tokio::task::yield_now().await;
    }
    for (index, text) in real.golden.texts.iter().enumerate().take(3) {
        let answer = engine.embed(request("portable", text)).await.expect("is not refused for what others sent");
        assert!(cosine(&answer.values, real.golden.vector(index)) >= MIN_COSINE);
    }
    assert!(bulk.try_join_next().is_none(), "bulk was done first");
    while let Some(answer) = bulk.join_next().await {
        answer.expect("no panic").expect("bulk is answered in the end");
    }
}
