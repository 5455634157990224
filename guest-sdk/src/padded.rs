//! Token ids of several rows as the padded input tensors of a BERT-class model, for guests that tokenise themselves.

use ndarray::{Array2, ArrayView2};

use crate::element::name;
use crate::error::Error;
use crate::tensor::{DataType, NamedTensor, Tensor};

/// Rows of token ids, padded on the right to the longest of them.
///
/// The padding is token 0, which every vocabulary has; the attention mask hides it from the model.
pub struct PaddedRows {
    ids: Array2<i64>,
    mask: Array2<i64>,
}

impl PaddedRows {
    /// Pads `rows`, which carry their special tokens already.
    #[must_use]
    pub fn of<R: AsRef<[u32]>>(rows: &[R]) -> Self {
        let longest = rows.iter().map(|row| row.as_ref().len()).max().unwrap_or(0);
        let mut ids = Array2::zeros((rows.len(), longest));
        let mut mask = Array2::zeros((rows.len(), longest));
        for (position, row) in rows.iter().enumerate() {
            for (column, &token) in row.as_ref().iter().enumerate() {
                ids[[position, column]] = i64::from(token);
                mask[[position, column]] = 1;
            }
        }
        Self { ids, mask }
    }

    /// 1 for a token, 0 for padding; `[rows, longest]`.
    #[must_use]
    pub fn mask(&self) -> ArrayView2<'_, i64> {
        self.mask.view()
    }

    /// The values of the input called `name`: `input_ids`, `attention_mask` or `token_type_ids` (all 0: one segment).
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`](crate::ErrorKind::Unsupported) when the model takes anything else.
    pub fn values(&self, name: &str) -> Result<Array2<i64>, Error> {
        match name {
            "input_ids" => Ok(self.ids.clone()),
            "attention_mask" => Ok(self.mask.clone()),
            "token_type_ids" => Ok(Array2::zeros(self.ids.dim())),
            other => Err(Error::unsupported(format!(
                "input `{other}` cannot be made of token ids; only `input_ids`, `attention_mask` and `token_type_ids` can"
            ))),
        }
    }

    /// The inputs that a model asks for by name and element type (`i64` or `i32`), each `[rows, longest]`.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`](crate::ErrorKind::Unsupported) when a name or a type is none of those.
    pub fn tensors<'n>(
        &self,
        inputs: impl IntoIterator<Item = (&'n str, DataType)>,
    ) -> Result<Vec<NamedTensor>, Error> {
        let shape = [self.ids.nrows(), self.ids.ncols()];
        let tensor = |(input, data_type)| {
            let values = self.values(input)?;
            match data_type {
                DataType::I64 => {
                    let values: Vec<i64> = values.into_iter().collect();
                    Tensor::from_slice(&shape, &values)?.named(input)
                }
                DataType::I32 => {
                    // Token ids are below every vocabulary's size, far from 2^31; one that is not is the caller's mistake.
                    let narrowed = values.into_iter().map(i32::try_from).collect::<Result<Vec<_>, _>>();
                    let values = narrowed.map_err(|_| Error::invalid_argument("token id does not fit 31 bits"))?;
                    Tensor::from_slice(&shape, &values)?.named(input)
                }
                other => Err(Error::unsupported(format!("input `{input}` takes {}, not token ids", name(other)))),
            }
        };
        inputs.into_iter().map(tensor).collect()
    }
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;
    use crate::error::ErrorKind;

    #[test]
    fn pads_every_row_to_the_longest() {
        let padded = PaddedRows::of(&[vec![101, 7, 102], vec![101, 102]]);
        assert_eq!(padded.values("input_ids").expect("known"), array![[101, 7, 102], [101, 102, 0]]);
        assert_eq!(padded.values("attention_mask").expect("known"), array![[1, 1, 1], [1, 1, 0]]);
        assert_eq!(padded.values("token_type_ids").expect("known"), array![[0, 0, 0], [0, 0, 0]]);
        assert_eq!(padded.mask(), array![[1, 1, 1], [1, 1, 0]]);
    }

    #[test]
    fn refuses_inputs_that_token_ids_do_not_make() {
        let padded = PaddedRows::of(&[[101_u32, 102]]);
        let error = padded.tensors([("pixel_values", DataType::I64)]).expect_err("unknown input");
        assert_eq!(error.kind, ErrorKind::Unsupported);
        assert!(error.message.starts_with("input `pixel_values` cannot be made of token ids"), "{error}");
        let error = padded.tensors([("input_ids", DataType::Fp32)]).expect_err("wrong type");
        assert_eq!(error.to_string(), "input `input_ids` takes f32, not token ids");
    }

    #[test]
    fn refuses_a_token_id_that_a_32_bit_input_cannot_hold() {
        let error = PaddedRows::of(&[[u32::MAX]]).tensors([("input_ids", DataType::I32)]).expect_err("too large");
        assert_eq!(error.kind, ErrorKind::InvalidArgument);
    }
}
