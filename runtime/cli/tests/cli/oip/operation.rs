//! Around the requests: who may, what becomes of models on request, how the server stops, and a server of models alone.

use std::path::Path;

use tonic::{Code, Request};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use wisp_proto::inference as oip;
use wisp_proto::v1;
use wisp_testing::MODEL;

use super::{client, input, model_request, start, text_request};
use crate::support::{Server, get, sample};

fn by<T>(token: &str, message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.metadata_mut().insert("authorization", format!("Bearer {token}").parse().expect("a header"));
    request
}

#[tokio::test]
async fn models_answer_by_themselves_only_where_they_may() {
    let test = "models_answer_by_themselves_only_where_they_may";
    let folder = tempfile::tempdir().expect("a folder");
    let config = folder.path().join("wisp.toml");
    std::fs::write(folder.path().join("token"), "s3cret\n").expect("writes");
    let text =
        "[server]\nbare_models = false\nauth = { anonymous = false }\n[tenants.search]\ntoken_file = \"token\"\n";
    std::fs::write(&config, text).expect("writes");
    let Some(server) = start(test, &["--config", &config.display().to_string()]) else { return };
    let mut client = client(&server).await;
    let load = oip::RepositoryModelLoadRequest { model_name: "embedder".to_owned(), ..Default::default() };
    let status = client.repository_model_load(load).await.expect_err("nobody has the scope");
    assert_eq!(status.code(), Code::PermissionDenied, "{status}");
    for status in [
        client.model_infer(text_request(&["a text"])).await.map(drop).expect_err("whose is it?"),
        client.repository_index(oip::RepositoryIndexRequest::default()).await.map(drop).expect_err("who asks?"),
    ] {
        assert_eq!(status.code(), Code::Unauthenticated, "{status}");
    }
    client.model_infer(by("s3cret", text_request(&["a text"]))).await.expect("the deployment answers");
    let status = client.model_infer(by("s3cret", model_request())).await.expect_err("is not reached");
    let message = "model `all-minilm-l6-v2` does not exist; there is `embedder`";
    assert_eq!((status.code(), status.message()), (Code::NotFound, message));
    server.stop_cleanly();
}

#[tokio::test]
async fn an_administrator_loads_what_the_configuration_has_by_then() {
    let test = "an_administrator_loads_what_the_configuration_has_by_then";
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("wisp.toml");
    let file = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).expect("writes");
    file("user", "us3r\n");
    file("operator", "0perator\n");
    let deployment = |name: &str| {
        format!("[deployments.{name}]\nguest = \"builtin:embedder\"\nmodels = {{ encoder = \"{MODEL}\" }}\n")
    };
    let tenants = "[tenants.user]\ntoken_file = \"user\"\n\
                   [tenants.operator]\ntoken_file = \"operator\"\nscopes = [\"infer\", \"admin\"]\n";
    file("wisp.toml", &format!("{tenants}{}", deployment("first")));
    let Some(server) = start(test, &["--config", &path.display().to_string()]) else { return };
    let mut client = client(&server).await;
    let load = |name: &str| oip::RepositoryModelLoadRequest { model_name: name.to_owned(), ..Default::default() };
    for token in ["us3r", "0perator"] {
        let status =
            client.repository_model_load(by(token, load("second"))).await.expect_err("is not there, or not his");
        let expected = if token == "us3r" { Code::PermissionDenied } else { Code::NotFound };
        assert_eq!(status.code(), expected, "{status}");
    }
    file("wisp.toml", &format!("{tenants}{}{}", deployment("first"), deployment("second")));
    client.repository_model_load(by("0perator", load("second"))).await.expect("is there by now");
    let mut request = text_request(&["a text"]);
    request.model_name = "second".to_owned();
    client.model_infer(by("us3r", request)).await.expect("is in service");
    file("wisp.toml", "[server]\nport = 1\n");
    let status = client.repository_model_load(by("0perator", load("second"))).await.expect_err("is no configuration");
    assert_eq!(status.code(), Code::InvalidArgument, "{status}");
    assert!(
        status.message().contains("what was in service stays so: ") && status.message().contains("`port`"),
        "{status}"
    );
    server.stop_cleanly();
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_server_that_stops_is_not_ready_and_answers_for_a_while() {
    let test = "a_server_that_stops_is_not_ready_and_answers_for_a_while";
    let folder = tempfile::tempdir().expect("a folder");
    let config = folder.path().join("wisp.toml");
    std::fs::write(&config, "[server]\ndrain = { delay_ms = 30000 }\n").expect("writes");
    let Some(server) = start(test, &["--config", &config.display().to_string()]) else { return };
    let mut client = client(&server).await;
    let sent = std::process::Command::new("kill").args(["-TERM", &server.pid().to_string()]).status();
    assert!(sent.expect("kill runs").success());
    while client.server_ready(oip::ServerReadyRequest {}).await.expect("answers").into_inner().ready {
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    let named = oip::ModelReadyRequest { name: "embedder".to_owned(), ..Default::default() };
    assert!(!client.model_ready(named).await.expect("answers").into_inner().ready);
    client.model_infer(text_request(&["a text"])).await.expect("who did not know yet is answered");
}

/// The bytes of a NumPy file behind its header.
fn npy(name: &str) -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models/birds-v1/golden").join(name);
    let file = std::fs::read(path).expect("part of the model");
    let header = usize::from(u16::from_le_bytes([file[8], file[9]]));
    file[10 + header..].to_vec()
}

