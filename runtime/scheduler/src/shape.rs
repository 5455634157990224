//! What the scheduler reads off the inputs of an entry: rows, length, tokens, and which others fit beside it.

use wisp_core::{DataType, NamedTensor, Ragged, Tensor};

/// The inputs of one entry, as far as a batch is concerned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Shape {
    /// Rows along the outermost axis; 1 for inputs that have none.
    pub(crate) rows: usize,
    /// Length along the ragged axis, padding of the guest included; 1 where no axis is ragged.
    pub(crate) length: usize,
    /// Positions that are not masked out.
    pub(crate) tokens: usize,
    /// Whether the rows can be cut apart and put beside others at all.
    pub(crate) has_rows: bool,
    /// Lengths of all other axes, in the order of the signature: only entries that agree here fit together.
    pub(crate) kin: Vec<usize>,
}

impl Shape {
    /// Of inputs that were checked against the signature; `order` is that of its inputs.
    pub(crate) fn of<'a>(
        inputs: &[NamedTensor],
        order: impl Iterator<Item = &'a str>,
        ragged: Option<&Ragged>,
    ) -> Self {
        let mask = ragged.and_then(|ragged| Some((find(inputs, &ragged.mask_input)?, ragged)));
        let rows_of = |input: &NamedTensor| input.tensor.shape().first().copied();
        let rows = inputs.first().and_then(rows_of);
        let has_rows = rows.is_some() && inputs.iter().all(|input| rows_of(input) == rows);
        let rows = if has_rows { rows.unwrap_or(1) } else { 1 };
        let length = mask.and_then(|(mask, ragged)| mask.shape().get(ragged.axis).copied()).unwrap_or(1);
        let tokens = mask.map_or(rows * length, |(mask, _)| kept(mask));
        let kin =
            order.filter_map(|name| find(inputs, name).map(|tensor| (name, tensor))).flat_map(|(name, tensor)| {
                let free = ragged.filter(|ragged| ragged.pad_values.contains_key(name)).map(|ragged| ragged.axis);
                let axes = tensor.shape().iter().enumerate();
                axes.filter(move |(axis, _)| *axis != 0 && Some(*axis) != free).map(|(_, &length)| length)
            });
        Self { rows, length, tokens, has_rows, kin: kin.collect() }
    }
}

impl Shape {
    /// Tokens that are no padding in so many of its rows, as far as can be told of a part.
    pub(crate) fn tokens_in(&self, rows: usize) -> usize {
        (self.tokens * rows).div_ceil(self.rows.max(1))
    }
}

fn find<'a>(inputs: &'a [NamedTensor], name: &str) -> Option<&'a Tensor> {
    inputs.iter().find(|input| input.name == name).map(|input| &input.tensor)
}

/// Positions of a mask that are not 0.
fn kept(mask: &Tensor) -> usize {
    let zero = mask.data_type().encode(0.0);
    match mask.data_type() {
        DataType::I64 => mask.view::<i64>().map_or(0, |values| values.iter().filter(|&&value| value != 0).count()),
        _ => mask.data().chunks_exact(zero.len()).filter(|element| **element != *zero).count(),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn ragged() -> Ragged {
        let pad_values = BTreeMap::from([("ids".to_owned(), 0.0), ("mask".to_owned(), 0.0)]);
        Ragged { axis: 1, mask_input: "mask".to_owned(), pad_values }
    }

    fn tensor(name: &str, shape: &[usize], values: &[i64]) -> NamedTensor {
        NamedTensor::new(name, Tensor::from_slice(shape, values).expect("fits"))
    }

    #[test]
    fn reads_rows_length_and_tokens_off_the_mask() {
        let inputs = [tensor("mask", &[2, 3], &[1, 1, 1, 1, 0, 0]), tensor("ids", &[2, 3], &[7; 6])];
        let shape = Shape::of(&inputs, ["ids", "mask"].into_iter(), Some(&ragged()));
        assert_eq!(shape, Shape { rows: 2, length: 3, tokens: 4, has_rows: true, kin: vec![] });
    }

    #[test]
    fn masks_of_other_types_are_read_too() {
        let mask = NamedTensor::new("mask", Tensor::from_slice(&[1, 3], &[1.0_f32, 0.0, 1.0]).expect("fits"));
        assert_eq!(Shape::of(&[mask], ["mask"].into_iter(), Some(&ragged())).tokens, 2);
    }

    #[test]
    fn entries_are_kin_when_all_other_axes_agree() {
        let image = |side: usize| [tensor("pixels", &[1, side, side, 3], &vec![0; side * side * 3])];
        let kin = |side| Shape::of(&image(side), ["pixels"].into_iter(), None).kin;
        assert_eq!(kin(2), [2, 2, 3]);
        assert_ne!(kin(2), kin(3));
    }

    #[test]
    fn inputs_of_different_rows_have_no_rows_to_share() {
        let inputs = [tensor("a", &[2, 1], &[1, 2]), tensor("b", &[1], &[3])];
        let shape = Shape::of(&inputs, ["a", "b"].into_iter(), None);
        assert_eq!((shape.rows, shape.has_rows), (1, false));
        let scalar = [tensor("a", &[], &[1])];
        assert!(!Shape::of(&scalar, ["a"].into_iter(), None).has_rows);
    }
}
