//! Classification as clients and users meet it: gRPC over real sockets, and `wisp classify` from the shell.

mod tensors;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Output;

use serde_json::Value;
use tokio_stream::StreamExt;
use tonic::Code;
use wisp_proto::v1::classify_input::Input;
use wisp_proto::v1::classify_stream_response::Outcome;
use wisp_proto::v1::{CandidateLabel, ClassifyInput, ClassifyRequest};

use crate::support::{self, Server};

const CONFIG: &str = r#"
    [models.all-minilm-l6-v2]
    source = "all-minilm-l6-v2"
    [models.birds-v1]
    source = "birds-v1"
    [deployments.embedder]
    guest = "builtin:embedder"
    models = { encoder = "all-minilm-l6-v2" }
    [deployments.topics]
    guest = "ZERO_SHOT"
    models = { encoder = "all-minilm-l6-v2" }
    limits = { wall_ms = 60000, state_bytes = 1048576 }
    [deployments.birds]
    guest = "IMAGE_CLASSIFIER"
    models = { classifier = "birds-v1" }
    limits = { wall_ms = 60000, memory_bytes = 268435456 }
"#;

/// A server with a deployment of each kind.
struct Classifiers {
    server: Server,
    _folder: tempfile::TempDir,
}

impl Classifiers {
    fn start(test: &str) -> Option<Self> {
        let guest = |name| Some(wisp_testing::guest(test, name)?.canonicalize().expect("it was built"));
        let (topics, birds) = (guest("zero-shot")?, guest("image-classifier")?);
        let folder = tempfile::tempdir().expect("temporary folder");
        let config = folder.path().join("wisp.toml");
        let text = CONFIG
            .replace("ZERO_SHOT", &topics.display().to_string())
            .replace("IMAGE_CLASSIFIER", &birds.display().to_string());
        std::fs::write(&config, text).expect("writable");
        let arguments = ["--config", &config.display().to_string(), "--http", "127.0.0.1:0"];
        Some(Self { server: Server::start_with_admin(test, &arguments)?, _folder: folder })
    }
}

/// Status and body of a POST with this JSON.
fn post(address: &str, path: &str, body: &str) -> (u16, Value) {
    let mut stream = TcpStream::connect(address).expect("listens");
    let length = body.len();
    write!(stream, "POST {path} HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n")
        .expect("sends");
    // The answer may come before all of the body was read.
    let _ = stream.write_all(body.as_bytes());
    let mut response = String::new();
    stream.read_to_string(&mut response).expect("answers");
    let (head, body) = response.split_once("\r\n\r\n").unwrap_or_else(|| panic!("`{response}`"));
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
    let json = serde_json::from_str(body).unwrap_or_else(|error| panic!("{error}: `{body}`"));
    (status.unwrap_or_else(|| panic!("no status in `{head}`")), json)
}

fn bird() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models/birds-v1/golden/bird.jpg")
}

fn text(text: &str) -> ClassifyInput {
    ClassifyInput { input: Some(Input::Text(text.to_owned())) }
}

fn image(file: Vec<u8>) -> ClassifyInput {
    ClassifyInput { input: Some(Input::Image(file)) }
}

fn labels<const N: usize>(labels: [&str; N]) -> Vec<CandidateLabel> {
    labels.map(|label| CandidateLabel { label: label.to_owned(), description: String::new() }).to_vec()
}

fn topic(input: &str) -> ClassifyRequest {
    ClassifyRequest {
        deployment: "topics".to_owned(),
        inputs: vec![text(input)],
        labels: labels(["weather", "money", "sports"]),
        ..ClassifyRequest::default()
    }
}

fn photograph(file: Vec<u8>) -> ClassifyRequest {
    ClassifyRequest { deployment: "birds".to_owned(), inputs: vec![image(file)], top_k: Some(3), ..Default::default() }
}

#[tokio::test]
async fn texts_and_photographs_are_classified_over_grpc() {
    let Some(classifiers) = Classifiers::start("texts_and_photographs_are_classified_over_grpc") else { return };
    let mut client = classifiers.server.client().await;
    let answer = client.classify(topic("A storm is coming in from the sea.")).await.expect("classifies").into_inner();
    let [classification] = &answer.classifications[..] else { panic!("one input") };
    assert_eq!((classification.labels[0].label.as_str(), classification.labels[0].index), ("weather", 0));
    assert_eq!(answer.usage.expect("usage").tokens, u64::from(classification.tokens));
    let timing = answer.timing.expect("timing");
    assert!(timing.infer_ns > 0 && timing.guest_ns > 0 && timing.tokenize_ns > 0);
    assert_eq!(answer.placement.expect("placement").model, "all-minilm-l6-v2");

    let file = std::fs::read(bird()).expect("in the source tree");
    let answer = client.classify(photograph(file)).await.expect("classifies").into_inner();
    let best = &answer.classifications[0].labels[0];
    assert_eq!((best.label.as_str(), best.index), ("Aix galericulata", 166));
    assert!(best.score > 0.7, "{best:?}");
    let placement = answer.placement.expect("placement");
    assert_eq!((placement.model.as_str(), placement.backend.as_str()), ("birds-v1", "openvino"));
    let metrics = support::get(&classifiers.server.admin, "/metrics");
    let ok = ["deployment=\"birds\"", "method=\"classify\"", "code=\"ok\""];
    assert_eq!(support::sample(&metrics, "wisp_requests_total", &ok), 1.0);
    classifiers.server.stop_cleanly();
}

