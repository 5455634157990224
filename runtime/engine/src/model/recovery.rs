//! How a session that broke is noticed and opened anew: with the shortest golden case.

use wisp_core::{Batch, NamedTensor};
use wisp_model_store::NoProgress;
use wisp_scheduler::Recovery;

use super::loader::{Loader, Subject};
use super::select::Chosen;
use crate::config::ModelConfig;
use crate::proof::check_case;

/// The recovery of a chosen session; `None` for a model without golden vectors: nothing tells whether it is broken.
pub(super) fn of(loader: &Loader<'_>, config: &ModelConfig, subject: &Subject, chosen: &Chosen) -> Option<Recovery> {
    let (model, store) = (loader.model, loader.store);
    let golden = subject.golden.as_ref()?;
    let (case, tolerance) = (golden.canary()?, golden.tolerance(chosen.session.info().precision)?);
    let embedding = model.manifest.embedding.clone();
    let canary = Batch::Padded(case.inputs.clone());
    let check = move |outputs: &[NamedTensor]| check_case(&case, outputs, embedding.as_ref(), tolerance);

    let (model, config, store) = (model.clone(), config.clone(), store.clone());
    let (file, placement) = (chosen.file.clone(), chosen.placement);
    let (precision, threads) = (chosen.session.info().precision, loader.threads);
    let reopen = move || {
        let loader = Loader {
            static_shapes: &config.static_shapes,
            memory_limit_bytes: config.memory_bytes,
            threads,
            ..Loader::new(&model, &store, &NoProgress)
        };
        let backend = loader.backend(placement)?;
        let version = backend.version().unwrap_or_default();
        loader.open(backend.as_ref(), &file, placement, precision, &version)
    };
    Some(Recovery { canary, check: Box::new(check), reopen: Box::new(reopen) })
}
