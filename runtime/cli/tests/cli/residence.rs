//! Models that come into memory and leave it while the service goes on: on demand, and on request.

use std::path::PathBuf;
use std::time::Duration;

use tonic::{Code, Request};
use wisp_proto::inference as oip;
use wisp_proto::inference::grpc_inference_service_client::GrpcInferenceServiceClient;
use wisp_proto::v1::EmbedRequest;
use wisp_testing::{RealModel, cosine};

use crate::support::{Server, get, sample};

/// Polls for something that another process does.
const PATIENCE: Duration = Duration::from_millis(20);

/// Two embedders with a model each that are not the same session.
const TWO: &str = r#"
[models.one]
source = "all-minilm-l6-v2"
placement = ["ort:cpu"]
precision = "f32"
LOAD
[models.two]
source = "all-minilm-l6-v2"
placement = ["openvino:cpu"]
precision = "f32"
LOAD
[deployments.one]
guest = "builtin:embedder"
models = { encoder = "one" }
[deployments.two]
guest = "builtin:embedder"
models = { encoder = "two" }
"#;

/// Room for the weights of one of them: 90 MB each.
const ROOM_FOR_ONE: &str = "[devices.cpu]\nmemory_bytes = 100000000\n";

const OPERATOR: &str = "[tenants.operator]\ntoken_file = \"token\"\nscopes = [\"infer\", \"admin\"]\n";

struct Folder(tempfile::TempDir);

impl Folder {
    fn with(text: &str) -> Self {
        let folder = Self(tempfile::tempdir().expect("a folder"));
        std::fs::write(folder.0.path().join("token"), "0perator\n").expect("writes");
        folder.write(text);
        folder
    }

    fn write(&self, text: &str) {
        std::fs::write(self.path(), text).expect("writes");
    }

    fn path(&self) -> PathBuf {
        self.0.path().join("wisp.toml")
    }

    fn serve(&self, test: &str) -> Option<Server> {
        Server::start_with_admin(test, &["--config", &self.path().display().to_string()])
    }
}

fn texts(deployment: &str) -> EmbedRequest {
    let texts = vec!["a model that is there when it is needed".to_owned()];
    EmbedRequest { deployment: deployment.to_owned(), texts, ..EmbedRequest::default() }
}

async fn embed(server: &Server, deployment: &str) -> Result<Vec<f32>, tonic::Status> {
    let answer = server.client().await.embed(texts(deployment)).await?;
    Ok(answer.into_inner().embeddings[0].values.clone())
}

/// Sessions of a model that are in memory, and how often one was loaded for a request.
fn loads(server: &Server, model: &str) -> (u32, u32) {
    let metrics = get(&server.admin, "/metrics");
    let label = format!("model=\"{model}\"");
    let value = |name| sample(&metrics, name, &[&label]) as u32;
    (value("wisp_sessions_loaded"), value("wisp_session_load_seconds_count"))
}

