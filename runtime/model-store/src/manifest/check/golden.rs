//! That golden answers have something to be compared with, and tolerances that a comparison can meet.

use std::collections::BTreeMap;

use toml::Spanned;
use wisp_core::{Precision, Signature, TensorSpec};

use super::{Checked, Checker, quoted};
use crate::manifest::document::{GoldenTable, GoldenTensorsTable, ToleranceTable};
use crate::manifest::golden::TensorFiles;
use crate::manifest::{EmbeddingSpec, GoldenAnswers, GoldenSpec, Tolerance};

/// Components of vectors of length 1 differ by less than 2; more than this is no tolerance.
const VECTOR_ERROR_LIMIT: f64 = 1.0;

impl Checker<'_> {
    pub(super) fn golden(
        &self,
        table: Spanned<GoldenTable>,
        embedding: Option<&EmbeddingSpec>,
        signature: &Signature,
    ) -> Checked<GoldenSpec> {
        let answers = self.answers(&table, embedding, signature)?;
        let error_limit = match answers {
            GoldenAnswers::Texts { .. } => VECTOR_ERROR_LIMIT,
            GoldenAnswers::Tensors { .. } => f64::MAX,
        };
        let table = table.into_inner();
        if !table.tolerance.get_ref().contains_key(&Precision::F32) {
            return Err(self.error(&table.tolerance, "tolerance lacks f32, the precision that every backend has"));
        }
        let tolerances = table.tolerance.into_inner().into_iter();
        Ok(GoldenSpec {
            answers,
            tolerances: tolerances
                .map(|(precision, tolerance)| Ok((precision, self.tolerance(&tolerance, error_limit)?)))
                .collect::<Checked<_>>()?,
            batching: table.batching.map(|tolerance| self.tolerance(&tolerance, error_limit)).transpose()?,
        })
    }

    fn answers(
        &self,
        table: &Spanned<GoldenTable>,
        embedding: Option<&EmbeddingSpec>,
        signature: &Signature,
    ) -> Checked<GoldenAnswers> {
        match table.get_ref() {
            GoldenTable { texts: Some(_), tensors: Some(tensors), .. }
            | GoldenTable { vectors: Some(_), tensors: Some(tensors), .. } => {
                Err(self.error(tensors, "golden has texts already; keep `texts` and `vectors` or [golden.tensors]"))
            }
            GoldenTable { tensors: Some(tensors), .. } => {
                Ok(GoldenAnswers::Tensors { tensors: self.tensor_files(tensors.get_ref(), signature)? })
            }
            GoldenTable { texts: Some(texts), vectors: Some(vectors), batching, .. } => {
                if embedding.is_none() {
                    let reason = "golden vectors need the table [embedding] to say how a vector is made";
                    return Err(self.error(table, reason));
                }
                if batching.is_none() {
                    return Err(self.error(table, "golden lacks `batching`, the tolerance of texts in one batch"));
                }
                Ok(GoldenAnswers::Texts { texts: self.path(texts)?, vectors: self.path(vectors)? })
            }
            _ => Err(self.error(table, "golden needs `texts` and `vectors`, or the table [golden.tensors]")),
        }
    }

    fn tensor_files(&self, table: &GoldenTensorsTable, signature: &Signature) -> Checked<TensorFiles> {
        let inputs = self.paths("inputs", &table.inputs, &signature.inputs)?;
        if let Some(bare) = signature.inputs.iter().find(|spec| !inputs.contains_key(&spec.name)) {
            return Err(self.error(&table.inputs, format!("golden.tensors.inputs lacks input `{}`", bare.name)));
        }
        let outputs = self.paths("outputs", &table.outputs, &signature.outputs)?;
        if outputs.is_empty() {
            return Err(self.error(&table.outputs, "golden.tensors.outputs is empty; name at least one output"));
        }
        Ok(TensorFiles { inputs, outputs })
    }

    fn paths(
        &self,
        key: &str,
        table: &Spanned<BTreeMap<Spanned<String>, Spanned<String>>>,
        specs: &[TensorSpec],
    ) -> Checked<BTreeMap<String, String>> {
        let path = |(name, path): (&Spanned<String>, &Spanned<String>)| {
            if !specs.iter().any(|spec| spec.name == *name.get_ref()) {
                let known = quoted(specs.iter().map(|spec| spec.name.as_str()));
                let reason = format!("golden.tensors.{key} `{}` is none of {key}: {known}", name.get_ref());
                return Err(self.error(name, reason));
            }
            Ok((name.get_ref().clone(), self.path(path)?))
        };
        table.get_ref().iter().map(path).collect()
    }

    fn tolerance(&self, table: &ToleranceTable, error_limit: f64) -> Checked<Tolerance> {
        let (min_cosine, max_abs_error) = (*table.min_cosine.get_ref(), *table.max_abs_error.get_ref());
        if !(0.0..=1.0).contains(&min_cosine) {
            return Err(self.error(&table.min_cosine, format!("min_cosine {min_cosine} must be from 0 to 1")));
        }
        if !(0.0..=error_limit).contains(&max_abs_error) {
            let range = if error_limit > VECTOR_ERROR_LIMIT { "0 or a number above it" } else { "from 0 to 1" };
            return Err(self.error(&table.max_abs_error, format!("max_abs_error {max_abs_error} must be {range}")));
        }
        Ok(Tolerance { min_cosine, max_abs_error })
    }
}