#[tokio::test]
async fn a_server_of_models_alone_names_a_bird() {
    let test = "a_server_of_models_alone_names_a_bird";
    let folder = tempfile::tempdir().expect("a folder");
    let config = folder.path().join("wisp.toml");
    let birds = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models/birds-v1");
    let text = format!("[models.birds]\nsource = \"{}\"\nplacement = [\"openvino:cpu\"]\n", birds.display());
    std::fs::write(&config, text).expect("writes");
    let Some(server) = Server::start(test, &["--config", &config.display().to_string()]) else { return };
    let mut client = client(&server).await;
    assert!(client.server_ready(oip::ServerReadyRequest {}).await.expect("answers").into_inner().ready);
    assert_eq!(health(&server, "").await, ServingStatus::Serving);
    let (picture, golden) = (npy("input.npy"), npy("output.npy"));
    let (pixels, labels) = (224 * 224 * 3, 965);
    let request = oip::ModelInferRequest {
        model_name: "birds".to_owned(),
        inputs: vec![input("module/hub_input/images_uint8", "UINT8", &[1, 224, 224, 3])],
        raw_input_contents: vec![picture[..pixels].to_vec().into()],
        ..Default::default()
    };
    let answer = client.model_infer(request).await.expect("computes").into_inner();
    assert_eq!((answer.outputs[0].datatype.as_str(), &*answer.outputs[0].shape), ("UINT8", &[1, labels as i64][..]));
    let scores = answer.raw_output_contents[0].iter().zip(&golden[..labels]);
    let error = scores.map(|(ours, golden)| ours.abs_diff(*golden)).max();
    assert!(error.is_some_and(|error| error <= 10), "{error:?}");
    let request = v1::EmbedRequest { texts: vec!["a text".to_owned()], ..Default::default() };
    let status = server.client().await.embed(request).await.expect_err("there is no deployment");
    assert_eq!(status.message(), "name a deployment; there is none");
    server.stop_cleanly();
}

async fn health(server: &Server, service: &str) -> ServingStatus {
    let request = HealthCheckRequest { service: service.to_owned() };
    let answer = HealthClient::new(server.channel().await).check(request).await.expect("answers");
    answer.into_inner().status()
}

#[tokio::test]
async fn figures_tell_what_was_asked_of_a_deployment_and_of_a_model() {
    let test = "figures_tell_what_was_asked_of_a_deployment_and_of_a_model";
    let Some(server) = Server::start_with_admin(test, &["--precision", "f32"]) else { return };
    let mut client = client(&server).await;
    for _ in 0..2 {
        client.model_infer(model_request()).await.expect("computes");
    }
    client.model_infer(text_request(&["a text"])).await.expect("embeds");
    client.model_infer(text_request(&[])).await.expect_err("has no texts");
    let stream = client.model_stream_infer(tokio_stream::iter([model_request()])).await.expect("a stream");
    stream.into_inner().message().await.expect("no error").expect("an answer");
    let metrics = get(&server.admin, "/metrics");
    let count = |deployment: &str, method: &str, code: &str| {
        let labels = [("deployment", deployment), ("method", method), ("code", code)];
        let labels = labels.map(|(name, value)| format!("{name}=\"{value}\""));
        sample(&metrics, "wisp_requests_total", &labels.each_ref().map(String::as_str))
    };
    assert_eq!(count(MODEL, "infer", "ok"), 2.0);
    assert_eq!(count(MODEL, "infer_stream", "ok"), 1.0);
    assert_eq!((count("embedder", "infer", "ok"), count("embedder", "infer", "invalid_argument")), (1.0, 1.0));
    server.stop_cleanly();
}
