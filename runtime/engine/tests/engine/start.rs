//! What the engine says when it cannot start, and what it does when a placement fails.

use std::path::Path;

use crate::support;
use wisp_core::{BackendId, Device, Placement, Precision};
use wisp_engine::{Config, EmbedRequest, Engine, PrecisionChoice};
use wisp_model_store::{Access, Home, NoProgress, Store};
use wisp_testing::{MODEL, RealModel};

fn refused(config: Config, store: &Store) -> String {
    match Engine::start(config, store, &NoProgress) {
        Ok(_) => panic!("must not start"),
        Err(error) => error.to_string(),
    }
}

fn on(backend: BackendId, device: Device) -> Placement {
    Placement { backend, device }
}

#[test]
fn a_placement_that_fails_is_skipped_for_the_next_one_that_is_listed() {
    let Some(real) = RealModel::get("a_placement_that_fails_is_skipped_for_the_next_one_that_is_listed") else {
        return;
    };
    let mut config = Config::default();
    config.models.get_mut(MODEL).expect("the default model").placement =
        vec![on(BackendId::Candle, Device::Npu), on(BackendId::Candle, Device::Cpu)];
    let engine = support::start(config, &real);
    assert_eq!(engine.models()[0].placement, on(BackendId::Candle, Device::Cpu));
}

#[test]
fn what_is_not_listed_is_never_used() {
    let Some(real) = RealModel::get("what_is_not_listed_is_never_used") else { return };
    let mut config = Config::default();
    config.models.get_mut(MODEL).expect("the default model").placement = vec![on(BackendId::Candle, Device::Gpu(0))];
    let error = refused(config, &real.store);
    assert!(error.contains("candle:gpu:0: backend `candle` cannot use device `gpu:0`"), "{error}");
}

#[test]
fn a_precision_that_was_asked_for_and_cannot_be_proven_is_an_error() {
    let Some(real) = RealModel::get("a_precision_that_was_asked_for_and_cannot_be_proven_is_an_error") else { return };
    let mut config = Config::default();
    let model = config.models.get_mut(MODEL).expect("the default model");
    model.placement = vec![on(BackendId::Candle, Device::Cpu)];
    model.precision = PrecisionChoice::Exactly(Precision::Int8);
    let error = refused(config, &real.store);
    assert!(error.contains("candle:cpu: the manifest has no file in precision int8 for backend `candle`"), "{error}");
}

#[test]
fn an_empty_cache_without_network_says_what_is_missing() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let store = Store::new(Home::at(folder.path()), Access::Offline);
    let error = refused(Config::default(), &store);
    assert!(error.contains("wisp models pull all-minilm-l6-v2"), "{error}");
}

#[test]
fn guests_that_are_none_are_told_apart() {
    let Some(real) = RealModel::get("guests_that_are_none_are_told_apart") else { return };
    let folder = tempfile::tempdir().expect("temporary folder");
    let with_guest = |guest: &Path| {
        let mut config = Config::default();
        config.models.get_mut(MODEL).expect("the default model").placement = vec![on(BackendId::Candle, Device::Cpu)];
        config.deployments.get_mut("embedder").expect("the default").guest = guest.display().to_string();
        config
    };
    for (name, bytes, message) in [
        ("empty.wasm", &b""[..], "the file is empty"),
        ("text.wasm", b"hello", "does not start with the magic bytes"),
        ("core.wasm", b"\0asm\x01\0\0\0", "a core module without a function `_start`"),
        ("native.wasm", b"\x7fELF\x02\x01\x01", "does not start with the magic bytes"),
        ("cut.wasm", b"\0asm\x0d\0\x01\0\x07", "does not compile"),
        ("bare.wasm", b"\0asm\x0d\0\x01\0", "does not fit this host"),
    ] {
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).expect("written");
        let error = refused(with_guest(&path), &real.store);
        assert!(error.contains(message) && error.contains(name), "{name}: {error}");
    }
    let error = refused(with_guest(&folder.path().join("nowhere.wasm")), &real.store);
    assert!(error.contains("nowhere.wasm"), "{error}");
    let mut config = Config::default();
    config.deployments.get_mut("embedder").expect("the default").guest = "builtin:nothing".to_owned();
    assert!(refused(config, &real.store).contains("guest `builtin:nothing` is not in this binary"));
}

#[tokio::test]
async fn a_request_that_no_guest_needs_to_see_is_refused_at_the_door() {
    let test = "a_request_that_no_guest_needs_to_see_is_refused_at_the_door";
    let Some(real) = RealModel::get(test) else { return };
    let Some(mut config) = support::config(test, BackendId::Candle) else { return };
    config.server.limits.texts = 3;
    config.server.limits.text_bytes = 100;
    let engine = support::start(config, &real);
    let long = "x".repeat(101);
    for (texts, message) in [
        (vec![], "the request has no texts; send at least one"),
        (vec!["a", ""], "text 1 is empty or blank; an embedding of nothing means nothing"),
        (vec!["a"; 4], "the request has 4 texts; at most 3 are taken at once (server.limits.texts)"),
        (vec![long.as_str()], "text 0 has 101 bytes; at most 100 are taken (server.limits.text_bytes)"),
    ] {
        let error = engine.embed(EmbedRequest::texts(texts)).await.expect_err(message);
        assert_eq!(error.to_string(), message);
    }
    let request = EmbedRequest { deployment: Some("nobody".to_owned()), ..EmbedRequest::texts(["a"]) };
    let error = engine.embed(request).await.expect_err("does not exist");
    assert_eq!(error.to_string(), "deployment `nobody` does not exist; there is `embedder`, `portable`");
}
