//! Limits and grants of deployments, and what instances see of each other.

use std::sync::Arc;

use wisp_core::{BackendId, ErrorKind, Kinded};
use wisp_engine::{
    Config, DeploymentConfig, EmbedRequest, Engine, EngineError, GuestLimits, InstancesChoice, ModelGrantConfig,
    StartError, TrustConfig,
};
use wisp_model_store::NoProgress;
use wisp_testing::{MODEL, RealModel};

use crate::support;

/// Time enough on the slowest machine.
fn patient() -> GuestLimits {
    GuestLimits { wall_ms: 60_000, ..GuestLimits::default() }
}

/// A configuration with one deployment more, of a guest that was built.
fn with(
    test: &str,
    name: &str,
    guest: &str,
    change: impl FnOnce(&mut DeploymentConfig),
) -> Option<(RealModel, Config)> {
    let real = RealModel::get(test)?;
    let mut config = support::config(test, BackendId::Candle)?;
    support::add_guest(&mut config, test, name, guest, patient())?;
    change(config.deployments.get_mut(name).expect("was just added"));
    Some((real, config))
}

async fn embed(engine: &Engine, deployment: &str, texts: &[&str]) -> Result<Vec<f32>, EngineError> {
    let texts = EmbedRequest::texts(texts.iter().copied());
    let request = EmbedRequest { deployment: Some(deployment.to_owned()), ..texts };
    engine.embed(request).await.map(|answer| answer.values)
}

