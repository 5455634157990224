//! Traces as a collector gets them: spans, parents, links, attributes, and what is passed on.

use std::io::{Read, Write};

use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use tonic::{Code, Request};
use wisp_proto::v1::EmbedRequest;

use crate::collector::{Collector, attribute, hex};
use crate::support::{Server, get, sample};
use crate::tls::Authority;

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const FAILED_TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const UNSAMPLED_TRACE: &str = "11111111111111111111111111111111";
const PARENT: &str = "00f067aa0ba902b7";

/// A configuration with a collector, in a folder of its own.
fn configured(otlp: &str, telemetry: &str, more: &str) -> (tempfile::TempDir, String) {
    let folder = tempfile::tempdir().expect("temporary folder");
    let path = folder.path().join("wisp.toml");
    let text = format!("[telemetry]\notlp = \"http://{otlp}\"\n{telemetry}\n{more}\n");
    std::fs::write(&path, text).expect("writable");
    (folder, path.display().to_string())
}

fn request(text: &str, trace: &str, flags: &str) -> Request<EmbedRequest> {
    let mut request = Request::new(EmbedRequest { texts: vec![text.to_owned()], ..EmbedRequest::default() });
    let parent = format!("00-{trace}-{PARENT}-{flags}").parse().expect("a header");
    request.metadata_mut().insert("traceparent", parent);
    request.metadata_mut().insert("tracestate", "vendor=opaque".parse().expect("a header"));
    request
}