#[tokio::test]
async fn every_bad_request_has_its_status_and_the_next_one_works() {
    let Some(classifiers) = Classifiers::start("every_bad_request_has_its_status_and_the_next_one_works") else {
        return;
    };
    let mut client = classifiers.server.client().await;
    let with_labels = |count: usize| {
        let label = |index: usize| CandidateLabel { label: format!("label {index}"), ..CandidateLabel::default() };
        ClassifyRequest { labels: (0..count).map(label).collect(), ..topic("a") }
    };
    let file = std::fs::read(bird()).expect("in the source tree");
    let to = |deployment: &str| ClassifyRequest { deployment: deployment.to_owned(), ..topic("a") };
    for (what, request, code, said) in [
        ("nothing", ClassifyRequest { inputs: vec![], ..topic("a") }, Code::InvalidArgument, "has no inputs"),
        (
            "an empty input",
            ClassifyRequest { inputs: vec![ClassifyInput::default()], ..topic("a") },
            Code::InvalidArgument,
            "input 0 is neither",
        ),
        ("a blank text", topic(" "), Code::InvalidArgument, "input 0 is an empty text"),
        ("no image", photograph(b"not an image".to_vec()), Code::InvalidArgument, "neither JPEG nor PNG"),
        (
            "half an image",
            photograph(file[..file.len() / 2].to_vec()),
            Code::InvalidArgument,
            "the JPEG file is broken",
        ),
        ("an empty image", photograph(vec![]), Code::InvalidArgument, "input 0 is an empty image"),
        ("13 MB of image", photograph(vec![0xff; 13 << 20]), Code::InvalidArgument, "server.limits.image_bytes"),
        (
            "an empty label",
            ClassifyRequest { labels: labels(["a", ""]), ..topic("a") },
            Code::InvalidArgument,
            "label 1 is empty",
        ),
        (
            "a label twice",
            ClassifyRequest { labels: labels(["a", "b", "a"]), ..topic("a") },
            Code::InvalidArgument,
            "labels 0 and 2 are both `a`",
        ),
        ("10,000 labels", with_labels(10_000), Code::InvalidArgument, "at most 1024 are taken (server.limits.labels)"),
        ("no labels", with_labels(0), Code::InvalidArgument, "there are no labels to choose from"),
        ("top_k 0", ClassifyRequest { top_k: Some(0), ..topic("a") }, Code::InvalidArgument, "top_k is 0"),
        (
            "a bad template",
            ClassifyRequest { template: Some("x".to_owned()), ..topic("a") },
            Code::InvalidArgument,
            "the template must have",
        ),
        ("an unknown priority", ClassifyRequest { priority: 9, ..topic("a") }, Code::InvalidArgument, "priority 9"),
        ("an unknown deployment", to("nobody"), Code::NotFound, "deployment `nobody` does not exist"),
        ("an embedder", to("embedder"), Code::InvalidArgument, "is an embedder"),
        ("none of two", to(""), Code::InvalidArgument, "name a deployment; there is `birds`, `topics`"),
        ("a text for birds", to("birds"), Code::Unimplemented, "this classifier reads images"),
    ] {
        let status = client.classify(request).await.expect_err(what);
        assert_eq!(status.code(), code, "{what}: {status:?}");
        assert!(status.message().contains(said), "{what}: {status:?}");
    }
    client.classify(with_labels(1024)).await.expect("as many as are taken");
    client.classify(topic("a")).await.expect("the server goes on");
    classifiers.server.stop_cleanly();
}

