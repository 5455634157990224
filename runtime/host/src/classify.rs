//! Classifying: a request, its instance, and the guest's answer checked.

use std::sync::Arc;

use tokio::time::Instant;
use wisp_scheduler::BatchShare;

use crate::bindings::classifier::exports::wisp::inference::classification::{
    Candidate, Classification, Error as GuestError, Input, Options, Scoring,
};
use crate::call::{late, passed_on};
use crate::convert::core_kind;
use crate::error::CallError;
use crate::keep::{Instance, Live};
use crate::terms::Terms;
use crate::{CallTimes, Copies, GrantedModel, Guest, GuestKind};

/// A request to classify.
#[derive(Debug)]
pub struct ClassifyCall {
    /// The terms.
    pub terms: Terms,
    /// What to classify.
    pub inputs: Vec<ClassifyInput>,
    /// How.
    pub options: ClassifyOptions,
}

/// What to classify.
#[derive(Clone, PartialEq, Eq)]
pub enum ClassifyInput {
    /// A text.
    Text(String),
    /// An image file as it was sent. It is copied once, into the guest's memory.
    Image(Vec<u8>),
}

/// How to classify.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClassifyOptions {
    /// The labels to choose from; empty for those that the deployment or its model has.
    pub candidates: Vec<CandidateLabel>,
    /// A sentence with one `{}` for the label, for guests that compare meanings.
    pub template: Option<String>,
    /// Score each label by itself, instead of all as shares of 1.
    pub is_multi_label: bool,
    /// At most so many labels an input.
    pub top_k: Option<u32>,
    /// Cut texts that are longer than the model's maximum.
    pub truncate: bool,
}

/// A label that may be given.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CandidateLabel {
    /// The label.
    pub label: String,
    /// What it means, for guests that compare meanings.
    pub description: Option<String>,
}

/// The answer to a [`ClassifyCall`].
#[derive(Clone, Debug)]
pub struct Classified {
    /// One classification an input, in the order of the inputs.
    pub classifications: Vec<LabelScores>,
    /// Where the time went.
    pub times: CallTimes,
    /// Tensors that went into the guest's memory or came out of it.
    pub copies: Copies,
    /// The inferences that computed it, and what they shared.
    pub share: BatchShare,
    /// The model that computed last, if any did.
    pub computed_by: Option<Arc<GrantedModel>>,
}

/// The labels of one input.
#[derive(Clone, Debug, PartialEq)]
pub struct LabelScores {
    /// Labels and scores, the highest first.
    pub labels: Vec<LabelScore>,
    /// Tokens of the input that took part; 0 for images.
    pub tokens: u32,
}

/// A label and its score.
#[derive(Clone, Debug, PartialEq)]
pub struct LabelScore {
    /// The label; empty for a class that has no name.
    pub label: String,
    /// Its position among the candidates, or among the labels of the model.
    pub index: u32,
    /// From 0 to 1.
    pub score: f32,
}

impl Default for ClassifyOptions {
    /// The deployment's own labels, all of them, as shares of 1; truncated.
    fn default() -> Self {
        Self { candidates: Vec::new(), template: None, is_multi_label: false, top_k: None, truncate: true }
    }
}

impl std::fmt::Debug for ClassifyInput {
    /// Kind and size only: payloads are users' data and stay out of logs.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Text(text) => write!(f, "Text({} bytes)", text.len()),
            Self::Image(file) => write!(f, "Image({} bytes)", file.len()),
        }
    }
}

