//! Modules go up and come down, byte for byte, and nothing else does.

use wisp_testing::RegistryServer as Server;

use crate::oras::Oras;
use crate::support::{Bench, module};

#[tokio::test]
async fn a_component_is_an_artifact_that_says_what_it_exports_and_imports() {
    let test = "a_component_is_an_artifact_that_says_what_it_exports_and_imports";
    let (Some(server), Some(oras)) = (Server::start(test), Oras::plain(test)) else { return };
    let Some(guest) = wisp_testing::guest(test, "embedder") else { return };
    let bench = Bench::new();
    let reference = format!("{}/team/embedder:v1", server.address);
    let pushed = bench.push(&reference, &guest).await.expect("pushed");

    let manifest = oras.manifest(&bench.work(), &reference);
    assert_eq!(manifest["mediaType"], "application/vnd.oci.image.manifest.v1+json");
    assert_eq!(manifest["config"]["mediaType"], "application/vnd.wasm.config.v0+json");
    let layers = manifest["layers"].as_array().expect("a list");
    assert_eq!((layers.len(), &layers[0]["mediaType"]), (1, &"application/wasm".into()));
    let config =
        format!("{}@{}", reference.trim_end_matches(":v1"), manifest["config"]["digest"].as_str().expect("text"));
    let config: serde_json::Value = serde_json::from_slice(&oras.blob(&bench.work(), &config)).expect("JSON");
    assert_eq!((&config["architecture"], &config["os"]), (&"wasm".into(), &"wasip2".into()));
    assert_eq!(config["layerDigests"][0], layers[0]["digest"]);
    let names = |kind: &str| config["component"][kind].to_string();
    assert!(names("exports").contains("wisp:inference/embedding"), "{config}");
    assert!(names("imports").contains("wasi:nn/"), "{config}");

    // The same file is the same artifact, and nothing of it is sent again.
    let again = bench.push(&format!("{}/team/embedder:v2", server.address), &guest).await.expect("pushed");
    assert_eq!((again.digest, again.sent_bytes), (pushed.digest, 0));
    let pulled = bench.pull(&pushed.pinned).await.expect("pulled by digest");
    assert_eq!((pulled.digest, pulled.is_cached), (pushed.digest, false));
    assert_eq!(std::fs::read(&pulled.path).expect("there"), std::fs::read(&guest).expect("there"));
}

#[tokio::test]
async fn a_module_goes_to_the_cache_or_where_it_is_wanted_and_is_not_asked_for_twice() {
    let test = "a_module_goes_to_the_cache_or_where_it_is_wanted_and_is_not_asked_for_twice";
    let Some(server) = Server::start(test) else { return };
    let bench = Bench::new();
    // Over two pieces of an upload, so that one follows the other.
    let bytes = module(9 << 20, 1);
    let file = bench.write("m.wasm", &bytes);
    let reference = format!("{}/m:v1", server.address);
    let pushed = bench.push(&reference, &file).await.expect("pushed");

    let output = bench.work().join("new/place/m.wasm");
    bench.pull_to(&reference, &output).await.expect("pulled");
    assert!(std::fs::read(&output).expect("there") == bytes);
    let error = bench.pull_to(&reference, &output).await.expect_err("it is there").to_string();
    assert!(error.contains("is there already"), "{error}");

    let pulled = bench.pull(&reference).await.expect("pulled");
    assert_eq!(pulled.path, bench.store.home().artifact_module(pushed.digest));
    std::fs::write(&pulled.path, b"\0asm damaged").expect("ours");
    let repaired = bench.pull(&pushed.pinned).await.expect("pulled again");
    assert!(!repaired.is_cached && std::fs::read(&repaired.path).expect("there") == bytes);
    drop(server);
    let cached = bench.pull(&pushed.pinned).await.expect("no registry is needed");
    assert!(cached.is_cached && std::fs::read(cached.path).expect("there") == bytes);
    let error = bench.pull(&reference).await.expect_err("a tag must be asked for").to_string();
    assert!(error.contains("cannot reach 127.0.0.1"), "{error}");
}

#[tokio::test]
async fn what_is_no_wasm_is_not_pushed() {
    let bench = Bench::new();
    for (bytes, reason) in [
        (&b"\x7fELF\x02\x01\x01"[..], "precompiled machine code, which would run outside the sandbox"),
        (b"#!/bin/sh", "no WebAssembly (it is a script)"),
        (b"", "no WebAssembly (it is empty)"),
        (b"\0asm\x01\0\0\0\x0a\xff", "damaged WebAssembly"),
    ] {
        let file = bench.write("x.wasm", bytes);
        // Nobody listens there: it is refused before anything is sent.
        let error = bench.push("127.0.0.1:1/x:v1", &file).await.expect_err(reason).to_string();
        assert!(error.contains(reason) && error.contains("x.wasm"), "{error}");
    }
    let file = bench.write("x.wasm", &module(0, 1));
    let digest = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    let error = bench.push(&format!("127.0.0.1:1/x@sha256:{digest}"), &file).await.expect_err("no tag").to_string();
    assert!(error.contains("a push needs a tag"), "{error}");
}

#[tokio::test]
async fn what_is_too_large_is_refused_before_it_is_sent_or_fetched() {
    let test = "what_is_too_large_is_refused_before_it_is_sent_or_fetched";
    let Some(server) = Server::start(test) else { return };
    let mut bench = Bench::new();
    let reference = format!("{}/m:v1", server.address);
    let file = bench.write("m.wasm", &module(100_000, 1));
    bench.push(&reference, &file).await.expect("pushed");
    bench.options.limit_bytes = Some(50_000);
    let errors = [bench.pull(&reference).await.map(drop), bench.push(&reference, &file).await.map(drop)];
    for error in errors {
        let error = error.expect_err("over the limit").to_string();
        assert!(error.contains("at most 50000 are taken, more with --max-bytes"), "{error}");
    }
}
