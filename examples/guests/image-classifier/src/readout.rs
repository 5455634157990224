//! From the only output of a model to one score a class.
//!
//! Bytes are shares of 1 in steps of 1/256, as quantised classifiers give them. Floats that are shares of 1 already stay; others
//! are logits.

use wisp_guest::{DataType, Error, Scoring, Tensor, scores};

/// Steps of a byte.
const STEPS: f32 = 256.0;

/// How far the sum of shares may be from 1: rounding to half floats, and to bytes.
const SUM_TOLERANCE: f32 = 0.02;

/// One score a class, from 0 to 1. `model` stands in messages.
pub(crate) fn scores(model: &str, output: &Tensor<'_>, scoring: Scoring) -> Result<Vec<f32>, Error> {
    let is_row = matches!(output.shape(), [1, _] | [_]);
    if !is_row {
        let shape = output.shape();
        return Err(Error::unsupported(format!("model `{model}` gives {shape:?}; a classifier gives [1, classes]")));
    }
    let (values, is_shares) = match output.data_type() {
        DataType::U8 => (output.bytes().iter().map(|&step| f32::from(step) / STEPS).collect(), true),
        _ => {
            let values = output.to_f32_vec()?;
            let is_shares = is_shares(&values);
            (values, is_shares)
        }
    };
    match (is_shares, scoring) {
        (true, Scoring::SingleLabel) => Ok(values),
        (true, Scoring::MultiLabel) => Err(Error::unsupported(format!(
            "model `{model}` gives shares of 1, which say nothing of a label by itself; leave multi-label out"
        ))),
        (false, scoring) => Ok(activated(values, scoring)),
    }
}

fn activated(mut logits: Vec<f32>, scoring: Scoring) -> Vec<f32> {
    match scoring {
        Scoring::SingleLabel => scores::softmax(&mut logits, 1.0),
        Scoring::MultiLabel => logits.iter_mut().for_each(|logit| *logit = scores::sigmoid(*logit)),
    }
    logits
}

/// Whether floats are what a softmax has left.
fn is_shares(values: &[f32]) -> bool {
    let sum: f32 = values.iter().sum();
    values.iter().all(|value| (0.0..=1.0).contains(value)) && (sum - 1.0).abs() <= SUM_TOLERANCE
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_stay_and_logits_become_shares() {
        let bytes = Tensor::from_slice(&[1, 2], &[192_u8, 64]).expect("2 values");
        assert_eq!(scores("m", &bytes, Scoring::SingleLabel).expect("shares"), [0.75, 0.25]);
        let shares = Tensor::from_slice(&[1, 2], &[0.25_f32, 0.75]).expect("2 values");
        assert_eq!(scores("m", &shares, Scoring::SingleLabel).expect("shares"), [0.25, 0.75]);
        let logits = Tensor::from_slice(&[2], &[3.0_f32, 3.0]).expect("2 values");
        assert_eq!(scores("m", &logits, Scoring::SingleLabel).expect("logits"), [0.5, 0.5]);
        assert!(scores("m", &logits, Scoring::MultiLabel).expect("logits").iter().all(|score| *score > 0.95));
    }

    #[test]
    fn what_cannot_be_scored_is_refused() {
        let bytes = Tensor::from_slice(&[1, 1], &[255_u8]).expect("1 value");
        let error = scores("m", &bytes, Scoring::MultiLabel).expect_err("shares").to_string();
        assert!(error.starts_with("model `m` gives shares of 1"), "{error}");
        let maps = Tensor::from_slice(&[1, 1, 1], &[0.5_f32]).expect("1 value");
        let error = scores("m", &maps, Scoring::SingleLabel).expect_err("3 axes").to_string();
        assert_eq!(error, "model `m` gives [1, 1, 1]; a classifier gives [1, classes]");
    }
}
