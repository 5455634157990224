//! A manifest as TOML, for models that are imported.

use std::collections::BTreeMap;

use serde::{Serialize, Serializer};
use wisp_core::{Axis, DataType, Ragged, Signature, TensorSpec};

use super::{Manifest, UnwritableManifest};

#[derive(Serialize)]
struct SignatureTable<'a> {
    inputs: Vec<TensorTable<'a>>,
    outputs: Vec<TensorTable<'a>>,
}

#[derive(Serialize)]
struct TensorTable<'a> {
    name: &'a str,
    #[serde(rename = "type")]
    data_type: DataType,
    shape: Vec<i64>,
    below: Option<i64>,
}

#[derive(Serialize)]
struct RaggedTable<'a> {
    axis: usize,
    mask_input: &'a str,
    pad_values: &'a BTreeMap<String, f64>,
}

impl Manifest {
    /// The manifest as TOML that [`Manifest::parse`] reads back to an equal one.
    ///
    /// # Errors
    /// [`UnwritableManifest`] for a number that TOML does not hold, such as a length from 2^63 bytes on.
    pub fn to_toml(&self) -> Result<String, UnwritableManifest> {
        toml::to_string(self).map_err(|error| UnwritableManifest(error.to_string().replace('\n', "; ")))
    }
}

pub(super) fn signature<S: Serializer>(signature: &Signature, serializer: S) -> Result<S::Ok, S::Error> {
    let Signature { inputs, outputs } = signature;
    SignatureTable { inputs: tensors(inputs), outputs: tensors(outputs) }.serialize(serializer)
}

pub(super) fn ragged<S: Serializer>(ragged: &Option<Ragged>, serializer: S) -> Result<S::Ok, S::Error> {
    let table = ragged.as_ref().map(|Ragged { axis, mask_input, pad_values }| RaggedTable {
        axis: *axis,
        mask_input,
        pad_values,
    });
    table.serialize(serializer)
}

fn tensors(specs: &[TensorSpec]) -> Vec<TensorTable<'_>> {
    let tables = specs.iter().map(|spec| TensorTable {
        name: &spec.name,
        data_type: spec.data_type,
        shape: spec.shape.iter().copied().map(length).collect(),
        below: spec.below,
    });
    tables.collect()
}

fn length(axis: Axis) -> i64 {
    match axis {
        Axis::Free => -1,
        Axis::Fixed(length) => i64::try_from(length).unwrap_or(i64::MAX),
    }
}
