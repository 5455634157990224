//! Over gRPC, with a generated client.

use tokio_stream::StreamExt;
use tonic::Code;
use wisp_proto::inference as oip;
use wisp_proto::inference::infer_parameter::ParameterChoice;
use wisp_testing::{MODEL, RealModel};

use super::{GOLDEN, assert_golden, client, floats, input, model_request, start, text_request};
use crate::support::reflected_services;

fn parameter(name: &str, choice: ParameterChoice) -> (String, oip::InferParameter) {
    (name.to_owned(), oip::InferParameter { parameter_choice: Some(choice) })
}

#[tokio::test]
async fn texts_go_to_a_deployment_and_token_ids_to_its_model() {
    let test = "texts_go_to_a_deployment_and_token_ids_to_its_model";
    let (Some(real), Some(server)) = (RealModel::get(test), start(test, &[])) else { return };
    let mut client = client(&server).await;
    let texts = GOLDEN.map(|index| real.golden.texts[index].as_str());

    let answer = client.model_infer(text_request(&texts)).await.expect("embeds").into_inner();
    let names: Vec<_> = answer.outputs.iter().map(|output| (output.name.as_str(), output.datatype.as_str())).collect();
    assert_eq!(names, [("embeddings", "FP32"), ("token_counts", "UINT32")]);
    assert_eq!((answer.model_name.as_str(), answer.model_version.as_str()), ("embedder", "1"));
    assert!(answer.raw_output_contents.is_empty(), "typed contents are answered with typed contents");
    let contents = |index: usize| answer.outputs[index].contents.clone().expect("typed");
    assert_golden(&real, &contents(0).fp32_contents, &GOLDEN);
    assert_eq!((contents(1).uint_contents, &answer.outputs[0].shape), (vec![9, 12], &vec![2, 384]));
    for name in ["wisp_backend", "wisp_device", "wisp_precision", "wisp_infer_ns", "wisp_total_ns"] {
        assert!(answer.parameters.contains_key(name), "{name} is missing in {:?}", answer.parameters.keys());
    }

    let outputs = vec![oip::model_infer_request::InferRequestedOutputTensor {
        name: "sentence_embedding".to_owned(),
        ..Default::default()
    }];
    let request = oip::ModelInferRequest { id: "id-7".to_owned(), outputs, ..model_request() };
    let answer = client.model_infer(request).await.expect("computes").into_inner();
    assert_eq!((answer.id.as_str(), answer.outputs.len(), answer.raw_output_contents.len()), ("id-7", 1, 1));
    assert!(answer.outputs[0].contents.is_none(), "raw contents are answered with raw contents");
    assert_golden(&real, &floats(&answer.raw_output_contents[0]), &GOLDEN);

    let answer = client.model_infer(model_request()).await.expect("computes").into_inner();
    let shapes: Vec<_> = answer.outputs.iter().map(|output| (output.name.as_str(), output.shape.clone())).collect();
    assert_eq!(shapes, [("last_hidden_state", vec![2, 12, 384]), ("sentence_embedding", vec![2, 384])]);
    server.stop_cleanly();
}

#[tokio::test]
async fn the_parameters_of_a_request_are_followed() {
    let test = "the_parameters_of_a_request_are_followed";
    let Some(server) = start(test, &[]) else { return };
    let mut client = client(&server).await;
    let mut request = text_request(&["a text", "another one"]);
    request.parameters.extend([
        parameter("dimensions", ParameterChoice::Int64Param(64)),
        parameter("normalize", ParameterChoice::BoolParam(true)),
        parameter("priority", ParameterChoice::Uint64Param(2)),
        parameter("timeout", ParameterChoice::Int64Param(60_000_000)),
    ]);
    let answer = client.model_infer(request.clone()).await.expect("embeds").into_inner();
    assert_eq!(answer.outputs[0].shape, [2, 64]);
    let values = answer.outputs[0].contents.as_ref().expect("typed").fp32_contents.clone();
    let length: f32 = values[..64].iter().map(|value| value * value).sum();
    assert!((length - 1.0).abs() < 1e-3, "{length}");

    request.parameters.extend([parameter("timeout", ParameterChoice::Int64Param(1))]);
    let late = client.model_infer(request).await.expect_err("a microsecond is not enough");
    assert!(matches!(late.code(), Code::DeadlineExceeded | Code::ResourceExhausted), "{late}");
    server.stop_cleanly();
}

