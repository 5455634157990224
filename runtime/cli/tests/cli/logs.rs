//! The log of a server: for programs where nobody looks on, with the trace of what failed, and without what is secret.

use std::io::Write;

use tonic::Request;
use wisp_proto::v1::EmbedRequest;

use crate::support::{Server, get, wisp};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const SECRETS: [&str; 3] = ["s3cret-of-a-tenant", "t0ken-of-nobody", "a text that is nobody's business"];

fn request(text: &str, token: &str) -> Request<EmbedRequest> {
    let mut request = Request::new(EmbedRequest { texts: vec![text.to_owned(); 2], ..EmbedRequest::default() });
    request.metadata_mut().insert("authorization", format!("Bearer {token}").parse().expect("a header"));
    let parent = format!("00-{TRACE}-00f067aa0ba902b7-00").parse().expect("a header");
    request.metadata_mut().insert("traceparent", parent);
    request
}

#[tokio::test]
async fn a_failure_is_logged_with_its_trace_and_no_secret_ever_is() {
    let test = "a_failure_is_logged_with_its_trace_and_no_secret_ever_is";
    let [secret, wrong, text] = SECRETS;
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("token"), secret).expect("writes");
    let config = folder.path().join("wisp.toml");
    std::fs::write(&config, "[tenants.search]\ntoken_file = \"token\"\n").expect("writes");
    let log = folder.path().join("log");
    let debug = [("WISP_LOG", "trace")];
    let config = config.display().to_string();
    let Some(server) = Server::start_logging(test, &["--config", &config], &log, &debug) else { return };
    let mut client = server.client().await;
    client.embed(request(text, secret)).await.expect("embeds");
    client.embed(request(text, wrong)).await.expect_err("nobody's token");
    client.embed(request("", secret)).await.expect_err("is empty");
    let mut stream = std::net::TcpStream::connect(&server.admin).expect("listens");
    write!(stream, "GET /livez HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {secret}\r\nConnection: close\r\n\r\n")
        .expect("sends");
    get(&server.admin, "/livez");
    server.stop_cleanly();

    let log = std::fs::read_to_string(log).expect("readable");
    for secret in SECRETS {
        assert!(!log.contains(secret), "`{secret}` is in the log");
    }
    let lines: Vec<serde_json::Value> = log
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error} in the line `{line}`")))
        .collect();
    let failed = |status: &str| {
        let is_it = |line: &&serde_json::Value| line["fields"]["status"] == status;
        lines.iter().find(is_it).unwrap_or_else(|| panic!("no {status} in\n{log}"))["fields"].clone()
    };
    for (status, message) in
        [("InvalidArgument", "text 0 is empty"), ("Unauthenticated", "the token is not that of any")]
    {
        let fields = failed(status);
        assert_eq!(fields["trace_id"], TRACE);
        assert_eq!(fields["what"], "POST /wisp.v1.InferenceService/Embed");
        assert!(fields["message"].is_string());
        let said = fields["reason"].as_str().unwrap_or_default();
        assert!(said.starts_with(message), "{fields}");
    }
    assert!(lines.iter().any(|line| line["fields"]["message"] == "listening"), "how it started is told:\n{log}");
}

#[test]
fn the_form_of_the_log_can_be_chosen() {
    for (format, is_json) in [("text", false), ("json", true), ("auto", true)] {
        let output = wisp()
            .args(["serve", "--log-format", format, "--config", "/nonexistent/wisp.toml"])
            .output()
            .expect("runs");
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        let line = error.lines().last().unwrap_or_default();
        assert_eq!(serde_json::from_str::<serde_json::Value>(line).is_ok(), is_json, "{format}: {error}");
        assert!(error.contains("/nonexistent/wisp.toml"), "{error}");
    }
}
