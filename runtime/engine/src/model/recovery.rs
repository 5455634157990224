//! How a session is opened anew, and how one that broke is noticed: with the shortest golden case.

use wisp_core::{Batch, NamedTensor};
use wisp_model_store::NoProgress;
use wisp_scheduler::{Canary, Recovery};

use super::loader::{Loader, Subject};
use super::select::Chosen;
use crate::config::ModelConfig;
use crate::proof::check_case;
use crate::room;

/// The recovery of a chosen session. Without golden vectors nothing tells whether it is broken; it can be opened all the same.
pub(super) fn of(loader: &Loader<'_>, config: &ModelConfig, subject: &Subject, chosen: &Chosen) -> Recovery {
    let (model, config, store) = (loader.model.clone(), config.clone(), loader.store.clone());
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
        room::check_session(placement, &model.manifest, &file, &store)?;
        loader.open(backend.as_ref(), &file, placement, precision, &version)
    };
    Recovery { canary: canary(loader, subject, chosen), reopen: Box::new(reopen) }
}

fn canary(loader: &Loader<'_>, subject: &Subject, chosen: &Chosen) -> Option<Canary> {
    let golden = subject.golden.as_ref()?;
    let (case, tolerance) = (golden.canary()?, golden.tolerance(chosen.session.info().precision)?);
    let embedding = loader.model.manifest.embedding.clone();
    let batch = Batch::Padded(case.inputs.clone());
    let check = move |outputs: &[NamedTensor]| check_case(&case, outputs, embedding.as_ref(), tolerance);
    Some(Canary { batch, check: Box::new(check) })
}
