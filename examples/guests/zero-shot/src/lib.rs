//! Classifies texts by the meaning of labels, without any training: a text belongs to the labels whose descriptions lie near it
//! in the space of the embedding model that is granted as `encoder`.
//!
//! Each label is put into a sentence (`candidates.rs`) and embedded; its vector stays with the host
//! ([`wisp_guest::state`]) where the deployment may keep something, so that labels which come again cost nothing. How cosines
//! become scores, and what the environment of the guest can change, is in `settings.rs`.

mod candidates;
mod label_vectors;
mod settings;

use wisp_guest::{
    Classification, Classifier, ClassifyInput, ClassifyOptions, Embeddings, Error, Inputs, Options, Scoring,
    TextEmbedder, classifier, models, scores,
};

use crate::candidates::Candidates;
use crate::settings::Settings;

/// The alias that the model is granted under.
const MODEL: &str = "encoder";

struct ZeroShot;

impl Classifier for ZeroShot {
    fn classify(inputs: Vec<ClassifyInput>, options: ClassifyOptions) -> Result<Vec<Classification>, Error> {
        let texts = classifier::texts(inputs)?;
        let settings = Settings::from_env()?;
        let candidates = Candidates::of(&options, &settings, || Ok(models::describe(MODEL)?.labels))?;
        let embedder = TextEmbedder::load(MODEL)?;
        let labels = label_vectors::of(&candidates.sentences, &embedder)?;
        let embedded = embed(&embedder, texts, options.truncate)?;
        let vectors = embedded.values.chunks_exact(embedded.dimensions as usize);
        let classified = vectors.zip(&embedded.token_counts).map(|(vector, &tokens)| {
            let cosines = labels.iter().map(|label| scores::cosine(vector, label)).collect();
            let scores = score(cosines, options.scoring, &settings);
            Classification { labels: scores::labelled(&candidates.labels, &scores, options.top_k), tokens }
        });
        Ok(classified.collect())
    }
}

/// Embeds texts as long as the model makes them: of length 1.
fn embed(embedder: &TextEmbedder, texts: Vec<String>, truncate: bool) -> Result<Embeddings, Error> {
    embedder.embed(Inputs::Texts(texts), Options { normalize: true, dimensions: None, truncate })
}

fn score(mut cosines: Vec<f32>, scoring: Scoring, settings: &Settings) -> Vec<f32> {
    match scoring {
        Scoring::SingleLabel => scores::softmax(&mut cosines, settings.temperature),
        Scoring::MultiLabel => {
            let logit = |cosine: f32| (cosine - settings.threshold) / settings.temperature;
            cosines.iter_mut().for_each(|cosine| *cosine = scores::sigmoid(logit(*cosine)));
        }
    }
    cosines
}

wisp_guest::export_classifier!(ZeroShot);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_label_of_several_or_each_by_itself() {
        let settings = Settings::from_variables(|_| None).expect("nothing is set");
        let cosines = vec![0.5, 0.3, settings.threshold];
        let single = score(cosines.clone(), Scoring::SingleLabel, &settings);
        assert!((single.iter().sum::<f32>() - 1.0).abs() < 1e-6, "{single:?}");
        assert!(single[0] > 0.9, "a fifth of a cosine decides: {single:?}");
        let multi = score(cosines, Scoring::MultiLabel, &settings);
        assert!(multi[0] > 0.9 && (multi[2] - 0.5).abs() < 1e-6, "{multi:?}");
    }
}
