//! Probes over HTTP, as the kubelet asks them, from the first moment on.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::Stdio;
use std::time::Duration;

use crate::support::{Server, get, wisp};

fn status(response: &str) -> &str {
    response.split(' ').nth(1).unwrap_or_default()
}

fn body(response: &str) -> &str {
    response.split_once("\r\n\r\n").map_or("", |(_, body)| body)
}

#[tokio::test]
async fn probes_tell_the_truth_for_each_deployment() {
    let Some(server) = Server::start_with_admin("probes_tell_the_truth_for_each_deployment", &[]) else { return };
    for (path, expected, text) in [
        ("/livez", "200", "ok\n"),
        ("/healthz", "200", "ok\n"),
        ("/startupz", "200", "started\n"),
        ("/readyz", "200", "ready\n"),
        ("/readyz?verbose", "200", "[+]embedder ok\nreadyz check passed\n"),
        ("/readyz/embedder", "200", "ready\n"),
        ("/readyz/nobody", "404", "deployment `nobody` does not exist; there is `embedder`\n"),
    ] {
        let response = get(&server.admin, path);
        assert_eq!((status(&response), body(&response)), (expected, text), "{path}");
    }
    assert_eq!(status(&get(&server.admin, "/nothing")), "404");
    server.stop_cleanly();
}

/// A server whose model never comes: the hub that it asks takes connections and says nothing.
#[test]
fn while_models_are_loaded_the_process_lives_and_is_not_ready() {
    let hub = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let endpoint = format!("http://{}", hub.local_addr().expect("bound"));
    let free = TcpListener::bind("127.0.0.1:0").expect("a free port").local_addr().expect("bound");
    let home = tempfile::tempdir().expect("temporary folder");
    let mut child = wisp()
        .args(["serve", "--backend", "candle", "--grpc", "127.0.0.1:0", "--http", "off", "--admin", &free.to_string()])
        .env("WISP_HOME", home.path())
        .env("WISP_HUB_ENDPOINT", endpoint)
        .env("no_proxy", "127.0.0.1")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("the binary starts");
    let admin = wait_for(free);
    for (path, expected) in
        [("/livez", "200"), ("/metrics", "200"), ("/startupz", "503"), ("/readyz", "503"), ("/readyz/embedder", "503")]
    {
        let response = get(&admin, path);
        assert_eq!(status(&response), expected, "{path}: {response}");
    }
    let sent = std::process::Command::new("kill").args(["-TERM", &child.id().to_string()]).status().expect("kill runs");
    assert!(sent.success());
    assert_eq!(child.wait().expect("ends").code(), Some(143));
}

/// The address, once somebody listens there.
fn wait_for(address: SocketAddr) -> String {
    for _ in 0..1200 {
        if TcpStream::connect(address).is_ok() {
            return address.to_string();
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    panic!("nobody listens on {address}");
}
