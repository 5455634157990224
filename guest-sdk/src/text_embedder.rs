//! The ready-made embedder for Wisp: the host tokenises, and pools where it can.

use crate::batched::{self, Bounds, Readout};
use crate::embedder::{Embeddings, Inputs, Options, check_inputs, fit_tokens};
use crate::error::Error;
use crate::model::Model;
use crate::models::{self, ModelInfo};
use crate::padded::PaddedRows;
use crate::pooling::check_dimensions;
use crate::tensor::{DataType, NamedTensor};
use crate::tokenizer::{EncodeOptions, Encoding, Tokenizer};

/// Embeds with a granted model, its tokenizer in the host and its fused output where it has one.
///
/// Then neither token ids nor hidden states enter guest memory: the guest plans batches and puts vectors in order. A fused
/// output is normalised; when that is not wanted, the hidden states are pooled in the guest, as the model says.
///
/// Imports `wasi:nn`, `wisp:inference/models` and `wisp:inference/tokenizer`.
pub struct TextEmbedder {
    model: Model,
    tokenizer: Tokenizer,
    info: ModelInfo,
    /// Rows of one `compute`.
    max_rows: u32,
}

/// What the rows are made of.
enum Rows {
    Encoded(Encoding),
    Tokens(Vec<Vec<u32>>),
}

impl TextEmbedder {
    /// Loads the model that is granted under `alias`.
    ///
    /// # Errors
    /// The host's: a model that is unknown, not granted or not loadable.
    pub fn load(alias: &str) -> Result<Self, Error> {
        Ok(Self {
            model: Model::load(alias)?,
            tokenizer: Tokenizer::of(alias),
            info: models::describe(alias)?,
            max_rows: models::max_rows(alias)?.unwrap_or(u32::MAX),
        })
    }

    /// Embeds all of `inputs`.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidArgument`](crate::ErrorKind::InvalidArgument) for no or empty inputs or impossible `dimensions`,
    /// [`ErrorKind::TooLarge`](crate::ErrorKind::TooLarge) for long token lists while `options.truncate` is off,
    /// [`ErrorKind::Unsupported`](crate::ErrorKind::Unsupported) for a model that makes no embeddings, and the host's.
    pub fn embed(&self, inputs: Inputs, options: Options) -> Result<Embeddings, Error> {
        check_inputs(&inputs)?;
        if let (Some(asked), Some(available)) = (options.dimensions, self.info.dimensions) {
            check_dimensions(asked, available as usize)?;
        }
        let readout = readout(&self.info, options)?;
        let rows = self.rows(inputs, options)?;
        let token_counts = rows.token_counts();
        let bounds = Bounds { max_rows: self.max_rows, max_tokens: self.info.max_batch_tokens };
        batched::embed(&self.model, token_counts, bounds, readout, options, |batch| rows.tensors(batch, &self.info))
    }

    fn rows(&self, inputs: Inputs, options: Options) -> Result<Rows, Error> {
        match inputs {
            Inputs::Texts(texts) => {
                let encode = EncodeOptions { add_special_tokens: true, truncate: options.truncate };
                Ok(Rows::Encoded(self.tokenizer.encode(&texts, encode)?))
            }
            Inputs::Tokens(mut rows) => {
                if let Some(max_tokens) = self.info.max_tokens {
                    for (position, row) in rows.iter_mut().enumerate() {
                        fit_tokens(position, row, max_tokens, options.truncate)?;
                    }
                }
                Ok(Rows::Tokens(rows))
            }
        }
    }
}

impl Rows {
    fn token_counts(&self) -> Vec<u32> {
        match self {
            Self::Encoded(encoding) => encoding.token_counts(),
            Self::Tokens(rows) => rows.iter().map(|row| u32::try_from(row.len()).unwrap_or(u32::MAX)).collect(),
        }
    }

    fn tensors(&self, batch: &[u32], info: &ModelInfo) -> Result<Vec<NamedTensor>, Error> {
        match self {
            Self::Encoded(encoding) => encoding.tensors(batch),
            Self::Tokens(rows) => {
                let rows: Vec<&[u32]> = batch.iter().map(|&row| rows[row as usize].as_slice()).collect();
                PaddedRows::of(&rows).tensors(info.inputs.iter().map(|input| (input.name.as_str(), input.ty)))
            }
        }
    }
}

