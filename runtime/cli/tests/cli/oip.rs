//! The Open Inference Protocol against a real server: tensors to the embedder and to its model, over gRPC and REST, and with
//! the clients that others wrote for it.

mod clients;
mod grpc;
mod operation;
mod rest;

use bytes::Bytes;
use wisp_proto::inference as oip;
use wisp_proto::inference::grpc_inference_service_client::GrpcInferenceServiceClient;
use wisp_testing::{MODEL, RealModel, cosine};

use crate::support::Server;

/// What "the same vector" means with f32.
const MIN_COSINE: f64 = 0.99999;

/// Which of the golden texts the token ids below are of.
const GOLDEN: [usize; 2] = [0, 2];

/// Their token ids, filled up to one length; the tokenizer of the model made them.
const IDS: [[i64; 12]; 2] = [
    [101, 2129, 2079, 1045, 25141, 2026, 20786, 1029, 102, 0, 0, 0],
    [101, 1996, 4248, 2829, 4419, 14523, 2058, 1996, 13971, 3899, 1012, 102],
];

/// A server in f32, so that vectors can be compared with those of the reference.
fn start(test: &str, arguments: &[&str]) -> Option<Server> {
    Server::start(test, &[&["--precision", "f32"], arguments].concat())
}

pub(crate) async fn client(server: &Server) -> GrpcInferenceServiceClient<tonic::transport::Channel> {
    GrpcInferenceServiceClient::new(server.channel().await).max_decoding_message_size(usize::MAX)
}

fn mask() -> Vec<i64> {
    IDS.iter().flatten().map(|&id| i64::from(id != 0)).collect()
}

/// The inputs of the model: name and elements.
fn model_inputs() -> [(&'static str, Vec<i64>); 3] {
    let ids = IDS.iter().flatten().copied().collect();
    [("input_ids", ids), ("attention_mask", mask()), ("token_type_ids", vec![0; IDS.len() * IDS[0].len()])]
}

pub(crate) fn input(name: &str, datatype: &str, shape: &[i64]) -> oip::model_infer_request::InferInputTensor {
    oip::model_infer_request::InferInputTensor {
        name: name.to_owned(),
        datatype: datatype.to_owned(),
        shape: shape.to_vec(),
        ..Default::default()
    }
}

/// Token ids for the model, raw.
fn model_request() -> oip::ModelInferRequest {
    let shape = [IDS.len() as i64, IDS[0].len() as i64];
    let inputs = model_inputs();
    let raw = inputs.iter().map(|(_, elements)| elements.iter().flat_map(|it| it.to_le_bytes()).collect());
    oip::ModelInferRequest {
        model_name: MODEL.to_owned(),
        raw_input_contents: raw.collect(),
        inputs: inputs.iter().map(|(name, _)| input(name, "INT64", &shape)).collect(),
        ..Default::default()
    }
}

/// Texts for the embedder, by themselves.
fn text_request(texts: &[&str]) -> oip::ModelInferRequest {
    let strings = texts.iter().map(|text| Bytes::copy_from_slice(text.as_bytes())).collect();
    let contents = oip::InferTensorContents { bytes_contents: strings, ..Default::default() };
    let texts = input("texts", "BYTES", &[texts.len() as i64]);
    oip::ModelInferRequest {
        model_name: "embedder".to_owned(),
        inputs: vec![oip::model_infer_request::InferInputTensor { contents: Some(contents), ..texts }],
        ..Default::default()
    }
}

fn floats(raw: &[u8]) -> Vec<f32> {
    raw.as_chunks::<4>().0.iter().map(|&element| f32::from_le_bytes(element)).collect()
}

/// The vectors are those that the reference has for the golden texts.
fn assert_golden(real: &RealModel, values: &[f32], golden: &[usize]) {
    assert_eq!(values.len(), golden.len() * real.golden.dimensions);
    for (values, &index) in values.chunks_exact(real.golden.dimensions).zip(golden) {
        let cosine = cosine(values, real.golden.vector(index));
        assert!(cosine >= MIN_COSINE, "text {index}: cosine {cosine}");
    }
}
