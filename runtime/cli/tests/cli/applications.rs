//! HTTP applications as deployments: real sockets, real modules, and what clients see of those that misbehave.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;

use crate::support::{Server, get, sample};

/// A server whose configuration has these deployments.
struct Applications {
    server: Server,
    _folder: tempfile::TempDir,
}

impl Applications {
    fn start(test: &str, deployments: &str) -> Option<Self> {
        let probe = wisp_testing::guest(test, "http-probe")?.canonicalize().expect("it was built");
        let images = wisp_testing::guest(test, "http-images")?.canonicalize().expect("it was built");
        let birds = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models/birds-v1");
        let folder = tempfile::tempdir().expect("temporary folder");
        let config = folder.path().join("wisp.toml");
        let text = deployments
            .replace("PROBE", &probe.display().to_string())
            .replace("IMAGES", &images.display().to_string())
            .replace("BIRDS", &birds.display().to_string());
        std::fs::write(&config, text).expect("writable");
        let config = config.display().to_string();
        let arguments = ["--config", &config, "--http", "127.0.0.1:0"];
        Some(Self { server: Server::start_with_admin(test, &arguments)?, _folder: folder })
    }

    fn get(&self, path: &str) -> (u16, String) {
        split(&get(&self.server.http, path))
    }

    fn post(&self, path: &str, body: &[u8]) -> (u16, String) {
        let mut stream = TcpStream::connect(&self.server.http).expect("listens");
        let (host, length) = (&self.server.http, body.len());
        write!(stream, "POST {path} HTTP/1.1\r\nHost: {host}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n")
            .expect("sends");
        // The answer may come before all of the body was read.
        let _ = stream.write_all(body);
        let mut response = Vec::new();
        let _ = stream.read_to_end(&mut response);
        split(&String::from_utf8_lossy(&response))
    }
}

/// Status and body of a response.
fn split(response: &str) -> (u16, String) {
    let (head, body) = response.split_once("\r\n\r\n").unwrap_or((response, ""));
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
    (status.unwrap_or_else(|| panic!("no status in `{head}`")), body.to_owned())
}

const PROBE: &str = r#"
    [deployments.probe]
    guest = "PROBE"
    models = {}
    limits = { wall_ms = 1500, memory_bytes = 33554432 }
    [deployments.probe.grants]
    env = ["MODE=fast"]
"#;

