//! Networks that break, servers that are busy or silent, and storage that was tampered with.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use wisp_testing::RegistryServer as Server;

use crate::proxy::{Fault, Proxy};
use crate::support::{Bench, module};

/// As many bytes as one request brings in several reads.
const SIZE_BYTES: usize = 3 << 20;

#[tokio::test]
async fn a_busy_registry_is_asked_again() {
    let test = "a_busy_registry_is_asked_again";
    let Some(server) = Server::start(test) else { return };
    let bench = Bench::new();
    // The first of each request fails, each in another way; every upload has an address of its own.
    let is_first_piece = AtomicBool::new(true);
    let proxy = Proxy::before(&server.address, move |seen, earlier| match (earlier, seen.method.as_str()) {
        (0, "GET") => Fault::Status(429),
        (0, "HEAD") => Fault::Status(503),
        (0, "POST") => Fault::Status(500),
        (_, "PATCH") if is_first_piece.swap(false, Ordering::Relaxed) => Fault::Drop,
        (0, "PUT") if seen.path.contains("/manifests/") => Fault::Drop,
        _ => Fault::None,
    });
    let bytes = module(SIZE_BYTES, 1);
    let (file, reference) = (bench.write("m.wasm", &bytes), format!("{}/m:v1", proxy.address));
    bench.push(&reference, &file).await.expect("at the second attempt");
    assert_eq!(proxy.seen("PUT", "/manifests/v1").len(), 2);
    let pulled = bench.pull(&reference).await.expect("at the second attempt");
    assert!(std::fs::read(pulled.path).expect("there") == bytes);
}

#[tokio::test]
async fn a_registry_that_stays_busy_is_given_up() {
    let test = "a_registry_that_stays_busy_is_given_up";
    let Some(server) = Server::start(test) else { return };
    let mut bench = Bench::new();
    bench.options.attempts = 3;
    for (status, answer) in [(429, "status 429"), (503, "status 503: busy")] {
        let proxy = Proxy::before(&server.address, move |seen, _| match seen.path.contains("manifests") {
            true => Fault::Status(status),
            false => Fault::None,
        });
        let error = bench.pull(&format!("{}/m:v1", proxy.address)).await.expect_err("busy").to_string();
        assert!(error.contains(answer) && error.contains("(tried 3 times); try later"), "{error}");
        assert_eq!(proxy.seen("GET", "/manifests/").len(), 3);
    }
}

#[tokio::test]
async fn a_download_that_broke_goes_on_where_it_ended() {
    let test = "a_download_that_broke_goes_on_where_it_ended";
    let Some(server) = Server::start(test) else { return };
    let mut bench = Bench::new();
    let bytes = module(SIZE_BYTES, 2);
    let file = bench.write("m.wasm", &bytes);
    bench.push(&format!("{}/m:v1", server.address), &file).await.expect("pushed");

    // Within one call: the first answer breaks off, the second brings the rest.
    let proxy = Proxy::before(&server.address, |seen, earlier| match seen.path.contains("/blobs/") && earlier == 0 {
        true => Fault::Truncate(1 << 20),
        false => Fault::None,
    });
    let output = bench.work().join("first.wasm");
    bench.pull_to(&format!("{}/m:v1", proxy.address), &output).await.expect("resumed");
    assert!(std::fs::read(&output).expect("there") == bytes);
    let asked = proxy.seen("GET", "/blobs/");
    assert_eq!(asked.len(), 2);
    assert_eq!((&asked[0].range, asked[1].range.as_deref()), (&None, Some("bytes=1048576-")));

    // From one call to the next: what had arrived lies in the cache.
    bench.options.attempts = 1;
    let proxy = Proxy::before(&server.address, |seen, earlier| match seen.path.contains("/blobs/") && earlier == 0 {
        true => Fault::Truncate(2 << 20),
        false => Fault::None,
    });
    let reference = format!("{}/m:v1", proxy.address);
    let error = bench.pull(&reference).await.expect_err("broken off").to_string();
    assert!(error.contains("cannot reach 127.0.0.1:"), "{error}");
    let pulled = bench.pull(&reference).await.expect("resumed");
    assert!(std::fs::read(&pulled.path).expect("there") == bytes);
    assert_eq!(proxy.seen("GET", "/blobs/")[1].range.as_deref(), Some("bytes=2097152-"));
    let folder = pulled.path.parent().expect("has one").to_owned();
    assert!(!folder.join("partial").exists(), "what was needed on the way is gone");
}

