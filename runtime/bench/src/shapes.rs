//! How fast a model is in each shape of a batch: rows × tokens, through its session's queue, without a guest.

use std::str::FromStr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;
use wisp_core::Kinded;
use wisp_host::GrantedModel;
use wisp_scheduler::Caller;

use crate::BenchError;

/// Time that one shape may take, and the runs that it takes at least.
const BUDGET: Duration = Duration::from_millis(1500);
const RUNS_LEAST: usize = 5;

/// Longest side of a shape.
const SIDE_LIMIT: usize = 65_536;

/// Tokens of a batch that is not absurd.
const TOKENS_LIMIT: usize = 1 << 20;

/// Rows and tokens of each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Shape {
    /// Rows.
    pub rows: usize,
    /// Tokens of each row.
    pub tokens: usize,
}

/// What one shape takes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ShapeFigures {
    /// What ran: model, placement and precision.
    pub computed_by: String,
    /// The variant that it belongs to, where there are several.
    pub variant: Option<String>,
    /// The shape.
    #[serde(flatten)]
    pub shape: Shape,
    /// Runs that were measured.
    pub runs: usize,
    /// Median of all runs, in milliseconds.
    pub median_ms: f64,
    /// The fastest, in milliseconds.
    pub least_ms: f64,
    /// Rows a second, by the median.
    pub rows_per_s: f64,
    /// Tokens a second, by the median.
    pub tokens_per_s: f64,
}

impl FromStr for Shape {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let side = |side: &str| side.parse().ok().filter(|side| (1..=SIDE_LIMIT).contains(side));
        let shape = text.split_once(['x', '×']).and_then(|(rows, tokens)| Some((side(rows)?, side(tokens)?)));
        match shape {
            Some((rows, tokens)) if rows * tokens <= TOKENS_LIMIT => Ok(Self { rows, tokens }),
            _ => Err(format!(
                "`{text}` is no shape; write rows and tokens as 32x16, together at most {TOKENS_LIMIT} tokens"
            )),
        }
    }
}

impl std::fmt::Display for Shape {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} × {}", self.rows, self.tokens)
    }
}

/// Measures a model in each shape, until `stop` ends it.
///
/// # Errors
/// [`BenchError::NoBackend`] when the model takes no token ids, or does not run in a shape.
pub async fn measure_shapes(
    model: &Arc<GrantedModel>,
    shapes: &[Shape],
    variant: Option<&str>,
    stop: &CancellationToken,
) -> Result<Vec<ShapeFigures>, BenchError> {
    let session = model.queue.info();
    let computed_by = format!("{} on {}, {}", model.name, session.placement, session.precision);
    let mut figures = Vec::new();
    for &shape in shapes {
        if stop.is_cancelled() {
            break;
        }
        let mut seconds = runs(model, shape).await?;
        seconds.sort_by(f64::total_cmp);
        let median = seconds[seconds.len() / 2];
        figures.push(ShapeFigures {
            computed_by: computed_by.clone(),
            variant: variant.map(str::to_owned),
            shape,
            runs: seconds.len(),
            median_ms: median * 1e3,
            least_ms: seconds[0] * 1e3,
            rows_per_s: shape.rows as f64 / median,
            tokens_per_s: (shape.rows * shape.tokens) as f64 / median,
        });
    }
    Ok(figures)
}

/// Seconds of each run, at least one.
async fn runs(model: &GrantedModel, shape: Shape) -> Result<Vec<f64>, BenchError> {
    let refused = |reason: String| BenchError::NoBackend { deployment: model.name.clone(), reason };
    let tokenizer = model.tokenizer.as_ref().ok_or_else(|| refused("its model has no tokenizer".to_owned()))?;
    // Ids of ordinary words, different in every place: some kernels are faster on what repeats.
    let rows: Vec<Vec<u32>> = (0..shape.rows)
        .map(|row| {
            (0..shape.tokens).map(|token| 2000 + ((row * shape.tokens + token) as u32 * 7919) % 20_000).collect()
        })
        .collect();
    let rows: Vec<&[u32]> = rows.iter().map(Vec::as_slice).collect();
    let inputs = tokenizer.tensors(&rows).map_err(|error| refused(error.to_string()))?;
    let caller = Caller::default();
    let infer = || async {
        let inferred = model.queue.infer_as_it_is(inputs.clone(), &caller).await;
        inferred.map_err(|error| refused(format!("{shape}: {:?}: {error}", error.kind())))
    };
    infer().await?;
    let (begun_at, mut seconds) = (Instant::now(), Vec::new());
    while begun_at.elapsed() < BUDGET || seconds.len() < RUNS_LEAST {
        let started_at = Instant::now();
        infer().await?;
        seconds.push(started_at.elapsed().as_secs_f64());
    }
    Ok(seconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes_are_rows_and_tokens() {
        assert_eq!("32x16".parse(), Ok(Shape { rows: 32, tokens: 16 }));
        assert_eq!("8×128".parse::<Shape>().expect("a shape").to_string(), "8 × 128");
        for text in ["", "32", "0x16", "32x", "axb", "65536x65536", "-1x4"] {
            assert!(text.parse::<Shape>().expect_err(text).contains("is no shape"), "{text}");
        }
    }
}
