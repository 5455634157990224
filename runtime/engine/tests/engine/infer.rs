//! Tensors by name: to a guest or to its model, whose rows meet those of guests.

use tokio::task::JoinSet;
use wisp_core::{BackendId, ErrorKind, Kinded, Tensor};
use wisp_engine::{EndpointKind, Engine, InferRequest, InferTensor, Values};
use wisp_testing::{MODEL, RealModel, cosine};

use crate::support;

const MIN_COSINE: f64 = 0.99999;

/// "How do I reset my password?", the first golden text; its tokenizer made them.
const IDS: [i64; 9] = [101, 2129, 2079, 1045, 25141, 2026, 20786, 1029, 102];

fn engine(test: &str) -> Option<(Engine, RealModel)> {
    let real = RealModel::get(test)?;
    let mut config = support::config(test, BackendId::Candle)?;
    // However slow the machine is, time is no reason to keep rows apart here.
    config.models.get_mut(MODEL).expect("the default model").batching.max_batch_ms = 3_600_000;
    Some((support::start(config, &real), real))
}

fn tensor(name: &str, rows: usize, values: &[i64]) -> InferTensor {
    let (all, shape) = (values.repeat(rows), [rows, values.len()]);
    InferTensor { name: name.to_owned(), values: Values::Numbers(Tensor::from_slice(&shape, &all).expect("fits")) }
}

fn to_model(rows: usize, ids: &[i64]) -> InferRequest {
    let inputs = vec![
        tensor("input_ids", rows, ids),
        tensor("attention_mask", rows, &vec![1; ids.len()]),
        tensor("token_type_ids", rows, &vec![0; ids.len()]),
    ];
    InferRequest { name: MODEL.to_owned(), inputs, ..InferRequest::default() }
}

fn to_guest(texts: &[&str]) -> InferRequest {
    let elements = texts.iter().map(|text| text.as_bytes().to_vec().into()).collect();
    let values = Values::Strings { shape: vec![texts.len(), 1], elements };
    let inputs = vec![InferTensor { name: "texts".to_owned(), values }];
    InferRequest { name: "embedder".to_owned(), inputs, ..InferRequest::default() }
}

fn floats(values: &Values) -> &[f32] {
    match values {
        Values::Numbers(tensor) => tensor.view().expect("f32"),
        other => panic!("{:?} are no numbers", other.value_type()),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guest_and_its_model_give_one_vector_and_their_rows_meet() {
    let test = "a_guest_and_its_model_give_one_vector_and_their_rows_meet";
    let Some((engine, real)) = engine(test) else { return };
    let mut asked = JoinSet::new();
    for index in 0..64 {
        let request = if index % 2 == 0 { to_model(1, &IDS) } else { to_guest(&[&real.golden.texts[0]]) };
        let engine = engine.clone();
        asked.spawn(async move { engine.infer(request).await });
    }
    while let Some(answered) = asked.join_next().await {
        let answer = answered.expect("no panic").expect("answers");
        let output = answer.outputs.iter().find(|it| ["embeddings", "sentence_embedding"].contains(&&*it.name));
        let cosine = cosine(floats(&output.expect("is there").values), real.golden.vector(0));
        assert!(cosine >= MIN_COSINE, "{}: cosine {cosine}", answer.endpoint.name);
        assert_eq!(&*answer.placement.expect("was computed").model, MODEL);
    }
    let is_mixed = |batch: &wisp_engine::BatchRecord| {
        let guests = batch.members.iter().filter(|member| member.origin != wisp_engine::Origin::default()).count();
        guests > 0 && guests < batch.members.len()
    };
    assert!(engine.recent_batches(MODEL).iter().any(is_mixed), "no batch has rows of both");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_fit_is_refused_before_anything_is_computed() {
    let test = "what_does_not_fit_is_refused_before_anything_is_computed";
    let Some((engine, _)) = engine(test) else { return };
    let named = |name: &str| InferRequest { name: name.to_owned(), ..to_guest(&["a text"]) };
    let twice = |mut request: InferRequest| {
        request.inputs.extend(request.inputs.clone());
        request
    };
    for (request, kind, message) in [
        (
            named("nobody"),
            ErrorKind::NotFound,
            "model `nobody` does not exist; there is `all-minilm-l6-v2`, `embedder`, `portable`",
        ),
        (
            named(MODEL),
            ErrorKind::InvalidArgument,
            "input `texts` does not exist; `all-minilm-l6-v2` takes `input_ids`, `attention_mask`, `token_type_ids`",
        ),
        (twice(to_guest(&["a text"])), ErrorKind::InvalidArgument, "input `texts` is given twice"),
        (twice(to_model(1, &IDS)), ErrorKind::InvalidArgument, "input `input_ids` is given twice"),
        (
            InferRequest { inputs: Vec::new(), ..to_guest(&[]) },
            ErrorKind::InvalidArgument,
            "input `texts` is missing; `embedder` takes `texts`",
        ),
        (
            to_model(1, &[101; 300]),
            ErrorKind::TooLarge,
            "a row of 300 tokens is longer than model `all-minilm-l6-v2` takes; at most 256 fit",
        ),
        (
            to_model(1025, &IDS),
            ErrorKind::TooLarge,
            "1025 rows of length 9 are more than model `all-minilm-l6-v2` takes in one request; send at most 1024 rows, and 65536 rows times length",
        ),
        (
            to_model(512, &[101; 256]),
            ErrorKind::TooLarge,
            "512 rows of length 256 are more than model `all-minilm-l6-v2` takes in one request; send at most 1024 rows, and 65536 rows times length",
        ),
    ] {
        let error = engine.infer(request).await.expect_err(message);
        assert_eq!((error.kind(), error.to_string().as_str()), (kind, message));
    }
    let values = Values::Strings { shape: vec![1], elements: vec![vec![0xff].into()] };
    let request = InferRequest { inputs: vec![InferTensor { name: "texts".to_owned(), values }], ..named("embedder") };
    assert_eq!(engine.infer(request).await.expect_err("no text").to_string(), "text 0 is not UTF-8");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deployment_hides_a_model_of_its_name_and_models_can_be_hidden_altogether() {
    let test = "a_deployment_hides_a_model_of_its_name_and_models_can_be_hidden_altogether";
    let Some(real) = RealModel::get(test) else { return };
    let Some(mut config) = support::config(test, BackendId::Candle) else { return };
    let deployment = config.deployments["embedder"].clone();
    config.deployments.insert(MODEL.to_owned(), deployment);
    let kind = |engine: &Engine| engine.endpoint(MODEL).map(|endpoint| endpoint.kind);
    assert_eq!(kind(&support::start(config.clone(), &real)).expect("is there"), EndpointKind::Embedder);
    config.deployments.remove(MODEL);
    let engine = support::start(config.clone(), &real);
    assert_eq!(kind(&engine).expect("is there"), EndpointKind::Model { max_rows: 64, shares_rows: true });
    config.server.bare_models = false;
    let error = kind(&support::start(config, &real)).expect_err("is hidden");
    assert_eq!(error.to_string(), "model `all-minilm-l6-v2` does not exist; there is `embedder`, `portable`");
}