#[tokio::test(flavor = "multi_thread")]
async fn an_application_answers_and_sees_what_it_was_granted() {
    let Some(applications) = Applications::start("an_application_answers_and_sees_what_it_was_granted", PROBE) else {
        return;
    };
    let (status, body) = applications.get("/");
    assert_eq!((status, body.contains("hello from 127.0.0.1:")), (200, true), "{body}");
    let (status, body) = applications.get("/env");
    assert_eq!((status, body.contains("\"MODE\":\"fast\"")), (200, true), "{body}");
    assert_eq!(applications.get("/nothing").0, 404);
    let (status, body) = applications.post("/echo", &vec![b'x'; 300_000]);
    assert_eq!(status, 200);
    assert_eq!(body.matches('x').count(), 300_000);
    let (status, body) = applications.get("/big?bytes=3000000");
    assert_eq!((status, body.len() > 3_000_000 - 1), (200, true));
    let metrics = get(&applications.server.admin, "/metrics");
    let labels = ["deployment=\"probe\"", "method=\"http\"", "code=\"ok\""];
    assert!(sample(&metrics, "wisp_requests_total", &labels) >= 5.0);
    applications.server.stop_cleanly();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_application_that_misbehaves_has_its_status_and_the_next_request_works() {
    let test = "an_application_that_misbehaves_has_its_status_and_the_next_request_works";
    let Some(applications) = Applications::start(test, PROBE) else { return };
    for (path, status, part) in [
        ("/trap", 500, "the guest trapped"),
        ("/never", 500, "it returned without an answer"),
        ("/loop", 504, "no answer within 1500 ms (limits.wall_ms)"),
        ("/slow", 504, "no answer within 1500 ms (limits.wall_ms)"),
        ("/allocate", 200, "refused after"),
        // Nobody granted it any host, its own least of all.
        (&format!("/fetch?url=http://{}/env", applications.server.http), 502, "http-request-denied"),
        ("/fetch?url=nonsense", 400, ""),
    ] {
        let (said, body) = applications.get(path);
        assert!(said == status && body.contains(part), "{path}: {said} {body}");
        assert_eq!(applications.get("/").0, 200, "after {path}");
    }
    applications.server.stop_cleanly();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_beyond_the_limit_reaches_the_application_as_an_error() {
    let test = "a_body_beyond_the_limit_reaches_the_application_as_an_error";
    let bounded = format!("[server.limits]\nmessage_bytes = 100000\n{PROBE}");
    let Some(applications) = Applications::start(test, &bounded) else { return };
    assert_eq!(applications.post("/echo", &[b'x'; 90_000]).0, 200);
    let (_, body) = applications.post("/echo", &vec![b'x'; 400_000]);
    assert!(body.len() < 400_000, "{} bytes came back", body.len());
    assert_eq!(applications.get("/").0, 200);
    applications.server.stop_cleanly();
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_go_to_hosts_that_are_granted_and_tokens_of_tenants_stay_here() {
    let test = "requests_go_to_hosts_that_are_granted_and_tokens_of_tenants_stay_here";
    let token = tempfile::NamedTempFile::new().expect("temporary file");
    std::fs::write(token.path(), "a-token-of-a-tenant").expect("writable");
    let target = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = target.local_addr().expect("bound");
    std::thread::spawn(move || {
        for stream in target.incoming() {
            let Ok(mut stream) = stream else { return };
            let mut request = [0; 1024];
            let _ = stream.read(&mut request);
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 7\r\nconnection: close\r\n\r\nreached");
        }
    });
    let text = format!(
        "{PROBE}\nhttp = [\"{address}\"]\n[tenants.t]\ntoken_file = \"{}\"\n[tenants.anonymous]\n",
        token.path().display()
    );
    let Some(applications) = Applications::start(test, &text) else { return };
    let (status, body) = applications.get(&format!("/fetch?url=http://{address}/"));
    assert_eq!((status, body.contains("reached")), (200, true), "{body}");
    let (status, _) = applications.get("/fetch?url=http://127.0.0.1:1/");
    assert_eq!(status, 502);

    let with_token = |token: &str| {
        let mut stream = TcpStream::connect(&applications.server.http).expect("listens");
        let host = &applications.server.http;
        write!(
            stream,
            "GET /headers HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {token}\r\nConnection: close\r\n\r\n"
        )
        .expect("sends");
        let mut response = String::new();
        stream.read_to_string(&mut response).expect("answers");
        split(&response).1
    };
    assert!(!with_token("a-token-of-a-tenant").contains("a-token-of-a-tenant"), "the application must not see it");
    assert!(with_token("the-applications-own").contains("the-applications-own"));
    applications.server.stop_cleanly();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_application_classifies_pictures_beside_another_on_a_route_of_its_own() {
    let test = "an_application_classifies_pictures_beside_another_on_a_route_of_its_own";
    let text = format!(
        "[models.birds]\nsource = \"BIRDS\"\nplacement = [\"openvino:cpu\"]\n{}\n[deployments.images]\nguest = \"IMAGES\"\n\
         route = \"/images\"\nmodels = {{ classifier = \"birds\" }}\nlimits = {{ wall_ms = 60000 }}\n",
        PROBE.replace("guest = \"PROBE\"", "guest = \"PROBE\"\nroute = \"/probe\""),
    );
    let Some(applications) = Applications::start(test, &text) else { return };
    let picture = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models/birds-v1/golden/bird.jpg");
    let picture = std::fs::read(picture).expect("part of the model");
    let (status, body) = applications.post("/images", &picture);
    assert_eq!(status, 200, "{body}");
    let body = &body[body.find('{').expect("JSON")..=body.rfind('}').expect("JSON")];
    let answer: serde_json::Value = serde_json::from_str(body).expect("JSON");
    assert_eq!(answer["labels"][0]["index"], 166, "{body}");
    let (status, body) = applications.post("/images", b"no picture");
    assert_eq!(status, 400, "{body}");
    assert_eq!(applications.get("/probe").0, 404, "it knows no such path, but it was asked");
    let (status, body) = applications.get("/elsewhere");
    assert!(status == 404 && body.contains("nothing is served at this path"), "{status} {body}");
    applications.server.stop_cleanly();
}