#[tokio::test]
async fn a_beginning_that_is_another_files_is_started_anew() {
    let test = "a_beginning_that_is_another_files_is_started_anew";
    let Some(server) = Server::start(test) else { return };
    let bench = Bench::new();
    let bytes = module(100_000, 4);
    let (file, reference) = (bench.write("m.wasm", &bytes), format!("{}/m:v1", server.address));
    let pushed = bench.push(&reference, &file).await.expect("pushed");
    let blob = wisp_model_store::Sha256Digest::of(&bytes);
    let partial = bench.store.home().artifact(pushed.digest).join("partial").join(blob.to_string());
    for beginning in [vec![0; 50_000], vec![0; bytes.len()], vec![0; 200_000]] {
        std::fs::create_dir_all(partial.parent().expect("has one")).expect("new folder");
        std::fs::write(&partial, &beginning).expect("writable");
        let output = bench.work().join(format!("{}.wasm", beginning.len()));
        bench.pull_to(&reference, &output).await.expect("pulled");
        assert!(std::fs::read(&output).expect("there") == bytes, "{}", beginning.len());
    }
}

#[tokio::test]
async fn a_blob_that_was_tampered_with_is_refused() {
    let test = "a_blob_that_was_tampered_with_is_refused";
    let Some(server) = Server::start(test) else { return };
    let bench = Bench::new();
    let bytes = module(100_000, 6);
    let (file, reference) = (bench.write("m.wasm", &bytes), format!("{}/m:v1", server.address));
    let pushed = bench.push(&reference, &file).await.expect("pushed");
    let blob = server.blob(&wisp_model_store::Sha256Digest::of(&bytes).to_string());
    let mut tampered = bytes.clone();
    tampered[50_000] ^= 1;
    std::fs::write(&blob, &tampered).expect("the registry's storage is ours");
    for _ in 0..2 {
        let error = bench.pull(&reference).await.expect_err("another file").to_string();
        assert!(error.contains("is not what its digest says: expected sha256:"), "{error}");
    }
    assert!(!bench.store.home().artifact_module(pushed.digest).exists());

    // A manifest that was changed in place: what is pinned is refused, whatever the registry says of it.
    std::fs::write(&blob, &bytes).expect("the registry's storage is ours");
    let manifest = server.blob(&pushed.digest.to_string());
    let text = std::fs::read_to_string(&manifest).expect("JSON").replace("m.wasm", "M.wasm");
    std::fs::write(&manifest, text).expect("the registry's storage is ours");
    let error = bench.pull(&pushed.pinned).await.expect_err("another manifest").to_string();
    assert!(error.contains("is not what its digest says"), "{error}");
}

#[tokio::test]
async fn a_registry_that_says_nothing_is_given_up() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("bound");
    let mut bench = Bench::new();
    bench.options = wisp_registry::RegistryOptions {
        timeout: Duration::from_secs(1),
        attempts: 2,
        plain_http: true,
        ..bench.options.clone()
    };
    // The system takes the connection; nobody ever answers.
    let error = bench.pull(&format!("{address}/m:v1")).await.expect_err("silence").to_string();
    assert!(error.contains("answered nothing for 1 s (tried 2 times)"), "{error}");
    drop(listener);
    let error = bench.pull(&format!("{address}/m:v1")).await.expect_err("nobody").to_string();
    assert!(error.contains(&format!("cannot reach {address}")) && error.contains("(tried 2 times)"), "{error}");
}
