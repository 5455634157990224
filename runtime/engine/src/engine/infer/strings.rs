//! The inputs of guests, all of which are lists of strings.

use std::collections::BTreeMap;

use bytes::Bytes;

use crate::{Endpoint, InferTensor, InputError, ValueType, Values};

/// The elements of each input, by its name.
///
/// # Errors
/// [`InputError`] for an input that the endpoint does not have, that is given twice, is no strings, or no list or column.
pub(super) fn by_name(
    endpoint: &Endpoint,
    inputs: Vec<InferTensor>,
) -> Result<BTreeMap<String, Vec<Bytes>>, InputError> {
    let mut given = BTreeMap::new();
    for InferTensor { name, values } in inputs {
        let endpoint_name = || endpoint.name.clone();
        if endpoint.input(&name).is_none() {
            return Err(InputError::Unknown { endpoint: endpoint_name(), name, expected: endpoint.input_names() });
        }
        if given.contains_key(&name) {
            return Err(InputError::Duplicate { name });
        }
        let Values::Strings { shape, elements } = values else {
            return Err(InputError::Type { endpoint: endpoint_name(), name, expected: ValueType::String });
        };
        if !matches!(shape[..], [_] | [_, 1]) {
            return Err(InputError::TextShape { name, actual: shape });
        }
        given.insert(name, elements);
    }
    Ok(given)
}

/// The elements as texts; `wrong` says of which of them, from 0, it is that is none.
pub(super) fn utf8(elements: Vec<Bytes>, wrong: impl Fn(usize) -> InputError) -> Result<Vec<String>, InputError> {
    let texts = elements.into_iter().enumerate();
    texts.map(|(index, text)| String::from_utf8(text.into()).map_err(|_| wrong(index))).collect()
}
