//! The golden texts through every guest on every backend, against the vectors of sentence-transformers.

use crate::support;
use wisp_core::BackendId;
use wisp_engine::{EmbedRequest, Engine};
use wisp_testing::{RealModel, cosine};

/// What "the same vector" means with f32.
const MIN_COSINE: f64 = 0.99999;

async fn assert_reference(engine: &Engine, deployment: &str, real: &RealModel, texts_at_once: usize) {
    let golden = &real.golden;
    for (chunk, texts) in golden.texts.chunks(texts_at_once).enumerate() {
        let request = EmbedRequest { deployment: Some(deployment.to_owned()), ..EmbedRequest::texts(texts) };
        let answer = engine.embed(request).await.unwrap_or_else(|error| panic!("{deployment}: {error}"));
        assert_eq!(answer.dimensions, 384);
        for (row, vector) in answer.vectors().enumerate() {
            let index = chunk * texts_at_once + row;
            let cosine = cosine(vector, golden.vector(index));
            assert!(cosine >= MIN_COSINE, "{deployment}, {texts_at_once} at once, text {index}: cosine {cosine}");
        }
    }
}

async fn guests_agree_on(backend: BackendId, test: &str) {
    let Some(real) = RealModel::get(test) else { return };
    let Some(config) = support::config(test, backend) else { return };
    let engine = support::start(config, &real);
    let ran_on = engine.models()[0].placement.backend;
    assert_eq!(ran_on, backend);
    for deployment in ["embedder", "portable"] {
        for texts_at_once in [1, 7, real.golden.texts.len()] {
            assert_reference(&engine, deployment, &real, texts_at_once).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn both_guests_give_the_reference_vectors_on_onnx_runtime() {
    guests_agree_on(BackendId::Ort, "both_guests_give_the_reference_vectors_on_onnx_runtime").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn both_guests_give_the_reference_vectors_on_candle() {
    guests_agree_on(BackendId::Candle, "both_guests_give_the_reference_vectors_on_candle").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn options_mean_the_same_to_both_guests() {
    let test = "options_mean_the_same_to_both_guests";
    let Some(real) = RealModel::get(test) else { return };
    let Some(config) = support::config(test, BackendId::Candle) else { return };
    let engine = support::start(config, &real);
    let embed = async |deployment: &str, dimensions, normalize, truncate, text: &str| {
        let mut request = EmbedRequest { deployment: Some(deployment.to_owned()), ..EmbedRequest::texts([text]) };
        request.options = wisp_host::EmbedOptions { dimensions, normalize, truncate };
        engine.embed(request).await
    };
    let long = "harbour ".repeat(400);
    for deployment in ["embedder", "portable"] {
        let full = embed(deployment, None, true, true, "a text").await.expect("embeds").values;
        let cut = embed(deployment, Some(64), true, true, "a text").await.expect("embeds").values;
        assert_eq!(cut.len(), 64);
        assert!(cosine(&cut, &full[..64]) > 0.999_999, "{deployment}: the first dimensions");
        assert!((cosine(&cut, &cut) - 1.0).abs() < 1e-6 && (norm(&cut) - 1.0).abs() < 1e-4, "{deployment}: length 1");
        let raw = embed(deployment, None, false, true, "a text").await.expect("embeds").values;
        assert!(cosine(&raw, &full) > 0.999_999, "{deployment}: the direction stays");
        assert!((norm(&raw) - 1.0).abs() > 1e-3, "{deployment}: not scaled");

        let tokens = embed(deployment, None, true, true, &long).await.expect("is cut").token_counts;
        assert_eq!(tokens, [256], "{deployment}");
        let error = embed(deployment, None, true, false, &long).await.expect_err("is too long");
        assert!(error.to_string().contains("256"), "{deployment}: {error}");
        for dimensions in [0, 385] {
            let error = embed(deployment, Some(dimensions), true, true, "a text").await.expect_err("no such length");
            assert_eq!(wisp_core::Kinded::kind(&error), wisp_core::ErrorKind::InvalidArgument, "{deployment}: {error}");
        }
    }
}

fn norm(vector: &[f32]) -> f32 {
    vector.iter().map(|value| value * value).sum::<f32>().sqrt()
}