impl Guest {
    /// Runs the guest's `classify`, on the terms of [`Guest::embed`].
    ///
    /// # Errors
    /// [`CallError`]; no other request notices.
    pub async fn classify(&self, call: ClassifyCall) -> Result<Classified, CallError> {
        let ClassifyCall { terms, inputs, options } = call;
        let (started_at, count, top_k) = (Instant::now(), inputs.len(), options.top_k);
        let end = terms.end(started_at);
        let mut live = self.ready(terms.open(self, end), GuestKind::Classifier, "classifies")?;
        let _running = self.loaded.ticker.run();
        let (inputs, options) = (inputs.into_iter().map(Input::from).collect::<Vec<_>>(), Options::from(options));
        let run = self.run_classify(&mut live, &inputs, &options);
        let answer = match tokio::time::timeout_at(end.at, run).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(error)) => return Err(self.explain(&error, &live.store.data().account)),
            Err(_) => return Err(late(&live.store.data().account, end.is_wall)),
        };
        let account = &mut live.store.data_mut().account;
        let answer = answer.map_err(|error| passed_on(account, core_kind(error.kind), &error.message, end))?;
        account.times.total = started_at.elapsed();
        check(&answer, count, top_k)
            .map_err(|reason| CallError::Result { deployment: account.deployment.to_string(), reason })?;
        let classified = Classified {
            classifications: answer.into_iter().map(LabelScores::from).collect(),
            times: account.times,
            copies: account.copies,
            share: account.share,
            computed_by: account.computed_by.take(),
        };
        self.keep(live);
        Ok(classified)
    }

    async fn run_classify(
        &self,
        live: &mut Live,
        inputs: &[Input],
        options: &Options,
    ) -> wasmtime::Result<Result<Vec<Classification>, GuestError>> {
        let (store, instance) = live.instance(self).await?;
        let Instance::Classifier(instance) = instance else { wasmtime::bail!("the guest classifies nothing") };
        instance.wisp_inference_classification().call_classify(store, inputs, options).await
    }
}

impl From<ClassifyInput> for Input {
    fn from(input: ClassifyInput) -> Self {
        match input {
            ClassifyInput::Text(text) => Self::Text(text),
            ClassifyInput::Image(file) => Self::Image(file),
        }
    }
}

impl From<ClassifyOptions> for Options {
    fn from(options: ClassifyOptions) -> Self {
        let ClassifyOptions { candidates, template, is_multi_label, top_k, truncate } = options;
        let candidate = |CandidateLabel { label, description }| Candidate { label, description };
        Self {
            candidates: candidates.into_iter().map(candidate).collect(),
            template,
            scoring: if is_multi_label { Scoring::MultiLabel } else { Scoring::SingleLabel },
            top_k,
            truncate,
        }
    }
}

impl From<Classification> for LabelScores {
    fn from(classification: Classification) -> Self {
        let labels = classification.labels.into_iter();
        let labels = labels.map(|one| LabelScore { label: one.label, index: one.index, score: one.score }).collect();
        Self { labels, tokens: classification.tokens }
    }
}

/// Whether the guest's result answers the request.
fn check(answer: &[Classification], count: usize, top_k: Option<u32>) -> Result<(), String> {
    if answer.len() != count {
        return Err(format!("{} classifications for {count} inputs", answer.len()));
    }
    for (position, Classification { labels, .. }) in answer.iter().enumerate() {
        if top_k.is_some_and(|most| labels.len() > most as usize) {
            return Err(format!("input {position} has {} labels, and at most {top_k:?} were asked for", labels.len()));
        }
        if let Some(label) = labels.iter().find(|label| !(0.0..=1.0).contains(&label.score)) {
            return Err(format!("input {position} has the score {}, which is not from 0 to 1", label.score));
        }
        if !labels.is_sorted_by(|a, b| a.score >= b.score) {
            return Err(format!("the labels of input {position} are not in the order of their scores"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bindings::classifier::exports::wisp::inference::classification::ScoredLabel;

    fn classification(scores: &[f32]) -> Classification {
        let label = |(index, &score): (usize, &f32)| ScoredLabel { label: String::new(), index: index as u32, score };
        Classification { labels: scores.iter().enumerate().map(label).collect(), tokens: 0 }
    }

    #[test]
    fn a_result_that_does_not_answer_the_request_is_refused_with_a_reason() {
        for (scores, count, top_k, reason) in [
            (&[0.5][..], 2, None, "1 classifications for 2 inputs"),
            (&[0.5, 0.4], 1, Some(1), "input 0 has 2 labels"),
            (&[1.5], 1, None, "input 0 has the score 1.5"),
            (&[f32::NAN], 1, None, "input 0 has the score NaN"),
            (&[0.1, 0.9], 1, None, "the labels of input 0 are not in the order"),
        ] {
            let said = check(&[classification(scores)], count, top_k).expect_err(reason);
            assert!(said.starts_with(reason), "{said}");
        }
        check(&[classification(&[0.9, 0.1, 0.1])], 1, Some(3)).expect("answers");
        check(&[], 0, None).expect("nothing for nothing");
    }

    #[test]
    fn what_is_classified_stays_out_of_logs() {
        let input = ClassifyInput::Text("a secret".to_owned());
        assert_eq!(format!("{input:?}"), "Text(8 bytes)");
    }
}
