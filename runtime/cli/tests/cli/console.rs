//! The console's requests, as programs meet them: what it tells, and whom it tells nothing.

use http::Request;
use serde_json::{Value, json};
use wisp_proto::v1::EmbedRequest;

use crate::support::{self, Server};

/// An answer, read whole.
struct Answer {
    status: u16,
    headers: http::HeaderMap,
    body: String,
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }

    fn header(&self, name: &str) -> &str {
        self.headers.get(name).unwrap_or_else(|| panic!("no {name}")).to_str().expect("a text")
    }
}

/// Sends a request to the admin listener; an empty body is a GET.
fn send(server: &Server, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
    let method = if body.is_empty() { "GET" } else { "POST" };
    let mut request = Request::builder().method(method).uri(format!("http://{}{path}", server.admin));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let agent = ureq::Agent::config_builder().http_status_as_error(false).build().new_agent();
    let mut response = agent.run(request.body(body.to_owned()).expect("a request")).expect("answers");
    let body = response.body_mut().read_to_string().expect("a text");
    Answer { status: response.status().as_u16(), headers: response.headers().clone(), body }
}

fn ask(server: &Server, headers: &[(&str, &str)], message: &Value) -> Answer {
    let headers = [&[("content-type", "application/json")], headers].concat();
    send(server, "/api/embed", &headers, &message.to_string())
}

#[test]
fn the_console_serves_its_page_and_tells_browsers_what_it_may_do() {
    let Some(server) = Server::start_with_admin("the_console_serves_its_page", &[]) else { return };
    let page = send(&server, "/", &[], "");
    assert_eq!((page.status, page.header("content-type")), (200, "text/html; charset=utf-8"));
    for (path, content_type) in [
        ("/console/console.js", "text/javascript; charset=utf-8"),
        ("/console/console.css", "text/css; charset=utf-8"),
        ("/console/icon.svg", "image/svg+xml"),
    ] {
        let part = send(&server, path, &[], "");
        assert_eq!((part.status, part.header("content-type")), (200, content_type), "{path}");
        let again = send(&server, path, &[("if-none-match", part.header("etag"))], "");
        assert_eq!((again.status, again.body.as_str()), (304, ""), "{path}");
    }
    for path in ["/", "/console/chart.js", "/console/no-such-part", "/api/status", "/api/figures"] {
        let answer = send(&server, path, &[], "");
        let policy = answer.header("content-security-policy");
        for rule in ["default-src 'none'", "script-src 'self'", "frame-ancestors 'none'", "form-action 'none'"] {
            assert!(policy.contains(rule), "{path}: {policy}");
        }
        assert!(!policy.contains("unsafe"), "{path}: {policy}");
        assert_eq!(answer.header("x-content-type-options"), "nosniff", "{path}");
        assert_eq!(answer.header("referrer-policy"), "no-referrer", "{path}");
        let cached = if path.starts_with("/api/") || path.contains("no-such") { "no-store" } else { "no-cache" };
        assert_eq!(answer.header("cache-control"), cached, "{path}");
    }
    server.stop_cleanly();
}

#[tokio::test]
async fn the_console_tells_what_is_served_and_how_it_goes() {
    let Some(server) = Server::start_with_admin("the_console_tells_what_is_served", &[]) else { return };
    let status = send(&server, "/api/status", &[], "").json();
    assert_eq!(status["version"], env!("CARGO_PKG_VERSION"));
    let model = &status["models"][0];
    assert_eq!(model["name"], wisp_testing::MODEL);
    assert!(model["golden"]["min_cosine"].as_f64().expect("a number") > 0.9, "{model}");
    assert!(model["rows"]["is_proven"].is_boolean() && model["padding"]["is_proven"].is_boolean(), "{model}");
    let candidates = model["candidates"].as_array().expect("a list");
    let chosen: Vec<_> = candidates.iter().filter(|candidate| candidate["is_chosen"] == true).collect();
    assert_eq!(chosen.len(), 1, "{model}");
    assert_eq!(chosen[0]["precision"], model["precision"], "{model}");
    assert_eq!(chosen[0]["speed"], model["speed"], "{model}");
    let deployment = &status["deployments"][0];
    assert_eq!((&deployment["name"], &deployment["kind"]), (&json!("embedder"), &json!("embedder")));
    assert_eq!(deployment["limits"]["memory_bytes"], 64 << 20, "{deployment}");
    assert_eq!(deployment["models"][0]["model"], wisp_testing::MODEL);
    assert_eq!(status["playground"]["embed"], json!(["embedder"]));

    let before = send(&server, "/api/figures", &[], "").json();
    let message = EmbedRequest { texts: vec!["one".to_owned()], ..EmbedRequest::default() };
    server.client().await.embed(message).await.expect("embeds");
    let after = send(&server, "/api/figures", &[], "").json();
    let answered = |figures: &Value| {
        let text = figures["openmetrics"].as_str().expect("a text");
        support::sample(text, "wisp_requests_total", &["deployment=\"embedder\"", "code=\"ok\""])
    };
    assert!((answered(&after) - answered(&before) - 1.0).abs() < f64::EPSILON);
    assert!(after["uptime_ms"].as_u64() >= before["uptime_ms"].as_u64());
    assert_eq!((&after["is_draining"], &after["problems"]), (&json!(false), &json!([])));
    #[cfg(target_os = "linux")]
    assert!(after["resident_bytes"].as_u64().expect("a number") > 10 << 20);
    server.stop_cleanly();
}