fn refused(config: Config, real: &RealModel) -> String {
    let started = Engine::start(config, &real.store, &NoProgress);
    started.err().expect("does not start").to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn fuel_ends_a_guest_that_computes_too_much() {
    let test = "fuel_ends_a_guest_that_computes_too_much";
    let Some((real, config)) = with(test, "metered", "hostile", |metered| metered.limits.fuel = Some(20_000_000))
    else {
        return;
    };
    let engine = support::start(config, &real);
    let error = embed(&engine, "metered", &["loop"]).await.expect_err("never ends");
    assert_eq!(error.kind(), ErrorKind::ResourceExhausted);
    let message = "deployment `metered`: the guest used up its 20000000 units of fuel (limits.fuel)";
    assert_eq!(error.to_string(), message);
    // The next request has all of its fuel again, and guests that are not metered run beside it.
    embed(&engine, "metered", &["echo"]).await.expect("has fuel enough");
    embed(&engine, "embedder", &["echo"]).await.expect("needs none");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_passes_to_the_host_in_one_call_is_bounded() {
    let test = "what_passes_to_the_host_in_one_call_is_bounded";
    let limit = |bounded: &mut DeploymentConfig| bounded.limits.hostcall_bytes = 1 << 20;
    let Some((real, config)) = with(test, "bounded", "hostile", limit) else { return };
    let engine = support::start(config, &real);
    let error = embed(&engine, "bounded", &["large-tensor"]).await.expect_err("8 MiB are too many");
    assert_eq!(error.kind(), ErrorKind::ResourceExhausted, "{error}");
    assert!(
        error.to_string().contains("more than 1048576 bytes to the host in one call (limits.hostcall_bytes)"),
        "{error}"
    );
    embed(&engine, "bounded", &["echo"]).await.expect("is small enough");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deployment_has_no_more_instances_than_it_may() {
    let test = "a_deployment_has_no_more_instances_than_it_may";
    let limit =
        |few: &mut DeploymentConfig| few.limits = GuestLimits { instances: Some(1), wall_ms: 2_000, ..patient() };
    let Some((real, config)) = with(test, "few", "hostile", limit) else { return };
    let engine = support::start(config, &real);
    let busy = engine.clone();
    let running = tokio::spawn(async move { embed(&busy, "few", &["loop"]).await });
    // A request is in flight before its instance has its place.
    while !engine.metrics().contains("wisp_guest_instances{deployment=\"few\"} 1") {
        tokio::task::yield_now().await;
    }
    let error = embed(&engine, "few", &["echo"]).await.expect_err("the only place is taken");
    assert_eq!(error.to_string(), "deployment `few`: all 1 instances are in use (limits.instances); try again later");
    assert!(error.retry_after().is_some());
    embed(&engine, "embedder", &["echo"]).await.expect("others are not concerned");
    running.await.expect("no panic").expect_err("loops");
    embed(&engine, "few", &["echo"]).await.expect("the place is free again");
}

#[tokio::test(flavor = "multi_thread")]
async fn modules_that_are_too_large_or_take_too_long_to_compile_are_refused_by_name_of_the_limit() {
    let test = "modules_that_are_too_large_or_take_too_long_to_compile_are_refused_by_name_of_the_limit";
    let small = |large: &mut DeploymentConfig| large.limits.module_bytes = 1000;
    let Some((real, config)) = with(test, "large", "hostile", small) else { return };
    let said = refused(config, &real);
    assert!(said.contains("at most 1000 are compiled"), "{said}");
    let fast = |slow: &mut DeploymentConfig| slow.limits.compile_ms = 1;
    let Some((_, mut config)) = with(test, "slow", "embedder-portable", fast) else { return };
    // Nothing but the module, and a cache that does not know it.
    config.deployments.retain(|name, _| name == "slow");
    config.deployments.values_mut().for_each(|slow| slow.models.clear());
    config.models.clear();
    let cold = tempfile::tempdir().expect("temporary folder");
    let store =
        wisp_model_store::Store::new(wisp_model_store::Home::at(cold.path()), wisp_model_store::Access::Offline);
    let said = Engine::start(config, &store, &NoProgress).err().expect("does not start").to_string();
    assert!(said.contains("is not compiled after 1 ms (limits.compile_ms)"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_grant_bounds_the_rows_of_a_batch_and_the_sdk_keeps_to_it() {
    let test = "a_grant_bounds_the_rows_of_a_batch_and_the_sdk_keeps_to_it";
    let bound = |bounded: &mut DeploymentConfig| {
        let grant = ModelGrantConfig { model: MODEL.to_owned(), max_rows: Some(2), deadline_ms: None };
        bounded.models.insert("encoder".to_owned(), grant);
    };
    let Some((real, mut config)) = with(test, "bounded", "embedder", bound) else { return };
    let portable = config.deployments.get_mut("portable").expect("is there");
    portable.models.insert("encoder".to_owned(), ModelGrantConfig { max_rows: Some(2), ..MODEL.into() });
    let engine = support::start(config, &real);
    let texts = ["one", "two", "three", "four", "five"];
    let bounded = embed(&engine, "bounded", &texts).await.expect("asks the host, and cuts its batches");
    let unbounded = embed(&engine, "embedder", &texts).await.expect("embeds");
    for (bounded, unbounded) in bounded.chunks(384).zip(unbounded.chunks(384)) {
        assert!(wisp_testing::cosine(bounded, unbounded) > 0.99999);
    }
    // A guest that knows nothing of it is refused, with the line that would allow it.
    let error = embed(&engine, "portable", &texts).await.expect_err("five rows at once");
    assert_eq!(error.kind(), ErrorKind::PermissionDenied, "{error}");
    let told = "5 rows are more than deployment `portable` may give model `encoder` at once (2); raise max_rows of `encoder` \
                under [deployments.portable.models]";
    assert!(error.to_string().contains(told), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_grant_bounds_the_time_of_an_inference() {
    let test = "a_grant_bounds_the_time_of_an_inference";
    let bound = |bounded: &mut DeploymentConfig| {
        let grant = ModelGrantConfig { model: MODEL.to_owned(), max_rows: None, deadline_ms: Some(1) };
        bounded.models.insert("encoder".to_owned(), grant);
    };
    let Some((real, config)) = with(test, "hurried", "embedder", bound) else { return };
    let engine = support::start(config, &real);
    let long = "word ".repeat(250);
    let texts: Vec<&str> = std::iter::repeat_n(long.as_str(), 16).collect();
    let error = embed(&engine, "hurried", &texts).await.expect_err("takes longer than a millisecond");
    let kinds = [ErrorKind::DeadlineExceeded, ErrorKind::ResourceExhausted];
    assert!(kinds.contains(&error.kind()), "{error}");
    embed(&engine, "embedder", &["short"]).await.expect("others are not concerned");
}

#[tokio::test(flavor = "multi_thread")]
async fn fresh_instances_remember_nothing_and_reused_ones_do() {
    let test = "fresh_instances_remember_nothing_and_reused_ones_do";
    let reuse = |kept: &mut DeploymentConfig| kept.instances = InstancesChoice::Reuse;
    let Some((real, mut config)) = with(test, "kept", "hostile", reuse) else { return };
    support::add_guest(&mut config, test, "fresh", "hostile", patient()).expect("it was built");
    let engine = support::start(config, &real);
    let count = async |deployment| embed(&engine, deployment, &["count"]).await.expect("counts")[0];
    assert_eq!((count("fresh").await, count("fresh").await), (1.0, 1.0));
    assert_eq!((count("kept").await, count("kept").await, count("kept").await), (1.0, 2.0, 3.0));
    // One that failed is not used again, and neither is one that kept tensors.
    embed(&engine, "kept", &["trap"]).await.expect_err("traps");
    assert_eq!(count("kept").await, 1.0);
    let vectors = embed(&engine, "kept", &["a text"]).await.expect("embeds");
    assert_eq!(vectors, embed(&engine, "fresh", &["a text"]).await.expect("embeds"));
    assert_eq!(count("kept").await, 2.0);
    // What the calls before used up does not count for later ones.
    for _ in 0..50 {
        embed(&engine, "kept", &["a text"]).await.expect("embeds");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn reused_instances_answer_many_callers_at_once() {
    let test = "reused_instances_answer_many_callers_at_once";
    let reuse = |kept: &mut DeploymentConfig| kept.instances = InstancesChoice::Reuse;
    let Some((real, config)) = with(test, "kept", "embedder", reuse) else { return };
    let engine = Arc::new(support::start(config, &real));
    let texts: Vec<String> = (0..48).map(|index| format!("text number {index} of several")).collect();
    let expected =
        engine.embed(EmbedRequest { deployment: Some("embedder".to_owned()), ..EmbedRequest::texts(&texts) });
    let expected = expected.await.expect("embeds").values;
    let call = |text: String| {
        let engine = Arc::clone(&engine);
        tokio::spawn(async move { embed(&engine, "kept", &[&text]).await.expect("embeds") })
    };
    let calls: Vec<_> = texts.iter().cloned().map(call).collect();
    for (call, expected) in calls.into_iter().zip(expected.chunks(384)) {
        assert!(wisp_testing::cosine(&call.await.expect("no panic"), expected) > 0.99999);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guest_is_initialised_once_ahead_of_all_requests() {
    let test = "a_guest_is_initialised_once_ahead_of_all_requests";
    let Some((real, config)) = with(test, "ahead", "initialized", |_| {}) else { return };
    let engine = support::start(config, &real);
    for text in ["four", "sixteen letters.", "four"] {
        let root = (text.len() as f32).sqrt();
        // Built once, long ago; and this instance has seen one request.
        assert_eq!(embed(&engine, "ahead", &[text]).await.expect("answers"), [root, 1.0, 1.0]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn modules_that_are_not_the_ones_that_may_run_are_refused() {
    let test = "modules_that_are_not_the_ones_that_may_run_are_refused";
    let pinned = |pinned: &mut DeploymentConfig| {
        let digest = Some(format!("sha256:{}", "0".repeat(64)));
        pinned.trust = TrustConfig { digest, ..TrustConfig::default() };
    };
    let Some((real, config)) = with(test, "pinned", "hostile", pinned) else { return };
    let said = refused(config, &real);
    assert!(
        said.starts_with("deployment `pinned`: guest ") && said.contains("is not trusted: the module is sha256:"),
        "{said}"
    );
    let unsigned = |unsigned: &mut DeploymentConfig| unsigned.trust.signed_by = vec!["no-such-key.pem".into()];
    let Some((real, config)) = with(test, "unsigned", "hostile", unsigned) else { return };
    let said = refused(config, &real);
    assert!(said.contains("hostile.wasm.sig"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_is_no_deployment_and_is_told_where_it_belongs() {
    let test = "a_program_is_no_deployment_and_is_told_where_it_belongs";
    for guest in ["embed-nn", "image-witx"] {
        let Some((real, config)) = with(test, "program", guest, |_| {}) else { return };
        let started = Engine::start(config, &real.store, &NoProgress);
        let error = started.err().expect("answers no requests");
        assert!(matches!(error, StartError::Program { .. }), "{error}");
        assert!(error.to_string().ends_with("run it with `wisp run`"), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_application_asked_to_embed_says_what_it_is() {
    let test = "an_application_asked_to_embed_says_what_it_is";
    let Some((real, config)) = with(test, "web", "http-probe", |web| web.models.clear()) else { return };
    let engine = support::start(config, &real);
    assert!(engine.has_application("/"));
    let error = embed(&engine, "web", &["a text"]).await.expect_err("serves HTTP");
    assert_eq!(error.kind(), ErrorKind::InvalidArgument);
    assert!(error.to_string().starts_with("deployment `web` is an HTTP application"), "{error}");
    let two = |second: &mut DeploymentConfig| second.models.clear();
    let Some((_, mut config)) = with(test, "one", "http-probe", two) else { return };
    support::add_guest(&mut config, test, "two", "http-probe", patient()).expect("it was built");
    let said = refused(config, &real);
    assert!(said.contains("deployment `one` serves HTTP beside others and has no route"), "{said}");
}