/// Picks the output: the fused one when normalised vectors are wanted, else hidden states.
///
/// Cutting dimensions off a normalised vector and normalising again gives what cutting first gives, so the fused output
/// serves `dimensions` as well.
fn readout(info: &ModelInfo, options: Options) -> Result<Readout<'_>, Error> {
    if let (true, Some(output)) = (options.normalize, info.fused_outputs.first()) {
        return Ok(Readout::Fused { output });
    }
    let is_float = |ty| matches!(ty, DataType::Fp16 | DataType::Bf16 | DataType::Fp32 | DataType::Fp64);
    let hidden = info.outputs.iter().find(|output| output.shape.len() == 3 && is_float(output.ty));
    match hidden {
        Some(hidden) => Ok(Readout::Hidden { output: &hidden.name, pooling: info.pooling }),
        None if info.fused_outputs.is_empty() => {
            Err(Error::unsupported(format!("model `{}` has no output that makes embeddings", info.name)))
        }
        None => {
            Err(Error::unsupported(format!("model `{}` gives normalised embeddings only; set normalize", info.name)))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;
    use crate::models::{Pooling, TensorInfo};

    fn info(outputs: &[(&str, DataType, &[i32])], fused: &[&str]) -> ModelInfo {
        let output = |&(name, ty, shape): &(&str, DataType, &[i32])| TensorInfo {
            name: name.to_owned(),
            ty,
            shape: shape.to_vec(),
        };
        ModelInfo {
            name: "minilm".to_owned(),
            inputs: vec![],
            outputs: outputs.iter().map(output).collect(),
            fused_outputs: fused.iter().map(|&name| name.to_owned()).collect(),
            dimensions: Some(384),
            max_tokens: Some(256),
            pooling: Pooling::Mean,
            labels: vec![],
            max_batch_tokens: 1024,
        }
    }

    fn options(normalize: bool, dimensions: Option<u32>) -> Options {
        Options { normalize, dimensions, truncate: true }
    }

    const HIDDEN: (&str, DataType, &[i32]) = ("last_hidden_state", DataType::Fp32, &[-1, -1, 384]);
    const FUSED: (&str, DataType, &[i32]) = ("sentence_embedding", DataType::Fp32, &[-1, 384]);

    #[test]
    fn reads_the_fused_output_whenever_normalised_vectors_are_wanted() {
        let info = info(&[HIDDEN, FUSED], &["sentence_embedding"]);
        for dimensions in [None, Some(128)] {
            let readout = readout(&info, options(true, dimensions)).expect("fused");
            assert!(matches!(readout, Readout::Fused { output: "sentence_embedding" }), "{readout:?}");
        }
    }

    #[test]
    fn pools_hidden_states_when_raw_vectors_are_wanted_or_nothing_is_fused() {
        let with_fused = info(&[FUSED, HIDDEN], &["sentence_embedding"]);
        let without = info(&[HIDDEN], &[]);
        for (info, normalize) in [(&with_fused, false), (&without, true), (&without, false)] {
            let readout = readout(info, options(normalize, None)).expect("hidden");
            let expected = matches!(readout, Readout::Hidden { output: "last_hidden_state", pooling: Pooling::Mean });
            assert!(expected, "{readout:?}");
        }
    }

    #[test]
    fn says_why_a_model_makes_no_such_embedding() {
        let fused_only = info(&[FUSED], &["sentence_embedding"]);
        let error = readout(&fused_only, options(false, None)).expect_err("no hidden states");
        assert_eq!(error.kind, ErrorKind::Unsupported);
        assert_eq!(error.to_string(), "model `minilm` gives normalised embeddings only; set normalize");
        let classes = info(&[("logits", DataType::Fp32, &[-1, 965])], &[]);
        let error = readout(&classes, options(true, None)).expect_err("no embedding");
        assert_eq!(error.to_string(), "model `minilm` has no output that makes embeddings");
    }

    #[test]
    fn counts_the_tokens_of_token_lists() {
        assert_eq!(Rows::Tokens(vec![vec![101, 7, 102], vec![101]]).token_counts(), [3, 1]);
    }
}