#[test]
fn the_playground_compares_texts_and_says_errors_as_the_engine_does() {
    let Some(server) = Server::start_with_admin("the_playground_compares_texts", &[]) else { return };
    let texts = ["a bird sings", "birdsong at dawn", "the invoice is overdue"];
    let answer = ask(&server, &[], &json!({ "deployment": "embedder", "texts": texts }));
    assert_eq!(answer.status, 200, "{}", answer.body);
    let answer = answer.json();
    let cosine = |row: usize, column: usize| answer["similarity"][row][column].as_f64().expect("a number");
    for index in 0..3 {
        assert!((cosine(index, index) - 1.0).abs() < 1e-6, "{answer}");
    }
    assert!(cosine(0, 1) > cosine(0, 2) + 0.2 && (cosine(0, 1) - cosine(1, 0)).abs() < 1e-9, "{answer}");
    assert_eq!((&answer["dimensions"], &answer["placement"]["model"]), (&json!(384), &json!(wisp_testing::MODEL)));
    assert!(answer["total_us"].as_f64().expect("a number") > 0.0, "{answer}");

    for (message, status, says) in [
        (json!({ "texts": [] }), 400, "the request has no texts"),
        (json!({ "texts": ["a", " "] }), 400, "text 1 is empty or blank"),
        (json!({ "texts": ["a"], "deployment": "nobody" }), 404, "deployment `nobody` does not exist"),
        (json!({ "texts": vec!["a"; 33] }), 413, "send at most 32"),
        (json!({ "texts": ["a".repeat(300 << 10)] }), 413, "length limit"),
        (json!({ "text": "a" }), 422, "unknown field `text`"),
    ] {
        let answer = ask(&server, &[], &message);
        let error = answer.json()["error"].as_str().expect("an error").to_owned();
        assert!(answer.status == status && error.contains(says), "{} for {says}: {error}", answer.status);
    }
    let answer = send(&server, "/api/embed", &[("content-type", "text/plain")], "{\"texts\":[\"a\"]}");
    assert_eq!(answer.status, 415, "{}", answer.body);
    server.stop_cleanly();
}

#[test]
fn pages_of_others_are_told_nothing() {
    let Some(server) = Server::start_with_admin("pages_of_others_are_told_nothing", &[]) else { return };
    let message = json!({ "texts": ["a"] });
    let own = format!("http://{}", server.admin);
    for (headers, status) in [
        ([("sec-fetch-site", "cross-site"), ("origin", "https://evil.example")], 403),
        ([("sec-fetch-site", "same-site"), ("origin", own.as_str())], 403),
        ([("x-other", "-"), ("origin", "http://127.0.0.1:1")], 403),
        ([("x-other", "-"), ("origin", own.as_str())], 200),
        ([("sec-fetch-site", "same-origin"), ("origin", own.as_str())], 200),
        // A name that was made to resolve to this address: the browser takes all of it for one origin.
        ([("sec-fetch-site", "same-origin"), ("host", "evil.example:9090")], 421),
    ] {
        let answer = ask(&server, &headers, &message);
        assert_eq!(answer.status, status, "{headers:?}: {}", answer.body);
    }
    for path in ["/", "/console/console.js", "/api/status", "/api/figures"] {
        let answer = send(&server, path, &[("host", "evil.example")], "");
        assert_eq!(answer.status, 421, "{path}: {}", answer.body);
    }
    let answer = send(&server, "/api/figures", &[("sec-fetch-site", "cross-site")], "");
    assert_eq!(answer.status, 403, "{}", answer.body);
    // Prometheus and probes may use any name.
    for path in ["/metrics", "/healthz", "/readyz"] {
        assert_eq!(send(&server, path, &[("host", "wisp.default.svc")], "").status, 200, "{path}");
    }
    server.stop_cleanly();
}

#[test]
fn where_there_are_administrators_the_console_is_theirs() {
    let test = "where_there_are_administrators_the_console_is_theirs";
    let folder = tempfile::tempdir().expect("a folder");
    for name in ["operator", "both"] {
        std::fs::write(folder.path().join(name), format!("token of {name}\n").replace(' ', "-")).expect("writes");
    }
    let config = folder.path().join("wisp.toml");
    let text = "[tenants.operator]\ntoken_file = \"operator\"\nscopes = [\"admin\"]\n\
                [tenants.both]\ntoken_file = \"both\"\nscopes = [\"infer\", \"admin\"]\n";
    std::fs::write(&config, text).expect("writes");
    let config = config.display().to_string();
    let Some(server) = Server::start_with_admin(test, &["--config", &config]) else { return };
    let message = json!({ "texts": ["a"] });
    for (token, figures, embed) in [
        ("", 401, 401),
        ("Bearer nobody", 401, 401),
        ("Bearer token-of-operator", 200, 403),
        ("Bearer token-of-both", 200, 200),
    ] {
        let headers = [("authorization", token)];
        let headers = if token.is_empty() { &[][..] } else { &headers[..] };
        assert_eq!(send(&server, "/", headers, "").status, 200, "the page itself tells nothing");
        assert_eq!(send(&server, "/api/status", headers, "").status, figures, "{token}");
        assert_eq!(send(&server, "/api/figures", headers, "").status, figures, "{token}");
        let answer = ask(&server, headers, &message);
        assert_eq!(answer.status, embed, "{token}: {}", answer.body);
    }
    server.stop_cleanly();
}
