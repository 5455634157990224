//! The same guests over the Open Inference Protocol: texts or pictures in, labels out, as tensors.

use bytes::Bytes;
use serde_json::{Value, json};
use tonic::Code;
use wisp_proto::inference as oip;
use wisp_proto::inference::infer_parameter::ParameterChoice;

use super::{Classifiers, bird, post};
use crate::{oip as protocol, support};

const TOPICS: &str = "/v2/models/topics/infer";

/// A tensor of strings as JSON.
fn strings(name: &str, data: &[&str]) -> Value {
    json!({ "name": name, "shape": [data.len()], "datatype": "BYTES", "data": data })
}

/// One picture for the birds, raw.
fn photograph(file: Vec<u8>) -> oip::ModelInferRequest {
    let length = u32::try_from(file.len()).expect("a small picture").to_le_bytes();
    let top = oip::InferParameter { parameter_choice: Some(ParameterChoice::Int64Param(3)) };
    oip::ModelInferRequest {
        model_name: "birds".to_owned(),
        inputs: vec![protocol::input("images", "BYTES", &[1])],
        raw_input_contents: vec![Bytes::from([&length[..], &file].concat())],
        parameters: [("top_k".to_owned(), top)].into(),
        ..Default::default()
    }
}

#[tokio::test]
async fn a_picture_is_classified_as_a_tensor_over_grpc() {
    let Some(classifiers) = Classifiers::start("a_picture_is_classified_as_a_tensor_over_grpc") else { return };
    let mut client = protocol::client(&classifiers.server).await;
    let asked = oip::ModelMetadataRequest { name: "birds".to_owned(), ..Default::default() };
    let metadata = client.model_metadata(asked).await.expect("is there").into_inner();
    let inputs: Vec<_> = metadata.inputs.iter().map(|input| (&*input.name, &*input.datatype)).collect();
    assert_eq!(inputs, ["texts", "images", "candidates", "descriptions"].map(|name| (name, "BYTES")));
    assert_eq!((metadata.platform.as_str(), metadata.properties["models"].as_str()), ("wasm", "birds-v1"));

    let file = std::fs::read(bird()).expect("in the source tree");
    let answer = client.model_infer(photograph(file)).await.expect("classifies").into_inner();
    let outputs: Vec<_> = answer.outputs.iter().map(|output| (&*output.name, &*output.datatype)).collect();
    assert_eq!(outputs, [("labels", "BYTES"), ("scores", "FP32"), ("indices", "INT32"), ("token_counts", "UINT32")]);
    assert!(answer.outputs[..3].iter().all(|output| output.shape == [1, 3]), "{:?}", answer.outputs);
    let [labels, scores, indices, tokens] = &answer.raw_output_contents[..] else { panic!("four outputs") };
    let best = "Aix galericulata";
    assert_eq!(&labels[4..4 + best.len()], best.as_bytes());
    assert!(f32::from_le_bytes(scores[..4].try_into().expect("three numbers")) > 0.7);
    assert_eq!((&indices[..4], &tokens[..]), (&166_i32.to_le_bytes()[..], &[0; 4][..]));

    let status = client.model_infer(photograph(b"no picture".to_vec())).await.expect_err("is none");
    assert_eq!(status.code(), Code::InvalidArgument, "{status}");
    assert!(status.message().contains("neither JPEG nor PNG"), "{status}");
    let metrics = support::get(&classifiers.server.admin, "/metrics");
    let ok = ["deployment=\"birds\"", "method=\"infer\"", "code=\"ok\""];
    assert_eq!(support::sample(&metrics, "wisp_requests_total", &ok), 1.0);
    classifiers.server.stop_cleanly();
}

#[tokio::test(flavor = "multi_thread")]
async fn texts_are_classified_as_tensors_over_http() {
    let Some(classifiers) = Classifiers::start("texts_are_classified_as_tensors_over_http") else { return };
    let infer = |body: &Value| post(&classifiers.server.http, TOPICS, &body.to_string());
    let texts = strings("texts", &["A storm is coming in from the sea.", "The bank raised its interest rates."]);
    let candidates = strings("candidates", &["money", "weather", "sports"]);
    let descriptions = strings("descriptions", &["", "rain, wind and sun", ""]);
    let (status, answer) = infer(&json!({
        "inputs": [texts, candidates, descriptions],
        "outputs": [{ "name": "labels" }, { "name": "indices" }],
        "parameters": { "top_k": 1, "template": "This is about {}." },
    }));
    assert_eq!(status, 200, "{answer}");
    assert_eq!(answer["outputs"][0]["data"], json!(["weather", "money"]), "{answer}");
    assert_eq!(answer["outputs"][1]["data"], json!([1, 0]), "{answer}");
    assert_eq!(answer["outputs"][1]["shape"], json!([2, 1]), "{answer}");

    for (inputs, parameters, said) in [
        (json!([candidates]), json!({}), "`topics` classifies either `texts` or `images`"),
        (json!([texts, strings("images", &["x"])]), json!({}), "`topics` classifies either `texts` or `images`"),
        (json!([texts, strings("descriptions", &["x"])]), json!({}), "1 descriptions belong to 0 candidates"),
        (json!([texts, strings("candidates", &["x", "x"])]), json!({}), "labels 0 and 1 are both `x`"),
        (json!([texts, candidates]), json!({ "top_k": 0 }), "top_k is 0"),
        (json!([texts, candidates]), json!({ "normalize": true }), "parameter `normalize` does not exist for `topics`"),
        (json!([strings("text", &["x"])]), json!({}), "input `text`"),
    ] {
        let (status, answer) = infer(&json!({ "inputs": inputs, "parameters": parameters }));
        assert_eq!(status, 400, "{answer}");
        assert!(answer["error"].as_str().is_some_and(|error| error.contains(said)), "{said}: {answer}");
    }
    classifiers.server.stop_cleanly();
}
