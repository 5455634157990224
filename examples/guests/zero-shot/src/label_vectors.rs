//! The vectors of labels: kept by the host from one request to the next, and made where they are not.

use wisp_guest::{Error, Tensor, TextEmbedder, state};

/// One vector a sentence, in their order.
pub(crate) fn of(sentences: &[String], embedder: &TextEmbedder) -> Result<Vec<Vec<f32>>, Error> {
    let mut vectors = sentences.iter().map(|sentence| kept(sentence)).collect::<Result<Vec<_>, _>>()?;
    let is_missing = |(position, vector): (usize, &Option<Vec<f32>>)| vector.is_none().then_some(position);
    let missing: Vec<usize> = vectors.iter().enumerate().filter_map(is_missing).collect();
    if !missing.is_empty() {
        let texts = missing.iter().map(|&position| sentences[position].clone()).collect();
        // Labels are bounded by the host; whatever the request says of its texts, a long one is cut.
        let embedded = crate::embed(embedder, texts, true)?;
        for (&position, vector) in missing.iter().zip(embedded.values.chunks_exact(embedded.dimensions as usize)) {
            keep(&sentences[position], vector);
            vectors[position] = Some(vector.to_vec());
        }
    }
    Ok(vectors.into_iter().flatten().collect())
}

/// A deployment has one embedding model for as long as the host keeps anything for it, so the sentence alone is the key.
fn kept(sentence: &str) -> Result<Option<Vec<f32>>, Error> {
    let Some(tensor) = state::get(sentence)? else { return Ok(None) };
    tensor.to_f32_vec().map(Some)
}

/// Keeps a vector if the host has room for it: it saves work, and nothing depends on it.
fn keep(sentence: &str, vector: &[f32]) {
    let kept = Tensor::from_slice(&[vector.len()], vector).and_then(|tensor| state::put(sentence, &tensor));
    // Most deployments may keep nothing, and the next request finds that out again.
    drop(kept);
}
