//! Browsers and pages of other origins: what the service lets them do, as a browser asks for it.

use crate::support::{Server, send};

const ORIGIN: &str = "https://app.example";

/// What a browser asks before a page of `origin` may post to this path.
fn preflight(server: &Server, path: &str, origin: &str) -> String {
    let head = format!(
        "OPTIONS {path} HTTP/1.1\r\nOrigin: {origin}\r\nAccess-Control-Request-Method: POST\r\n\
         Access-Control-Request-Headers: authorization,content-type,x-grpc-web\r\n"
    );
    send(&server.http, &head).to_ascii_lowercase()
}

fn models(server: &Server, origin: &str) -> String {
    send(&server.http, &format!("GET /v1/models HTTP/1.1\r\nOrigin: {origin}\r\n")).to_ascii_lowercase()
}

fn start(test: &str, origins: &str) -> Option<Server> {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("wisp.toml");
    std::fs::write(&path, format!("[server]\n{origins}\n")).expect("writes");
    Server::start(test, &["--config", &path.display().to_string()])
}

#[test]
fn pages_of_origins_that_are_named_may_use_the_apis_and_no_others() {
    let test = "pages_of_origins_that_are_named_may_use_the_apis_and_no_others";
    let Some(server) = start(test, &format!("cors_origins = [\"{ORIGIN}\", \"http://localhost:3000\"]")) else {
        return;
    };
    for path in ["/v1/embeddings", "/v2/models/embedder/infer", "/wisp.v1.InferenceService/Embed"] {
        let answer = preflight(&server, path, ORIGIN);
        for header in [
            "access-control-allow-origin: https://app.example\r\n",
            "access-control-allow-methods: get,post\r\n",
            "access-control-allow-headers: authorization,content-type,x-grpc-web\r\n",
        ] {
            assert!(answer.starts_with("http/1.1 200 ") && answer.contains(header), "{path}: {answer}");
        }
        let stranger = preflight(&server, path, "https://evil.example");
        assert!(!stranger.contains("access-control-allow-origin"), "{path}: {stranger}");
    }
    let answer = models(&server, "http://localhost:3000");
    assert!(answer.contains("access-control-allow-origin: http://localhost:3000\r\n"), "{answer}");
    assert!(answer.contains("access-control-expose-headers: grpc-status,grpc-message,"), "{answer}");
    assert!(answer.contains("all-minilm-l6-v2") || answer.contains("embedder"), "is the answer itself: {answer}");
    assert!(!models(&server, "https://evil.example").contains("access-control-allow-origin"));
    server.stop_cleanly();
}

#[test]
fn without_origins_nothing_is_said_of_them_and_a_star_is_all_of_them() {
    let test = "without_origins_nothing_is_said_of_them_and_a_star_is_all_of_them";
    let Some(server) = start(test, "") else { return };
    assert!(!models(&server, ORIGIN).contains("access-control-"));
    assert!(preflight(&server, "/v1/embeddings", ORIGIN).starts_with("http/1.1 405 "));
    server.stop_cleanly();
    let Some(server) = start(test, "cors_origins = [\"*\"]") else { return };
    assert!(models(&server, ORIGIN).contains("access-control-allow-origin: *\r\n"));
    server.stop_cleanly();
}