#[tokio::test]
async fn the_server_says_what_it_has() {
    let test = "the_server_says_what_it_has";
    let Some(server) = start(test, &[]) else { return };
    let mut client = client(&server).await;
    assert!(client.server_live(oip::ServerLiveRequest {}).await.expect("answers").into_inner().live);
    assert!(client.server_ready(oip::ServerReadyRequest {}).await.expect("answers").into_inner().ready);
    let metadata = client.server_metadata(oip::ServerMetadataRequest {}).await.expect("answers").into_inner();
    assert_eq!(metadata.name, "wisp");
    assert!(metadata.extensions.contains(&"binary_tensor_data".to_owned()), "{metadata:?}");

    let named = |name: &str| oip::ModelMetadataRequest { name: name.to_owned(), version: "1".to_owned() };
    let model = client.model_metadata(named(MODEL)).await.expect("answers").into_inner();
    let inputs: Vec<_> = model.inputs.iter().map(|it| (it.name.as_str(), it.datatype.as_str(), &*it.shape)).collect();
    let any = &[-1, -1][..];
    assert_eq!(
        inputs,
        [("input_ids", "INT64", any), ("attention_mask", "INT64", any), ("token_type_ids", "INT64", any)]
    );
    assert_eq!(model.properties["precision"], "f32");
    let deployment = client.model_metadata(named("embedder")).await.expect("answers").into_inner();
    assert_eq!((deployment.platform.as_str(), &*deployment.versions), ("wasm", &["1".to_owned()][..]));
    assert_eq!(deployment.properties["dimensions"], "384");

    let request = oip::ModelConfigRequest { name: MODEL.to_owned(), ..Default::default() };
    let config = client.model_config(request).await.expect("answers").into_inner().config.expect("a configuration");
    assert_eq!((config.max_batch_size, &*config.input[0].dims), (64, &[-1][..]), "without the batch axis");
    let index = client.repository_index(oip::RepositoryIndexRequest::default()).await.expect("answers").into_inner();
    let lines: Vec<_> = index.models.iter().map(|line| (line.name.as_str(), line.state.as_str())).collect();
    assert_eq!(lines, [(MODEL, "READY"), ("embedder", "READY")]);
    let services = reflected_services(server.channel().await).await;
    assert!(services.contains(&"inference.GRPCInferenceService".to_owned()), "{services:?}");
    server.stop_cleanly();
}

#[tokio::test]
async fn what_is_wrong_with_a_request_is_named() {
    let test = "what_is_wrong_with_a_request_is_named";
    let Some(server) = start(test, &[]) else { return };
    let mut client = client(&server).await;
    for (request, message) in mistakes() {
        let status = client.model_infer(request).await.expect_err(message);
        assert_eq!((status.code(), status.message()), (Code::InvalidArgument, message));
    }
    for (name, version, message) in [
        ("nobody", "", "model `nobody` does not exist; there is `all-minilm-l6-v2`, `embedder`"),
        (MODEL, "2", "model `all-minilm-l6-v2` has version 1 only, not `2`; leave the version out, or send 1"),
    ] {
        let (model_name, model_version) = (name.to_owned(), version.to_owned());
        let request = oip::ModelInferRequest { model_name, model_version, ..model_request() };
        let status = client.model_infer(request).await.expect_err(message);
        assert_eq!((status.code(), status.message()), (Code::NotFound, message));
    }
    server.stop_cleanly();
}

