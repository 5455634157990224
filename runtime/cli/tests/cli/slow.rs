//! Clients that never finish what they began: they are told the limit, and hold nothing.

use std::io::{Read, Write};
use std::net::TcpStream;

use crate::support::Server;

const CONFIG: &str = "[server.limits]\nreceive_ms = 300\nhandshake_ms = 300\n\
    [models.all-minilm-l6-v2]\nplacement = [\"candle:cpu\"]\nprecision = \"f32\"\n";

/// What comes back until the server closes or answers.
fn told(address: &str, sent: &str) -> String {
    let mut stream = TcpStream::connect(address).expect("listens");
    stream.write_all(sent.as_bytes()).expect("sends");
    let mut answer = String::new();
    let mut bytes = [0; 4096];
    while let Ok(count @ 1..) = stream.read(&mut bytes) {
        answer.push_str(&String::from_utf8_lossy(&bytes[..count]));
        if answer.contains("receive_ms") {
            break;
        }
    }
    answer
}

#[test]
fn a_body_that_never_comes_is_refused_by_name_of_the_limit_and_a_head_that_never_ends_is_let_go() {
    let test = "a_body_that_never_comes_is_refused_by_name_of_the_limit_and_a_head_that_never_ends_is_let_go";
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("wisp.toml");
    std::fs::write(&path, CONFIG).expect("writes");
    let Some(server) = Server::start(test, &["--config", &path.display().to_string()]) else { return };
    for (path, status) in [
        ("/v1/embeddings", 408),
        ("/embed", 408),
        ("/v1/classify", 408),
        ("/predict", 408),
        ("/v2/models/embedder/infer", 408),
    ] {
        let head =
            format!("POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n{{");
        let answer = told(&server.http, &head);
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{path}: {answer}");
        assert!(
            answer.contains("the body did not arrive within 300 ms (server.limits.receive_ms)"),
            "{path}: {answer}"
        );
        assert!(answer.to_ascii_lowercase().contains("connection: close\r\n"), "{path}: {answer}");
    }
    for head in ["", "GET /v1/mod", "GET /v1/models HTTP/1.1\r\nHost: x\r\nX-Slow: a\r\n"] {
        assert_eq!(told(&server.http, head), "", "`{head}` is not answered, and its connection ends");
    }
    server.stop_cleanly();
}
