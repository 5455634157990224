//! That everything said about inputs and outputs fits the signature.

use toml::Spanned;
use wisp_core::{Axis, DataType, RANK_LIMIT, Ragged, Signature, TensorSpec};

use super::{Checked, Checker, quoted};
use crate::manifest::document::{EmbeddingTable, RaggedTable, SignatureTable, TensorTable, TokenizerTable};
use crate::manifest::{EmbeddingSpec, ModelFile, TokenizerSpec};

impl Checker<'_> {
    pub(super) fn signature(&self, table: &SignatureTable) -> Checked<Signature> {
        Ok(Signature {
            inputs: self.tensors("inputs", &table.inputs)?,
            outputs: self.tensors("outputs", &table.outputs)?,
        })
    }

    fn tensors(&self, key: &str, tables: &Spanned<Vec<TensorTable>>) -> Checked<Vec<TensorSpec>> {
        if tables.get_ref().is_empty() {
            return Err(self.error(tables, format!("{key} is empty; every model has at least one")));
        }
        let mut specs: Vec<TensorSpec> = Vec::with_capacity(tables.get_ref().len());
        for table in tables.get_ref() {
            let name = self.not_empty("name", table.name.clone())?;
            if specs.iter().any(|earlier| earlier.name == name) {
                return Err(self.error(&table.name, format!("{key} has `{name}` twice")));
            }
            let below = table.below.as_ref().map(|below| self.below(table, below)).transpose()?;
            specs.push(TensorSpec { name, data_type: table.data_type, shape: self.shape(&table.shape)?, below });
        }
        Ok(specs)
    }

    fn below(&self, table: &TensorTable, below: &Spanned<i64>) -> Checked<i64> {
        if !matches!(table.data_type, DataType::I32 | DataType::I64) {
            return Err(self.error(below, format!("below is for integers; this is {}", table.data_type)));
        }
        if *below.get_ref() < 1 {
            return Err(self.error(below, "below must be at least 1: values start at 0"));
        }
        Ok(*below.get_ref())
    }

    fn shape(&self, axes: &Spanned<Vec<Spanned<i64>>>) -> Checked<Vec<Axis>> {
        if axes.get_ref().len() > RANK_LIMIT {
            let reason = format!("shape has {} axes; at most {RANK_LIMIT} are supported", axes.get_ref().len());
            return Err(self.error(axes, reason));
        }
        let axis = |length: &Spanned<i64>| match (*length.get_ref(), usize::try_from(*length.get_ref())) {
            (-1, _) => Ok(Axis::Free),
            (_, Ok(fixed)) if fixed > 0 => Ok(Axis::Fixed(fixed)),
            (other, _) => Err(self.error(length, format!("axis {other} must be -1 (free) or at least 1"))),
        };
        axes.get_ref().iter().map(axis).collect()
    }

    pub(super) fn ragged(&self, table: RaggedTable, signature: &Signature) -> Checked<Ragged> {
        let mask = self.input("mask_input", &table.mask_input, signature)?;
        let axis = *table.axis.get_ref();
        if axis == 0 || mask.shape.get(axis) != Some(&Axis::Free) {
            let reason = format!(
                "axis {axis} must be a free axis of `{}` other than the batch axis 0; its shape is {}",
                mask.name,
                mask.shape_text()
            );
            return Err(self.error(&table.axis, reason));
        }
        for name in table.pad_values.get_ref().keys() {
            self.input("pad_values", name, signature)?;
        }
        let is_padded = |name: &str| table.pad_values.get_ref().keys().any(|key| key.get_ref() == name);
        let is_ragged = |spec: &&TensorSpec| spec.shape.get(axis) == Some(&Axis::Free);
        if let Some(bare) = signature.inputs.iter().filter(is_ragged).find(|spec| !is_padded(&spec.name)) {
            let reason = format!("pad_values lacks input `{}`, whose axis {axis} is free", bare.name);
            return Err(self.error(&table.pad_values, reason));
        }
        let pad_values = table.pad_values.into_inner();
        Ok(Ragged {
            axis,
            mask_input: table.mask_input.into_inner(),
            pad_values: pad_values.into_iter().map(|(name, value)| (name.into_inner(), value)).collect(),
        })
    }

    pub(super) fn tokenizer(
        &self,
        table: TokenizerTable,
        signature: &Signature,
        files: &[ModelFile],
    ) -> Checked<TokenizerSpec> {
        let file = table.file.get_ref();
        if !files.iter().any(|known| known.path == *file && known.format.is_none()) {
            let known = quoted(files.iter().filter(|file| file.format.is_none()).map(|file| file.path.as_str()));
            let reason = format!("tokenizer file `{file}` is not among the files without a format: {known}");
            return Err(self.error(&table.file, reason));
        }
        self.token_input("ids_input", &table.ids_input, signature)?;
        self.token_input("mask_input", &table.mask_input, signature)?;
        if let Some(types_input) = &table.types_input {
            self.token_input("types_input", types_input, signature)?;
        }
        if *table.pad_id.get_ref() < 0 {
            return Err(self.error(&table.pad_id, "pad_id must not be negative"));
        }
        Ok(TokenizerSpec {
            max_tokens: self.positive("max_tokens", &table.max_tokens)?,
            file: table.file.into_inner(),
            ids_input: table.ids_input.into_inner(),
            mask_input: table.mask_input.into_inner(),
            types_input: table.types_input.map(Spanned::into_inner),
            pad_id: table.pad_id.into_inner(),
        })
    }

    pub(super) fn embedding(&self, table: Spanned<EmbeddingTable>, signature: &Signature) -> Checked<EmbeddingSpec> {
        let whole = table.span();
        let table = table.into_inner();
        let dimensions = self.positive("dimensions", &table.dimensions)?;
        if let Some(name) = &table.fused_output {
            self.vector_output("fused_output", name, 2, dimensions, signature)?;
        }
        if let Some(name) = &table.hidden_output {
            self.vector_output("hidden_output", name, 3, dimensions, signature)?;
        }
        if table.fused_output.is_none() && table.hidden_output.is_none() {
            let place = Spanned::new(whole, ());
            return Err(self.error(&place, "embedding needs fused_output, hidden_output or both"));
        }
        Ok(EmbeddingSpec {
            dimensions,
            pooling: table.pooling,
            normalized: table.normalized,
            fused_output: table.fused_output.map(Spanned::into_inner),
            hidden_output: table.hidden_output.map(Spanned::into_inner),
        })
    }

    fn input<'s>(&self, key: &str, name: &Spanned<String>, signature: &'s Signature) -> Checked<&'s TensorSpec> {
        signature.input(name.get_ref()).ok_or_else(|| {
            let known = quoted(signature.inputs.iter().map(|spec| spec.name.as_str()));
            self.error(name, format!("{key} `{}` names no input; inputs are {known}", name.get_ref()))
        })
    }

    /// An input of `[rows, tokens]` integers.
    fn token_input(&self, key: &str, name: &Spanned<String>, signature: &Signature) -> Checked<()> {
        let spec = self.input(key, name, signature)?;
        if spec.shape.len() == 2 && matches!(spec.data_type, DataType::I64 | DataType::I32) {
            return Ok(());
        }
        let reason = format!(
            "{key} `{}` must be i64 or i32 with two axes, rows and tokens; it is {} {}",
            spec.name,
            spec.data_type,
            spec.shape_text()
        );
        Err(self.error(name, reason))
    }

    /// An output of `rank` axes whose last is as long as a vector.
    fn vector_output(
        &self,
        key: &str,
        name: &Spanned<String>,
        rank: usize,
        dimensions: usize,
        signature: &Signature,
    ) -> Checked<()> {
        let Some(spec) = signature.outputs.iter().find(|spec| spec.name == *name.get_ref()) else {
            let known = quoted(signature.outputs.iter().map(|spec| spec.name.as_str()));
            return Err(self.error(name, format!("{key} `{}` names no output; outputs are {known}", name.get_ref())));
        };
        if spec.shape.len() == rank && spec.shape.last() == Some(&Axis::Fixed(dimensions)) {
            return Ok(());
        }
        let reason = format!(
            "{key} `{}` must have {rank} axes, the last of {dimensions}; its shape is {}",
            spec.name,
            spec.shape_text()
        );
        Err(self.error(name, reason))
    }
}