#[tokio::test]
async fn a_stream_is_answered_in_its_order_and_goes_on_after_a_bad_message() {
    let test = "a_stream_is_answered_in_its_order_and_goes_on_after_a_bad_message";
    let Some(classifiers) = Classifiers::start(test) else { return };
    let mut client = classifiers.server.client().await;
    let file = std::fs::read(bird()).expect("in the source tree");
    let messages: Vec<_> = (0..40)
        .map(|index| match index % 4 {
            0 => photograph(file.clone()),
            1 => topic("It will rain and snow all week."),
            2 => photograph(b"not an image".to_vec()),
            _ => topic("He lent her a hundred dollars."),
        })
        .collect();
    let count = messages.len();
    let answers = client.classify_stream(tokio_stream::iter(messages)).await.expect("is answered").into_inner();
    let said: Vec<_> = answers
        .map(|answer| match answer.expect("the stream goes on").outcome.expect("an outcome") {
            Outcome::Response(response) => response.classifications[0].labels[0].label.clone(),
            Outcome::Error(error) => format!("{}: {}", error.code, error.message),
        })
        .collect()
        .await;
    let refused = "3: input 0: the file is neither JPEG nor PNG; convert it to one of them";
    let expected = ["Aix galericulata", "weather", refused, "money"];
    assert_eq!(said.len(), count);
    for (index, said) in said.iter().enumerate() {
        assert_eq!(said, expected[index % 4], "message {index}");
    }
    classifiers.server.stop_cleanly();
}