fn is_within(inner: &Span, outer: &Span) -> bool {
    outer.start_time_unix_nano <= inner.start_time_unix_nano && inner.end_time_unix_nano <= outer.end_time_unix_nano
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sampled_request_is_a_tree_of_its_stages_and_its_batch_is_linked() {
    let test = "a_sampled_request_is_a_tree_of_its_stages_and_its_batch_is_linked";
    let collector = Collector::start().await;
    let telemetry = "sample_ratio = 0\nservice_name = \"edge\"\nresource = { \"k8s.pod.name\" = \"wisp-0\" }";
    let (_folder, config) = configured(&collector.address.to_string(), telemetry, "");
    let Some(server) = Server::start(test, &["--config", &config]) else { return };
    let mut client = server.client().await;
    let answer = client.embed(request("a harbour", TRACE, "01")).await.expect("embeds");
    let told = answer.metadata().get("traceresponse").expect("is sampled").to_str().expect("text").to_owned();
    let answer = answer.into_inner();
    server.stop_cleanly();

    assert_eq!(attribute(&collector.resource(), "service.name").as_deref(), Some("edge"));
    assert_eq!(attribute(&collector.resource(), "k8s.pod.name").as_deref(), Some("wisp-0"));
    let trace = collector.trace(TRACE);
    let root = trace.span("wisp.v1.InferenceService/Embed");
    assert_eq!((root.parent_span_id.clone(), root.kind()), (hex(PARENT), SpanKind::Server));
    assert_eq!(root.trace_state, "vendor=opaque");
    assert_eq!(hex(told.split('-').nth(2).expect("a span")), root.span_id);
    let placement = answer.placement.expect("is told");
    for (key, expected) in [
        ("rpc.system", "grpc"),
        ("rpc.service", "wisp.v1.InferenceService"),
        ("rpc.method", "Embed"),
        ("rpc.grpc.status_code", "0"),
        ("wisp.method", "embed"),
        ("wisp.deployment", "embedder"),
        ("wisp.inputs", "1"),
        ("wisp.tokens", &answer.usage.expect("is told").tokens.to_string()),
        ("wisp.model", &placement.model),
        ("wisp.backend", &placement.backend),
        ("wisp.device", &placement.device),
        ("wisp.precision", &placement.precision),
    ] {
        assert_eq!(attribute(&root.attributes, key).as_deref(), Some(expected), "{key}");
    }
    let guest = trace.span("guest");
    assert_eq!(guest.parent_span_id, root.span_id);
    assert!(is_within(guest, root));
    for name in ["instantiate", "tokenize", "queue", "gather", "infer", "split"] {
        let span = trace.span(name);
        assert_eq!(span.parent_span_id, guest.span_id, "{name}");
        assert!(is_within(span, guest), "{name}: {span:?} in {guest:?}");
    }
    let infer = trace.span("infer");
    let took_ns = infer.end_time_unix_nano - infer.start_time_unix_nano;
    assert_eq!(took_ns, answer.timing.expect("is told").infer_ns, "the times are those that the answer tells");

    let [link] = infer.links.as_slice() else { panic!("{:?}", infer.links) };
    let spans = collector.spans();
    let batch = spans.iter().find(|span| span.span_id == link.span_id).expect("the batch is a span");
    assert_eq!((batch.name.as_str(), &batch.trace_id), ("batch", &link.trace_id));
    assert!(batch.parent_span_id.is_empty() && batch.trace_id != root.trace_id, "{batch:?}");
    assert_eq!(attribute(&batch.attributes, "wisp.batch.rows").as_deref(), Some("1"));
    let [link] = batch.links.as_slice() else { panic!("{:?}", batch.links) };
    assert_eq!((&link.trace_id, &link.span_id), (&root.trace_id, &guest.span_id));
}

#[tokio::test(flavor = "multi_thread")]
async fn failures_are_recorded_and_what_is_not_sampled_is_not() {
    let test = "failures_are_recorded_and_what_is_not_sampled_is_not";
    let collector = Collector::start().await;
    let (_folder, config) = configured(&collector.address.to_string(), "", "");
    let Some(server) = Server::start(test, &["--config", &config]) else { return };
    let mut client = server.client().await;
    client.embed(request(" ", FAILED_TRACE, "01")).await.expect_err("is blank");
    let answer = client.embed(request("a harbour", UNSAMPLED_TRACE, "00")).await.expect("embeds");
    assert!(answer.metadata().get("traceresponse").is_none(), "its sender decided");
    server.stop_cleanly();

    let trace = collector.trace(FAILED_TRACE);
    let root = trace.span("wisp.v1.InferenceService/Embed");
    let code = (Code::InvalidArgument as i32).to_string();
    assert_eq!(attribute(&root.attributes, "rpc.grpc.status_code"), Some(code));
    assert_eq!(attribute(&root.attributes, "error.type").as_deref(), Some("invalid_argument"));
    let [event] = root.events.as_slice() else { panic!("{:?}", root.events) };
    let message = attribute(&event.attributes, "exception.message").expect("is told");
    assert!(event.name == "exception" && message.starts_with("text 0 is empty or blank"), "{message}");
    assert!(root.status.as_ref().is_none_or(|status| status.code == 0), "its sender is to blame: {:?}", root.status);
    assert!(collector.trace(UNSAMPLED_TRACE).0.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_application_is_traced_and_so_are_the_requests_that_it_sends() {
    let test = "an_application_is_traced_and_so_are_the_requests_that_it_sends";
    let Some(probe) = wisp_testing::guest(test, "http-probe") else { return };
    let target = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = target.local_addr().expect("bound");
    let asked = std::thread::spawn(move || {
        let (mut stream, _) = target.accept().expect("is asked");
        let mut request = [0; 4096];
        let length = stream.read(&mut request).expect("sends");
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 7\r\nconnection: close\r\n\r\nreached").expect("is read");
        String::from_utf8_lossy(&request[..length]).into_owned()
    });
    let collector = Collector::start().await;
    let probe = probe.canonicalize().expect("it was built").display().to_string();
    let deployment =
        format!("[deployments.probe]\nguest = \"{probe}\"\nmodels = {{}}\ngrants = {{ http = [\"{address}\"] }}");
    let (_folder, config) = configured(&collector.address.to_string(), "", &deployment);
    let Some(server) = Server::start(test, &["--config", &config, "--http", "127.0.0.1:0"]) else { return };
    let mut stream = std::net::TcpStream::connect(&server.http).expect("listens");
    write!(
        stream,
        "GET /fetch?url=http://{address}/ HTTP/1.1\r\nHost: {}\r\ntraceparent: 00-{TRACE}-{PARENT}-01\r\ntracestate: a=b\r\nConnection: close\r\n\r\n",
        server.http
    )
    .expect("sends");
    let mut response = String::new();
    stream.read_to_string(&mut response).expect("answers");
    assert!(response.starts_with("HTTP/1.1 200 ") && response.contains("reached"), "{response}");
    server.stop_cleanly();

    let trace = collector.trace(TRACE);
    let root = trace.span("GET");
    assert_eq!((root.parent_span_id.clone(), root.kind()), (hex(PARENT), SpanKind::Server));
    for (key, expected) in
        [("http.request.method", "GET"), ("url.path", "/fetch"), ("http.response.status_code", "200")]
    {
        assert_eq!(attribute(&root.attributes, key).as_deref(), Some(expected), "{key}");
    }
    assert_eq!(attribute(&root.attributes, "wisp.deployment").as_deref(), Some("probe"));
    let guest = trace.span("guest");
    assert_eq!(guest.parent_span_id, root.span_id);
    assert_eq!(trace.span("instantiate").parent_span_id, guest.span_id);
    let asked = asked.join().expect("was asked").to_lowercase();
    let span_id: String = guest.span_id.iter().map(|byte| format!("{byte:02x}")).collect();
    assert!(asked.contains(&format!("traceparent: 00-{TRACE}-{span_id}-01")), "{asked}");
    assert!(asked.contains("tracestate: a=b"), "{asked}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_that_is_away_disturbs_no_request_and_is_told_of_once() {
    let test = "a_collector_that_is_away_disturbs_no_request_and_is_told_of_once";
    let free = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let nobody = free.local_addr().expect("bound").to_string();
    drop(free);
    let (_folder, config) = configured(&nobody, "", "");
    let log = tempfile::NamedTempFile::new().expect("temporary file");
    let Some(server) = Server::start_logging(test, &["--config", &config], log.path(), &[]) else { return };
    let mut client = server.client().await;
    for _ in 0..3 {
        client.embed(request("a harbour", TRACE, "01")).await.expect("embeds");
    }
    let dropped = || sample(&get(&server.admin, "/metrics"), "wisp_spans_total", &["outcome=\"dropped\""]);
    for _ in 0..600 {
        if dropped() > 0.0 {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    assert!(dropped() >= 1.0);
    for _ in 0..3 {
        client.embed(request("a harbour", TRACE, "01")).await.expect("embeds");
    }
    server.stop_cleanly();
    let log = std::fs::read_to_string(log.path()).expect("readable");
    assert_eq!(log.matches("spans are dropped: the collector takes none").count(), 1, "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_encrypted_collector_is_trusted_if_its_authority_is_the_one_that_is_named() {
    let test = "an_encrypted_collector_is_trusted_if_its_authority_is_the_one_that_is_named";
    let (known, stranger) = (Authority::new(), Authority::new());
    for (authority, is_trusted) in [(&known, true), (&stranger, false)] {
        let collector = Collector::start_encrypted(&authority.issue("localhost", |_| {})).await;
        let folder = tempfile::tempdir().expect("temporary folder");
        let path = folder.path().join("wisp.toml");
        let otlp = format!("https://localhost:{}", collector.address.port());
        let text = format!("[telemetry]\notlp = \"{otlp}\"\nca_file = \"ca.pem\"\n");
        std::fs::write(&path, text).expect("writable");
        std::fs::write(folder.path().join("ca.pem"), known.pem()).expect("writable");
        let Some(server) = Server::start(test, &["--config", &path.display().to_string()]) else { return };
        server.client().await.embed(request("a harbour", TRACE, "01")).await.expect("is answered in any case");
        server.stop_cleanly();
        assert_eq!(!collector.spans().is_empty(), is_trusted);
    }
}
