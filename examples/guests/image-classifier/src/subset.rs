//! The labels that a request chooses from, where it does not take all that the model has.

use wisp_guest::models::ModelInfo;
use wisp_guest::{ClassifyOptions, Error, Scoring};

/// Candidates, and where their scores stand in the model's output.
#[derive(Debug)]
pub(crate) struct Subset {
    pub(crate) labels: Vec<String>,
    positions: Vec<usize>,
}

impl Subset {
    /// The candidates of a request; none when it has none.
    pub(crate) fn of(options: &ClassifyOptions, info: &ModelInfo) -> Result<Option<Self>, Error> {
        if options.candidates.is_empty() {
            return Ok(None);
        }
        let labels: Vec<_> = options.candidates.iter().map(|candidate| candidate.label.clone()).collect();
        let position = |label: &String| {
            let found = info.labels.iter().position(|known| known == label);
            found.ok_or_else(|| {
                let (name, count) = (&info.name, info.labels.len());
                Error::invalid_argument(format!("label `{label}` is none of the {count} labels of model `{name}`"))
            })
        };
        let positions = labels.iter().map(position).collect::<Result<_, _>>()?;
        Ok(Some(Self { labels, positions }))
    }

    /// The scores of the candidates; where one label holds, as shares of what all candidates have together.
    pub(crate) fn scores(&self, all: &[f32], scoring: Scoring) -> Vec<f32> {
        let mut scores: Vec<f32> =
            self.positions.iter().map(|&position| all.get(position).copied().unwrap_or_default()).collect();
        let sum: f32 = scores.iter().sum();
        if scoring == Scoring::SingleLabel && sum > 0.0 {
            scores.iter_mut().for_each(|score| *score /= sum);
        }
        scores
    }
}

#[cfg(test)]
mod tests {
    use wisp_guest::Candidate;
    use wisp_guest::models::Pooling;

    use super::*;

    fn info() -> ModelInfo {
        ModelInfo {
            name: "birds".to_owned(),
            inputs: vec![],
            outputs: vec![],
            fused_outputs: vec![],
            dimensions: None,
            max_tokens: None,
            pooling: Pooling::None,
            labels: ["duck", "gull", "wren"].map(str::to_owned).to_vec(),
            max_batch_tokens: 1,
        }
    }

    fn options(labels: &[&str]) -> ClassifyOptions {
        let candidate = |&label: &&str| Candidate { label: label.to_owned(), description: None };
        ClassifyOptions {
            candidates: labels.iter().map(candidate).collect(),
            template: None,
            scoring: Scoring::SingleLabel,
            top_k: None,
            truncate: true,
        }
    }

    #[test]
    fn candidates_share_what_they_have_together() {
        let subset = Subset::of(&options(&["wren", "duck"]), &info()).expect("known").expect("some");
        assert_eq!(subset.scores(&[0.6, 0.2, 0.2], Scoring::SingleLabel), [0.25, 0.75]);
        assert_eq!(subset.scores(&[0.6, 0.2, 0.2], Scoring::MultiLabel), [0.2, 0.6]);
        assert_eq!(subset.scores(&[0.0, 1.0, 0.0], Scoring::SingleLabel), [0.0, 0.0]);
        assert!(Subset::of(&options(&[]), &info()).expect("none").is_none());
    }

    #[test]
    fn a_label_that_the_model_does_not_know_is_named() {
        let error = Subset::of(&options(&["duck", "dragon"]), &info()).expect_err("no such bird").to_string();
        assert_eq!(error, "label `dragon` is none of the 3 labels of model `birds`");
    }
}