/// Requests that are wrong in themselves, and what is said of each.
fn mistakes() -> Vec<(oip::ModelInferRequest, &'static str)> {
    let changed = |change: fn(&mut oip::ModelInferRequest)| {
        let mut request = model_request();
        change(&mut request);
        request
    };
    vec![
        (
            changed(|it| it.inputs[0].datatype = "INT32".to_owned()),
            "input `input_ids` of shape [2, 12] and INT32 needs 96 bytes, got 192",
        ),
        (
            changed(|it| it.inputs[0].datatype = "FP64".to_owned()),
            "input `input_ids` of `all-minilm-l6-v2` must be INT64, got FP64",
        ),
        (
            changed(|it| it.inputs[0].datatype = "UINT64".to_owned()),
            "input `input_ids` of `all-minilm-l6-v2` must be INT64, got UINT64",
        ),
        (changed(|it| it.inputs[0].shape = vec![24]), "input `input_ids` must have shape [-1, -1], got [24]"),
        (
            changed(|it| it.inputs[0].shape = vec![3, 8]),
            "input `attention_mask` has shape [2, 12], `input_ids` has [3, 8]",
        ),
        (
            changed(|it| it.inputs[0].name = "ids".to_owned()),
            "input `ids` does not exist; `all-minilm-l6-v2` takes `input_ids`, `attention_mask`, `token_type_ids`",
        ),
        (
            changed(|it| drop((it.inputs.pop(), it.raw_input_contents.pop()))),
            "input `token_type_ids` is missing; the model takes `input_ids`, `attention_mask`, `token_type_ids`",
        ),
        (
            changed(|it| drop(it.raw_input_contents.pop())),
            "raw_input_contents has 2 entries for 3 inputs; send one for each input, in the order of the inputs",
        ),
        (
            changed(|it| it.raw_input_contents[0] = vec![0xff; 192].into()),
            "input `input_ids` holds -1; the model knows 0 to 30521",
        ),
        (
            changed(|it| {
                it.outputs.push(oip::model_infer_request::InferRequestedOutputTensor {
                    name: "logits".to_owned(),
                    ..Default::default()
                })
            }),
            "output `logits` does not exist; `all-minilm-l6-v2` gives `last_hidden_state`, `sentence_embedding`",
        ),
        (long_row(), "a row of 257 tokens is longer than model `all-minilm-l6-v2` takes; at most 256 fit"),
        (text_request(&[]), "the request has no texts; send at least one"),
        (text_request(&["a text", " "]), "text 1 is empty or blank; an embedding of nothing means nothing"),
    ]
}

fn long_row() -> oip::ModelInferRequest {
    let mut request = model_request();
    request.inputs.iter_mut().for_each(|input| input.shape = vec![1, 257]);
    request.raw_input_contents.iter_mut().for_each(|raw| *raw = vec![0; 257 * 8].into());
    request
}

#[tokio::test]
async fn a_stream_answers_in_order_and_goes_on_after_a_mistake() {
    let test = "a_stream_answers_in_order_and_goes_on_after_a_mistake";
    let Some(server) = start(test, &[]) else { return };
    let requests = (0..40).map(|index| {
        let long = "and on it goes ".repeat(40 - index);
        let mut request = text_request(&[&format!("text {index} {long}")]);
        request.id = index.to_string();
        if index == 7 {
            request.inputs = vec![input("texts", "FLOAT", &[1])];
        }
        request
    });
    let requests: Vec<_> = requests.collect();
    let answers = client(&server).await.model_stream_infer(tokio_stream::iter(requests)).await.expect("a stream");
    let answers: Vec<_> = answers.into_inner().map(|answer| answer.expect("the stream goes on")).collect().await;
    assert_eq!(answers.len(), 40);
    for (index, answer) in answers.iter().enumerate() {
        let infer = answer.infer_response.as_ref().expect("names its request");
        assert_eq!(infer.id, index.to_string());
        assert_eq!(answer.error_message.contains("datatype `FLOAT` does not exist"), index == 7, "{answer:?}");
        assert_eq!(infer.outputs.len(), if index == 7 { 0 } else { 2 });
    }
    server.stop_cleanly();
}
