//! Runs rows through an embedding model in planned batches.

use ndarray::{Array2, ArrayView3, Ix2, Ix3};

use crate::embedder::{Embeddings, Options};
use crate::error::Error;
use crate::gathered::Gathered;
use crate::model::{Model, Outputs};
use crate::models::Pooling;
use crate::plan;
use crate::pooling;
use crate::tensor::{NamedTensor, Tensor};

/// Where the vectors come from.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Readout<'a> {
    /// An output `[rows, dimensions]` that the model pools and normalises itself.
    Fused {
        /// Its name.
        output: &'a str,
    },
    /// An output `[rows, tokens, dimensions]` that is pooled here.
    Hidden {
        /// Its name.
        output: &'a str,
        /// How.
        pooling: Pooling,
    },
}

/// What one `compute` may carry.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    /// Rows.
    pub(crate) max_rows: u32,
    /// Rows × padded length.
    pub(crate) max_tokens: u32,
}

/// Embeds rows of these `token_counts`; `tensors` gives the model's inputs for some of them.
pub(crate) fn embed(
    model: &Model,
    token_counts: Vec<u32>,
    bounds: Bounds,
    readout: Readout<'_>,
    options: Options,
    tensors: impl Fn(&[u32]) -> Result<Vec<NamedTensor>, Error>,
) -> Result<Embeddings, Error> {
    let mut gathered = Gathered::new(token_counts.len(), options);
    for rows in plan::batches_of(&token_counts, bounds.max_rows, bounds.max_tokens) {
        let inputs = tensors(&rows)?;
        match readout {
            Readout::Fused { output } => {
                let outputs = model.compute(inputs)?;
                gathered.put(&rows, fused(&outputs, output)?.view(), true)?;
            }
            Readout::Hidden { output, pooling } => {
                let mask = mask_of(&inputs, &rows, &token_counts)?;
                let outputs = model.compute(inputs)?;
                gathered.put(&rows, pooled(&outputs, output, pooling, &mask)?.view(), false)?;
            }
        }
    }
    Ok(gathered.finish(token_counts))
}

fn fused(outputs: &Outputs, output: &str) -> Result<Array2<f32>, Error> {
    let tensor = outputs.get(output)?;
    let vectors = tensor.to_f32()?.into_dimensionality::<Ix2>().map_err(|_| wrong_rank(output, &tensor, 2))?;
    Ok(vectors.into_owned())
}

fn pooled(outputs: &Outputs, output: &str, pooling: Pooling, mask: &Array2<bool>) -> Result<Array2<f32>, Error> {
    let tensor = outputs.get(output)?;
    let hidden = tensor.to_f32()?.into_dimensionality::<Ix3>().map_err(|_| wrong_rank(output, &tensor, 3))?;
    pool(hidden.view(), pooling, mask)
}

fn pool(hidden: ArrayView3<'_, f32>, pooling: Pooling, mask: &Array2<bool>) -> Result<Array2<f32>, Error> {
    match pooling {
        Pooling::Mean => pooling::mean(hidden, mask.view()),
        Pooling::Cls => pooling::cls(hidden),
        Pooling::Last => pooling::last(hidden, mask.view()),
        Pooling::None => Err(Error::unsupported("model names no pooling, so its hidden states make no embedding")),
    }
}

/// The mask that the model is given, whichever side it pads; for a model without one, padding is on the right.
fn mask_of(inputs: &[NamedTensor], rows: &[u32], token_counts: &[u32]) -> Result<Array2<bool>, Error> {
    match inputs.iter().find(|(name, _)| name == "attention_mask") {
        Some((_, tensor)) => mask_from(&Tensor::from_host(tensor)?),
        None => Ok(right_padded_mask(rows, token_counts)),
    }
}

fn mask_from(tensor: &Tensor<'_>) -> Result<Array2<bool>, Error> {
    let mask = match tensor.view::<i64>() {
        Ok(mask) => mask.mapv(|value| value != 0),
        Err(_) => tensor.view::<i32>()?.mapv(|value| value != 0),
    };
    mask.into_dimensionality::<Ix2>().map_err(|_| wrong_rank("attention_mask", tensor, 2))
}

fn right_padded_mask(rows: &[u32], token_counts: &[u32]) -> Array2<bool> {
    let counts: Vec<usize> = rows.iter().map(|&row| token_counts[row as usize] as usize).collect();
    let longest = counts.iter().copied().max().unwrap_or(0);
    Array2::from_shape_fn((rows.len(), longest), |(row, column)| column < counts[row])
}

fn wrong_rank(name: &str, tensor: &Tensor<'_>, axes: usize) -> Error {
    Error::internal(format!("tensor `{name}` must have {axes} axes, got shape {:?}", tensor.shape()))
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;
    use crate::error::ErrorKind;

    #[test]
    fn pools_as_the_model_says() {
        let hidden = array![[[1.0, 1.0], [3.0, 5.0], [9.0, 9.0]]];
        let mask = array![[true, true, false]];
        for (pooling, expected) in
            [(Pooling::Mean, [2.0, 3.0]), (Pooling::Cls, [1.0, 1.0]), (Pooling::Last, [3.0, 5.0])]
        {
            let vectors = pool(hidden.view(), pooling, &mask).expect("shapes fit");
            assert_eq!(vectors.row(0).to_vec(), expected, "{pooling:?}");
        }
        assert_eq!(pool(hidden.view(), Pooling::None, &mask).expect_err("none").kind, ErrorKind::Unsupported);
    }

    #[test]
    fn masks_the_right_side_when_the_model_takes_no_mask() {
        assert_eq!(right_padded_mask(&[2, 0], &[3, 9, 1]), array![[true, false, false], [true, true, true]]);
    }

    #[test]
    fn reads_masks_of_either_integer_type() {
        let expected = array![[true, false]];
        let long = Tensor::from_slice(&[1, 2], &[1_i64, 0]).expect("2 values");
        assert_eq!(mask_from(&long).expect("i64"), expected);
        let short = Tensor::from_slice(&[1, 2], &[1_i32, 0]).expect("2 values");
        assert_eq!(mask_from(&short).expect("i32"), expected);
        let flat = Tensor::from_slice(&[2], &[1_i64, 0]).expect("2 values");
        let error = mask_from(&flat).expect_err("one axis");
        assert_eq!(error.to_string(), "tensor `attention_mask` must have 2 axes, got shape [2]");
    }
}
