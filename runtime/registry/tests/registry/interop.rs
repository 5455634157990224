//! What others push, we pull; what we push, others pull.

use std::path::Path;

use wisp_testing::RegistryServer as Server;

use crate::oras::Oras;
use crate::support::{Bench, module};

#[tokio::test]
async fn what_oras_pushes_is_pulled_and_what_is_pushed_oras_pulls() {
    let test = "what_oras_pushes_is_pulled_and_what_is_pushed_oras_pulls";
    let (Some(server), Some(oras)) = (Server::start(test), Oras::plain(test)) else { return };
    let bench = Bench::new();
    let bytes = module(5 << 20, 3);
    let file = bench.write("m.wasm", &bytes);

    bench.push(&format!("{}/ours:v1", server.address), &file).await.expect("pushed");
    let folder = tempfile::tempdir().expect("temporary folder");
    oras.run(folder.path(), &["pull", &format!("{}/ours:v1", server.address)]);
    assert!(std::fs::read(folder.path().join("m.wasm")).expect("under its name") == bytes);

    for (index, media_type) in [
        "application/wasm",
        "application/vnd.wasm.content.layer.v1+wasm",
        "application/vnd.bytecodealliance.wasm.component.layer.v0+wasm",
    ]
    .into_iter()
    .enumerate()
    {
        let reference = format!("{}/theirs{index}:v1", server.address);
        oras.run(&bench.work(), &["push", &reference, &format!("m.wasm:{media_type}")]);
        let pulled = bench.pull(&reference).await.expect("pulled");
        assert!(std::fs::read(pulled.path).expect("there") == bytes, "{media_type}");
    }
}

#[tokio::test]
async fn machine_code_and_other_things_in_an_artifact_are_refused() {
    let test = "machine_code_and_other_things_in_an_artifact_are_refused";
    let (Some(server), Some(oras)) = (Server::start(test), Oras::plain(test)) else { return };
    let bench = Bench::new();
    for (index, (layer, bytes, reason)) in [
        ("m.wasm:application/wasm", &b"\x7fELF\x02\x01\x01\0"[..], "precompiled machine code"),
        ("m.wasm:application/wasm", b"hello", "no WebAssembly"),
        ("m.wasm:text/plain", b"hello", "neither a Wasm module nor a model: a layer is of type `text/plain`"),
    ]
    .into_iter()
    .enumerate()
    {
        bench.write("m.wasm", bytes);
        let reference = format!("{}/x{index}:v1", server.address);
        oras.run(&bench.work(), &["push", &reference, layer]);
        let error = bench.pull(&reference).await.expect_err(reason).to_string();
        assert!(error.contains(reason) && error.contains(&reference), "{error}");
    }
    let left = |folder: &Path| std::fs::read_dir(folder).map_or(0, |entries| entries.flatten().count());
    for entry in std::fs::read_dir(bench.store.home().artifacts()).expect("there").flatten() {
        assert!(!entry.path().join("module.wasm").exists(), "{} entries", left(&entry.path()));
    }
}

#[tokio::test]
async fn an_index_gives_the_entry_for_wasm_or_says_what_it_offers() {
    let test = "an_index_gives_the_entry_for_wasm_or_says_what_it_offers";
    let (Some(server), Some(oras)) = (Server::start(test), Oras::plain(test)) else { return };
    let bench = Bench::new();
    let bytes = module(100, 5);
    let file = bench.write("m.wasm", &bytes);
    let repository = format!("{}/multi", server.address);
    let pushed = bench.push(&format!("{repository}:single"), &file).await.expect("pushed");
    let size = oras.run(&bench.work(), &["manifest", "fetch", "--descriptor", &format!("{repository}:single")]);
    let size = serde_json::from_str::<serde_json::Value>(&size).expect("JSON")["size"].clone();
    let push_index = |tag: &str, platforms: &[(&str, &str)]| {
        let entry = |(os, architecture): &(&str, &str)| {
            serde_json::json!({
                "mediaType": "application/vnd.oci.image.manifest.v1+json", "size": size,
                "digest": format!("sha256:{}", pushed.digest), "platform": {"os": os, "architecture": architecture},
            })
        };
        let index = serde_json::json!({
            "schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json",
            "manifests": platforms.iter().map(entry).collect::<Vec<_>>(),
        });
        bench.write("index.json", index.to_string().as_bytes());
        oras.run(&bench.work(), &["manifest", "push", &format!("{repository}:{tag}"), "index.json"]);
    };
    push_index("both", &[("windows", "amd64"), ("wasip2", "wasm")]);
    let pulled = bench.pull(&format!("{repository}:both")).await.expect("one is for wasm");
    assert_eq!(std::fs::read(&pulled.path).expect("there"), bytes);
    assert_ne!(pulled.digest, pushed.digest, "pinned is what was asked for: the index");
    assert!(bench.pull(&pulled.pinned).await.expect("pinned").is_cached);

    push_index("others", &[("windows", "amd64"), ("linux", "s390x")]);
    let error = bench.pull(&format!("{repository}:others")).await.expect_err("none is ours").to_string();
    assert!(error.contains("it offers windows/amd64 (sha256:") && error.contains("linux/s390x"), "{error}");
}
