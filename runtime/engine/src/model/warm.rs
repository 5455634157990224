//! Proving and compiling a model before anybody is served with it.

use wisp_core::{Placement, Precision};
use wisp_model_store::{Model, Progress, Store};

use super::budget::Budget;
use super::choose;
use super::loader::Loader;
use super::subject::LateSubject;
use crate::StartError;
use crate::config::ModelConfig;

/// What is ready in the cache of a store.
#[derive(Clone, Debug)]
pub struct Warmed {
    /// The model.
    pub model: String,
    /// Where it will run.
    pub placement: Placement,
    /// The arithmetic that will be chosen there.
    pub precision: Precision,
    /// Threads of one inference.
    pub threads: usize,
    /// Why this precision.
    pub reason: String,
}

/// Does everything at the first placement that works which a start with so many threads would do, and keeps the results in
/// the store: proofs, compiled models, derived files. What is kept already is only looked at.
///
/// # Errors
/// [`StartError::Store`] and [`StartError::NoPlacement`].
pub fn warm_model(
    config: &ModelConfig,
    threads: usize,
    store: &Store,
    progress: &dyn Progress,
) -> Result<Warmed, StartError> {
    let name = config.source.clone();
    let opened = store.open(&config.source);
    let model: Model = opened.map_err(|error| StartError::Store { model: name.clone(), source: Box::new(error) })?;
    let no_placement = |reasons| StartError::NoPlacement { model: name.clone(), reasons };
    let new_loader = || {
        let mut loader = Loader::new(&model, store, progress);
        loader.static_shapes = &config.static_shapes;
        loader.threads = threads;
        loader
    };
    let (reader, mut loader) = (new_loader(), new_loader());
    let subject = LateSubject::of(&reader, None);
    let mut budget = Budget::default();
    let chosen = subject.beside(|| choose(&name, config, &mut budget, &mut loader, &subject));
    let chosen = chosen.map_err(|reason| no_placement(vec![reason]))?.map_err(no_placement)?;
    Ok(Warmed {
        model: model.manifest.name.clone(),
        placement: chosen.placement,
        precision: chosen.session.info().precision,
        threads,
        reason: chosen.reason,
    })
}
