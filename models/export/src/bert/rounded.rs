//! Projections in the static int8 form: activations and weights as bytes, outliers beside them in f32.
//!
//! `x W ≈ round(x) round(W) + x[outliers] W[outliers]`. The bytes stand in `QuantizeLinear` and `DequantizeLinear` pairs, which
//! runtimes fuse with the `MatMul` between them into one integer product. Few channels carry values far larger than all others
//! (Dettmers et al. 2022, arXiv:2208.07339); with them apart, one scale does for the rest of an activation.

use super::{Encoder, MatrixForm};
use crate::ExportError;
use crate::calibration::{Range, Ranges};
use crate::graph::{ElementType, Value, dim, int};
use crate::quantize::{Scheme, Symmetric, byte};
use crate::weights::StoredTensor;

/// An activation that projections take, as they take it.
#[derive(Clone)]
pub(super) struct Rounded {
    /// f32 again, out of bytes.
    value: Value,
    /// The channels in f32, and which they are.
    outliers: Option<(Value, Vec<usize>)>,
}

/// The table of words in the graph.
pub(super) enum WordTable {
    /// f32, whatever it is stored as.
    Whole(Value),
    /// Codes, scales and zero points.
    Bytes([Value; 3]),
}

impl Encoder<'_> {
    /// x W for a stored `[out, in]`; the result is called `{prefix}.product`.
    pub(super) fn rounded_product(
        &mut self,
        ranges: &Ranges,
        prefix: &str,
        input: &Value,
        stored: &StoredTensor,
    ) -> Result<Value, ExportError> {
        let (outputs, inputs) = (stored.shape[0], stored.shape[1]);
        let activation = self.rounded(ranges, input, inputs)?;
        let channels = activation.outliers.as_ref().map_or(&[][..], |(_, channels)| channels);
        let name = format!("{prefix}.weight");
        let Symmetric { codes, scales, apart } = Symmetric::of(stored, &name, channels)?;

        let graph = &mut self.graph;
        graph.parameters_in_memory += stored.element_count() as u64;
        let codes = graph.i8s(&format!("{name}.codes"), &[inputs, outputs], &codes);
        let scales = graph.f32s(&format!("{name}.scales"), &[outputs], &scales);
        let zeros = graph.i8s(&format!("{name}.zeros"), &[outputs], &vec![0; outputs]);
        let weight = graph.node("DequantizeLinear", name.clone(), &[&codes, &scales, &zeros], vec![int("axis", 1)]);
        let product = format!("{prefix}.product");
        let Some((values, channels)) = &activation.outliers else {
            return Ok(graph.node("MatMul", product, &[&activation.value, &weight], vec![]));
        };
        let apart = graph.f32s(&format!("{name}.outliers"), &[channels.len(), outputs], &apart);
        let rounded = graph.node("MatMul", format!("{product}.rounded"), &[&activation.value, &weight], vec![]);
        let exact = graph.node("MatMul", format!("{product}.outliers"), &[values, &apart], vec![]);
        Ok(graph.node("Add", product, &[&rounded, &exact], vec![]))
    }

    /// The activation as bytes and back; made once, for all projections that take it.
    fn rounded(&mut self, ranges: &Ranges, input: &Value, width: usize) -> Result<Rounded, ExportError> {
        if let Some(known) = self.rounded.get(input.name()) {
            return Ok(known.clone());
        }
        let name = input.name();
        let unfit = |reason: &str| ExportError::Activation { activation: name.to_owned(), reason: reason.to_owned() };
        let range = ranges.activations.get(name).ok_or_else(|| unfit("is not among them"))?;
        if range.outliers.last().is_some_and(|&last| last >= width) {
            return Err(unfit(&format!("has outliers beyond its {width} channels")));
        }
        let Range { low, high, ref outliers, .. } = *range;
        let Scheme { scale, zero } = Scheme::of(&[low, high]).ok_or_else(|| unfit("has no finite range"))?;

        let graph = &mut self.graph;
        let scale = graph.scalar(&format!("{name}.scale"), scale);
        let zero = graph.u8s(&format!("{name}.zero"), &[], &[byte(zero)]);
        let codes = graph.node("QuantizeLinear", format!("{name}.codes"), &[input, &scale, &zero], vec![]);
        let value = graph.node("DequantizeLinear", format!("{name}.rounded"), &[&codes, &scale, &zero], vec![]);
        let outliers = (!outliers.is_empty()).then(|| {
            let channels = outliers.iter().map(|&channel| dim(channel));
            let channels = graph.i64s(&format!("{name}.channels"), &[outliers.len()], channels);
            let values = graph.node("Gather", format!("{name}.outliers"), &[input, &channels], vec![int("axis", 2)]);
            (values, outliers.clone())
        });
        let rounded = Rounded { value, outliers };
        self.rounded.insert(name.to_owned(), rounded.clone());
        Ok(rounded)
    }

    /// The table of words. In the static form it stays bytes until rows are looked up: a runtime that widens the whole table
    /// first, as ONNX Runtime does, would do so at every inference.
    pub(super) fn word_table(&mut self, stored: StoredTensor) -> WordTable {
        let name = "embeddings.word_embeddings.weight";
        match self.form {
            MatrixForm::Int8Static(_) => WordTable::Bytes(self.graph.quantized_table(name, &stored)),
            MatrixForm::F32 | MatrixForm::F16 | MatrixForm::Int8 => {
                WordTable::Whole(self.matrix_value(name, stored, false))
            }
        }
    }

    /// The rows of the table that the ids name.
    pub(super) fn words(&mut self, table: &WordTable) -> Value {
        let output = "embeddings.words";
        let (graph, ids) = (&mut self.graph, &self.inputs.input_ids);
        let parts = match table {
            WordTable::Whole(table) => return graph.node("Gather", output, &[table, ids], vec![]),
            WordTable::Bytes(parts) => parts,
        };
        let mut look_up =
            |part: usize, name: &str| graph.node("Gather", format!("{output}.{name}"), &[&parts[part], ids], vec![]);
        let (codes, scales, zeros) = (look_up(0, "codes"), look_up(1, "scales"), look_up(2, "zeros"));
        let mut widen = |bytes: &Value, name: &str| {
            let to = int("to", i64::from(ElementType::F32.code()));
            graph.node("Cast", format!("{output}.{name}"), &[bytes], vec![to])
        };
        let (codes, zeros) = (widen(&codes, "wide_codes"), widen(&zeros, "wide_zeros"));
        let centred = graph.node("Sub", format!("{output}.centred"), &[&codes, &zeros], vec![]);
        graph.node("Mul", output, &[&centred, &scales], vec![])
    }
}
