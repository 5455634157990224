//! Guests that misbehave: each gets a clear error, and nobody else notices.

use std::time::Duration;

use crate::support;
use wisp_core::{BackendId, ErrorKind, Kinded};
use wisp_engine::{EmbedRequest, EmbedResponse, Engine, EngineError, GuestLimits};
use wisp_testing::RealModel;

/// An engine with a hostile deployment beside a good one.
fn engine(test: &str) -> Option<Engine> {
    let real = RealModel::get(test)?;
    let mut config = support::config(test, BackendId::Candle)?;
    // Time enough on the slowest machine for what ends by itself, and little for what never does.
    let patient = GuestLimits { wall_ms: 60_000, handles: 600, ..GuestLimits::default() };
    let impatient = GuestLimits { wall_ms: 400, ..GuestLimits::default() };
    let roomy = GuestLimits { wall_ms: 60_000, handles: 1_000_000, tensor_bytes: 4 << 20, ..GuestLimits::default() };
    for (name, limits) in [("hostile", patient), ("impatient", impatient), ("roomy", roomy)] {
        support::add_guest(&mut config, test, name, "hostile", limits)?;
    }
    Some(support::start(config, &real))
}

async fn embed(engine: &Engine, deployment: &str, text: &str) -> Result<EmbedResponse, EngineError> {
    let request = EmbedRequest { deployment: Some(deployment.to_owned()), ..EmbedRequest::texts([text]) };
    engine.embed(request).await
}

#[tokio::test(flavor = "multi_thread")]
async fn every_misbehaviour_has_its_error_and_the_next_request_works() {
    let Some(engine) = engine("every_misbehaviour_has_its_error_and_the_next_request_works") else { return };
    for (deployment, behaviour, kind, message) in [
        ("hostile", "trap", ErrorKind::Internal, "deployment `hostile`: the guest trapped: "),
        ("hostile", "stack", ErrorKind::Internal, "deployment `hostile`: the guest trapped: "),
        ("impatient", "loop", ErrorKind::DeadlineExceeded, "no answer within 400 ms (limits.wall_ms)"),
        ("impatient", "spin-host", ErrorKind::DeadlineExceeded, "no answer within 400 ms (limits.wall_ms)"),
        ("hostile", "allocate", ErrorKind::ResourceExhausted, "its limit is 67108864 (limits.memory_bytes)"),
        ("hostile", "many-tensors", ErrorKind::ResourceExhausted, "holds more than 600 handles (limits.handles)"),
        (
            "roomy",
            "many-tensors",
            ErrorKind::ResourceExhausted,
            "more than 4194304 bytes of tensors (limits.tensor_bytes)",
        ),
        (
            "hostile",
            "ungranted",
            ErrorKind::PermissionDenied,
            "model `somebody-elses-model` is not granted to deployment `hostile`; add it under [deployments.hostile] models",
        ),
        ("hostile", "bad-tensor", ErrorKind::InvalidArgument, "needs 16 bytes, got 15"),
        ("hostile", "wrong-type", ErrorKind::InvalidArgument, "input `input_ids` must be i64, got f32"),
        ("hostile", "wrong-name", ErrorKind::InvalidArgument, "input `no-such-input` does not exist"),
        ("hostile", "short-result", ErrorKind::Internal, "0 values for 1 inputs of 384 dimensions"),
    ] {
        let error = embed(&engine, deployment, behaviour).await.expect_err(behaviour);
        assert!(error.to_string().contains(message), "{behaviour}: {error}");
        assert_eq!(error.kind(), kind, "{behaviour}: {error}");
        let answer =
            embed(&engine, "hostile", "echo").await.unwrap_or_else(|error| panic!("after {behaviour}: {error}"));
        assert_eq!(answer.values.len(), 384);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guest_reaches_no_file_no_environment_and_no_network() {
    let Some(engine) = engine("a_guest_reaches_no_file_no_environment_and_no_network") else { return };
    let error = embed(&engine, "hostile", "file").await.expect_err("reports as an error").to_string();
    for part in ["file: refused", "dir: refused", "env: 0 variables", "net: refused"] {
        assert!(error.contains(part), "{part}: {error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guest_that_fills_standard_error_is_cut_off_and_answers() {
    let Some(engine) = engine("a_guest_that_fills_standard_error_is_cut_off_and_answers") else { return };
    assert_eq!(embed(&engine, "hostile", "stderr").await.expect("embeds").values.len(), 384);
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_beside_hostile_ones_are_answered_and_right() {
    let Some(engine) = engine("requests_beside_hostile_ones_are_answered_and_right") else { return };
    let alone = embed(&engine, "embedder", "a quiet text").await.expect("embeds").values;
    let hostile: Vec<_> = ["loop", "spin-host", "allocate", "trap", "many-tensors"]
        .into_iter()
        .cycle()
        .take(20)
        .map(|behaviour| {
            let engine = engine.clone();
            let deployment = if matches!(behaviour, "loop" | "spin-host") { "impatient" } else { "hostile" };
            tokio::spawn(async move { embed(&engine, deployment, behaviour).await.map(|_| ()) })
        })
        .collect();
    for _ in 0..20 {
        let answer = embed(&engine, "embedder", "a quiet text").await.expect("embeds beside hostile guests");
        assert_eq!(answer.values, alone);
    }
    for task in hostile {
        task.await.expect("the host does not panic").expect_err("is hostile");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deadline_of_the_caller_ends_the_guest() {
    let Some(engine) = engine("a_deadline_of_the_caller_ends_the_guest") else { return };
    let mut request = EmbedRequest { deployment: Some("hostile".to_owned()), ..EmbedRequest::texts(["loop"]) };
    request.deadline = Some(tokio::time::Instant::now() + Duration::from_millis(30));
    let error = engine.embed(request).await.expect_err("loops");
    assert_eq!(error.kind(), ErrorKind::DeadlineExceeded);
    assert!(error.to_string().starts_with("the deadline of the request passed"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn draining_refuses_new_requests_and_waits_for_the_others() {
    let Some(engine) = engine("draining_refuses_new_requests_and_waits_for_the_others") else { return };
    let busy = engine.clone();
    let running = tokio::spawn(async move { embed(&busy, "impatient", "loop").await.map(|_| ()) });
    while engine.inflight() == 0 {
        tokio::task::yield_now().await;
    }
    assert_eq!(engine.drain(Duration::ZERO).await, 1);
    let error = embed(&engine, "embedder", "late").await.expect_err("is draining");
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert_eq!(engine.drain(Duration::from_secs(60)).await, 0);
    running.await.expect("no panic").expect_err("loops");
}