async fn until(is_so: impl Fn() -> bool) {
    while !is_so() {
        tokio::time::sleep(PATIENCE).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn models_on_demand_are_loaded_once_for_all_who_ask_and_take_turns_in_the_memory() {
    let test = "models_on_demand_are_loaded_once_for_all_who_ask_and_take_turns_in_the_memory";
    let folder = Folder::with(&(TWO.replace("LOAD", "load = \"on-demand\"") + ROOM_FOR_ONE));
    let Some(server) = folder.serve(test) else { return };
    assert_eq!((loads(&server, "one"), loads(&server, "two")), ((0, 0), (0, 0)));
    assert!(get(&server.admin, "/readyz").contains("200 OK"), "what is proven is ready");

    let mut client = server.client().await;
    let mut asked = Vec::new();
    for _ in 0..16 {
        let mut client = client.clone();
        asked.push(tokio::spawn(async move { client.embed(texts("one")).await }));
    }
    let mut vectors = Vec::new();
    for answer in asked {
        let answer = answer.await.expect("no panic").expect("answered");
        vectors.push(answer.into_inner().embeddings[0].values.clone());
    }
    assert_eq!((loads(&server, "one"), loads(&server, "two")), ((1, 1), (0, 0)));

    let other = client.embed(texts("two")).await.expect("room is made").into_inner();
    assert_eq!((loads(&server, "one"), loads(&server, "two")), ((0, 1), (1, 1)));
    let again = embed(&server, "one").await.expect("comes back");
    assert_eq!((loads(&server, "one"), loads(&server, "two")), ((1, 2), (0, 1)));
    for vector in vectors.iter().chain([&again]) {
        assert!(cosine(vector, &other.embeddings[0].values) > 0.99999, "both are the same model");
    }
    server.stop_cleanly();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_that_nobody_needs_leaves_after_its_time() {
    let test = "a_model_that_nobody_needs_leaves_after_its_time";
    let folder = Folder::with(&TWO.replace("LOAD", "load = \"on-demand\"\nunload_after_ms = 200"));
    let Some(server) = folder.serve(test) else { return };
    embed(&server, "two").await.expect("is loaded");
    until(|| loads(&server, "two") == (0, 1)).await;
    embed(&server, "two").await.expect("is loaded again");
    server.stop_cleanly();
}

fn by<T>(message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.metadata_mut().insert("authorization", "Bearer 0perator".parse().expect("a header"));
    request
}

type Repository = GrpcInferenceServiceClient<tonic::transport::Channel>;

async fn unload(client: &mut Repository, name: &str, dependents: bool) -> Result<(), tonic::Status> {
    use oip::model_repository_parameter::ParameterChoice;
    let dependents = oip::ModelRepositoryParameter { parameter_choice: Some(ParameterChoice::BoolParam(dependents)) };
    let request = oip::RepositoryModelUnloadRequest {
        model_name: name.to_owned(),
        parameters: [("unload_dependents".to_owned(), dependents)].into(),
        ..Default::default()
    };
    client.repository_model_unload(by(request)).await.map(drop)
}

async fn load(client: &mut Repository, name: &str) -> Result<(), tonic::Status> {
    let request = oip::RepositoryModelLoadRequest { model_name: name.to_owned(), ..Default::default() };
    client.repository_model_load(by(request)).await.map(drop)
}

/// State and reason of a name in the index.
async fn state(client: &mut Repository, name: &str) -> (String, String) {
    let index = client.repository_index(by(oip::RepositoryIndexRequest::default())).await.expect("answers");
    let found = index.into_inner().models.into_iter().find(|model| model.name == name).expect("is listed");
    (found.state, found.reason)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_unloaded_on_request_answers_nothing_until_it_is_loaded_and_others_go_on() {
    let test = "what_is_unloaded_on_request_answers_nothing_until_it_is_loaded_and_others_go_on";
    let text = TWO.replace("LOAD", "") + OPERATOR;
    let folder = Folder::with(&text);
    let Some(server) = folder.serve(test) else { return };
    let mut client = GrpcInferenceServiceClient::new(server.channel().await);
    let before = embed(&server, "one").await.expect("is in service");
    assert_eq!(loads(&server, "one"), (1, 0));

    // A deployment hides the model of its name, so that this leaves nothing that uses the model.
    unload(&mut client, "one", false).await.expect("may");
    assert_eq!(loads(&server, "one"), (0, 0));
    let status = embed(&server, "one").await.expect_err("is out of service");
    let message = "`one` was unloaded on request; load it again to use it";
    assert_eq!((status.code(), status.message()), (Code::Unavailable, message));
    let unavailable = ("UNAVAILABLE".to_owned(), "it was unloaded on request; load it again to use it".to_owned());
    assert_eq!(state(&mut client, "one").await, unavailable);
    assert!(get(&server.admin, "/readyz/one").contains("503"));
    assert!(get(&server.admin, "/readyz").contains("200 OK"), "the other can answer");
    embed(&server, "two").await.expect("the other is not concerned");

    // It stays so, whatever is put into service meanwhile.
    folder
        .write(&(text.clone() + "[deployments.three]\nguest = \"builtin:embedder\"\nmodels = { encoder = \"two\" }\n"));
    load(&mut client, "three").await.expect("reads the configuration");
    embed(&server, "three").await.expect("is there now");
    assert_eq!(embed(&server, "one").await.expect_err("still").code(), Code::Unavailable);

    load(&mut client, "one").await.expect("may");
    assert_eq!(loads(&server, "one"), (1, 1));
    assert_eq!(embed(&server, "one").await.expect("is back"), before);
    let status = unload(&mut client, "nobody", false).await.expect_err("there is none");
    assert_eq!(status.code(), Code::NotFound, "{status}");
    server.stop_cleanly();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deployment_is_unloaded_with_its_model_if_that_is_asked_for() {
    let test = "a_deployment_is_unloaded_with_its_model_if_that_is_asked_for";
    let Some(real) = RealModel::get(test) else { return };
    let model = &real.model.manifest.name;
    let folder = Folder::with(OPERATOR);
    let Some(server) = folder.serve(test) else { return };
    let mut client = GrpcInferenceServiceClient::new(server.channel().await);
    unload(&mut client, "embedder", false).await.expect("may");
    assert_eq!(loads(&server, model).0, 1, "clients may send tensors to it");
    assert_eq!(state(&mut client, model).await.0, "READY");
    unload(&mut client, "embedder", true).await.expect("may");
    assert_eq!(loads(&server, model).0, 0);
    assert_eq!(state(&mut client, model).await.0, "UNAVAILABLE");
    // Over REST, with the same body as Triton's clients send.
    let body = r#"{"parameters":{"unload_dependents":false}}"#;
    let post = |name: &str, body: &str| {
        let head = format!(
            "POST /v2/repository/models/{name}/load HTTP/1.1\r\nAuthorization: Bearer 0perator\r\nContent-Length: {}",
            body.len()
        );
        raw(&server.http, &head, body)
    };
    assert!(post("embedder", body).starts_with("HTTP/1.1 200"));
    assert_eq!(loads(&server, model).0, 1);
    embed(&server, "embedder").await.expect("is back");
    assert_eq!(state(&mut client, model).await.0, "UNAVAILABLE", "that was another name");
    let refused = post(model, r#"{"parameters":{"config":"{}"}}"#);
    assert!(
        refused.starts_with("HTTP/1.1 501") && refused.contains("parameter `config` is not supported"),
        "{refused}"
    );
    assert!(post(model, "").starts_with("HTTP/1.1 200"));
    server.stop_cleanly();
}

/// Sends head and body; returns all of the answer.
fn raw(address: &str, head: &str, body: &str) -> String {
    use std::io::{Read, Write};
    let mut stream = std::net::TcpStream::connect(address).expect("listens");
    write!(stream, "{head}\r\nHost: {address}\r\nConnection: close\r\n\r\n{body}").expect("sends");
    let mut response = String::new();
    stream.read_to_string(&mut response).expect("answers");
    response
}
