//! That golden vectors have something to be compared with, and tolerances that a comparison can meet.

use toml::Spanned;
use wisp_core::Precision;

use super::{Checked, Checker};
use crate::manifest::document::{GoldenTable, ToleranceTable};
use crate::manifest::{EmbeddingSpec, GoldenSpec, Tolerance};

impl Checker<'_> {
    pub(super) fn golden(&self, table: Spanned<GoldenTable>, embedding: Option<&EmbeddingSpec>) -> Checked<GoldenSpec> {
        if embedding.is_none() {
            return Err(self.error(&table, "golden vectors need the table [embedding] to say how a vector is made"));
        }
        let table = table.into_inner();
        if !table.tolerance.get_ref().contains_key(&Precision::F32) {
            return Err(self.error(&table.tolerance, "tolerance lacks f32, the precision that every backend has"));
        }
        let tolerances = table.tolerance.into_inner().into_iter();
        Ok(GoldenSpec {
            texts: self.path(&table.texts)?,
            vectors: self.path(&table.vectors)?,
            tolerances: tolerances
                .map(|(precision, tolerance)| Ok((precision, self.tolerance(&tolerance)?)))
                .collect::<Checked<_>>()?,
            batching: self.tolerance(&table.batching)?,
        })
    }

    fn tolerance(&self, table: &ToleranceTable) -> Checked<Tolerance> {
        let (min_cosine, max_abs_error) = (*table.min_cosine.get_ref(), *table.max_abs_error.get_ref());
        if !(0.0..=1.0).contains(&min_cosine) {
            return Err(self.error(&table.min_cosine, format!("min_cosine {min_cosine} must be from 0 to 1")));
        }
        if !(0.0..=1.0).contains(&max_abs_error) {
            return Err(self.error(&table.max_abs_error, format!("max_abs_error {max_abs_error} must be from 0 to 1")));
        }
        Ok(Tolerance { min_cosine, max_abs_error })
    }
}