#[tokio::test(flavor = "multi_thread")]
async fn texts_and_photographs_are_classified_over_http() {
    let Some(classifiers) = Classifiers::start("texts_and_photographs_are_classified_over_http") else { return };
    let post = |path: &str, body: &str| post(&classifiers.server.http, path, body);
    let file = base64(&std::fs::read(bird()).expect("in the source tree"));
    let (status, answer) = post(
        "/v1/classify",
        &format!(
            r#"{{"deployment": "birds", "top_k": 1, "inputs": [{{"image": "{file}"}}, {{"image": "data:image/jpeg;base64,{file}"}}]}}"#
        ),
    );
    assert_eq!(status, 200, "{answer}");
    for classification in answer["classifications"].as_array().expect("a list") {
        let best = &classification["labels"][0];
        assert_eq!((&best["label"], &best["index"]), (&"Aix galericulata".into(), &166.into()), "{answer}");
    }
    assert_eq!(answer["placement"]["model"], "birds-v1");
    assert!(answer["timing"]["infer_ns"].as_u64() > Some(0), "{answer}");
    let topic = r#"{"deployment": "topics", "inputs": "A storm is coming in from the sea.",
                    "labels": ["money", {"label": "weather", "description": "rain, wind and sun"}]}"#;
    let (status, answer) = post("/v1/classify", topic);
    assert_eq!((status, &answer["classifications"][0]["labels"][0]["label"]), (200, &"weather".into()), "{answer}");

    for (path, body, code, said) in [
        ("/v1/classify", "{", 400, "the body is not JSON"),
        (
            "/v1/classify",
            r#"{"inputs": "a", "labels": ["a", "b"]}"#,
            400,
            "name a deployment; there is `birds`, `topics`",
        ),
        ("/v1/classify", r#"{"deployment": "nobody", "inputs": "a"}"#, 404, "deployment `nobody` does not exist"),
        ("/v1/classify", r#"{"deployment": "embedder", "inputs": "a"}"#, 400, "is an embedder"),
        ("/v1/classify", r#"{"deployment": "topics", "inputs": "a", "labels": ["x", "x"]}"#, 400, "are both `x`"),
        ("/v1/classify", r#"{"deployment": "topics", "inputs": "a", "labels": ["x"], "top_k": 0}"#, 400, "top_k is 0"),
        ("/v1/classify", r#"{"deployment": "birds", "inputs": {"image": "AAAA"}}"#, 400, "neither JPEG nor PNG"),
        ("/v1/classify", r#"{"deployment": "birds", "inputs": {"image": "??"}}"#, 400, "the image is not base64"),
    ] {
        let (status, answer) = post(path, body);
        let message = answer["error"]["message"].as_str().unwrap_or_default();
        assert_eq!((status, message.contains(said)), (code, true), "{body}: {status} {answer}");
    }
    let large = format!(r#"{{"deployment": "birds", "inputs": {{"image": "{}"}}}}"#, "A".repeat(17 << 20));
    let (status, answer) = post("/v1/classify", &large);
    assert_eq!(
        (status, answer["error"]["message"].as_str()),
        (413, Some("the body is larger than 16777216 bytes (server.limits.message_bytes)"))
    );
    classifiers.server.stop_cleanly();
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_of_text_embeddings_inference_get_predictions() {
    let test = "clients_of_text_embeddings_inference_get_predictions";
    let Some(zero_shot) = wisp_testing::guest(test, "zero-shot") else { return };
    let zero_shot = zero_shot.canonicalize().expect("it was built").display().to_string();
    let folder = tempfile::tempdir().expect("temporary folder");
    let config = folder.path().join("wisp.toml");
    let text = format!(
        "[models.all-minilm-l6-v2]\n[deployments.topics]\nguest = \"{zero_shot}\"\n\
         models = {{ encoder = \"all-minilm-l6-v2\" }}\nlimits = {{ wall_ms = 60000 }}\n\
         [deployments.topics.grants]\nenv = [\"LABELS=weather; money\"]\n"
    );
    std::fs::write(&config, text).expect("writable");
    let arguments = ["--config", &config.display().to_string(), "--http", "127.0.0.1:0"];
    let Some(server) = Server::start(test, &arguments) else { return };
    let (status, answer) = post(&server.http, "/predict", r#"{"inputs": "It will rain and snow all week."}"#);
    assert_eq!((status, &answer[0]["label"]), (200, &"weather".into()), "{answer}");
    assert_eq!(answer.as_array().map(Vec::len), Some(2));
    let batch = r#"{"inputs": [["It will rain all week."], ["He lent her a hundred dollars."]], "truncate": true}"#;
    let (status, answer) = post(&server.http, "/predict", batch);
    assert_eq!((status, &answer[0][0]["label"], &answer[1][0]["label"]), (200, &"weather".into(), &"money".into()));
    let (status, answer) = post(&server.http, "/predict", r#"{"inputs": ["a", "b"]}"#);
    assert_eq!((status, &answer["error_type"]), (422, &"Validation".into()), "{answer}");
    server.stop_cleanly();
}

/// As the standard writes it, with padding (RFC 4648, 4).
fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let letters = |chunk: &[u8]| {
        let bits =
            chunk.iter().enumerate().fold(0_u32, |bits, (place, &byte)| bits | u32::from(byte) << (16 - 8 * place));
        let letter = |place: usize| match place <= chunk.len() {
            true => char::from(LETTERS[(bits >> (18 - 6 * place)) as usize & 63]),
            false => '=',
        };
        (0..4).map(letter).collect::<String>()
    };
    bytes.chunks(3).map(letters).collect()
}

fn run(arguments: &[&str]) -> Output {
    support::wisp().arg("classify").args(arguments).output().expect("the binary starts")
}

fn json(output: &Output) -> Value {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("JSON")
}

fn is_built_in(test: &str, guest: &str) -> bool {
    wisp_testing::RealModel::get(test).is_some() && wisp_testing::guest(test, guest).is_some()
}

#[test]
fn texts_of_the_command_line_get_labels_without_any_configuration() {
    if !is_built_in("texts_of_the_command_line_get_labels_without_any_configuration", "zero-shot") {
        return;
    }
    let texts = ["The bank raised its interest rates.", "The goalkeeper saved a penalty."];
    let said = json(&run(&[
        "--format",
        "json",
        "--labels",
        "finance,sport=football, tennis and athletics",
        texts[0],
        texts[1],
    ]));
    // A comma ends a label; what follows is another.
    let first = |index: usize| said["classifications"][index]["labels"][0]["label"].clone();
    assert_eq!((first(0), said["model"].as_str()), ("finance".into(), Some("all-minilm-l6-v2")));
    let said = json(&run(&["--format", "json", "--labels", "finance,sport=games between teams", texts[1]]));
    assert_eq!(said["classifications"][0]["labels"][0]["label"], "sport");
    assert_eq!(said["classifications"][0]["text"], texts[1]);
    let output = run(&["--labels", "finance,sport", "--top-k", "1", texts[0]]);
    let table = String::from_utf8(output.stdout).expect("UTF-8");
    assert!(table.contains("finance") && !table.contains("sport"), "{table}");
    assert!(table.contains("all-minilm-l6-v2 on openvino:cpu, "), "{table}");
}

#[test]
fn an_image_file_is_a_bird_without_any_configuration() {
    if !is_built_in("an_image_file_is_a_bird_without_any_configuration", "image-classifier") {
        return;
    }
    let bird = bird().display().to_string();
    let said = json(&run(&["--format", "json", "--top-k", "2", "--image", &bird, &bird]));
    for index in 0..2 {
        let classification = &said["classifications"][index];
        assert_eq!(classification["labels"][0]["label"], "Aix galericulata");
        assert_eq!(classification["labels"].as_array().map(Vec::len), Some(2));
        assert_eq!(classification["image"], bird);
    }
    let table = String::from_utf8(run(&["--image", &bird]).stdout).expect("UTF-8");
    assert!(table.contains("Aix galericulata") && table.contains("birds-v1 on openvino:cpu"), "{table}");
}

#[test]
fn wrong_usage_of_classify_is_2_and_failure_1() {
    for (arguments, code, said) in [
        (&[][..], 2, "no texts"),
        (&["a text"], 2, "no labels to choose from; give --labels"),
        (&["--top-k", "0", "--labels", "a", "b"], 2, "0 is not in 1.."),
        (&["--image", "a.jpg", "--labels", "a", "--file"], 2, "--file"),
        (&["--image", "/nonexistent/bird.jpg"], 1, "/nonexistent/bird.jpg"),
    ] {
        let output = run(arguments);
        let errors = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {errors}");
        assert!(errors.contains(said), "{arguments:?}: {errors}");
    }
}
