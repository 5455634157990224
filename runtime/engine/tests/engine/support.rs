//! Engines that the tests start.

use std::collections::BTreeMap;

use wisp_core::{BackendId, Device, Placement, Precision};
use wisp_engine::{Config, DeploymentConfig, Engine, GuestLimits, PrecisionChoice};
use wisp_model_store::NoProgress;
use wisp_testing::{MODEL, RealModel};

/// The default configuration on one backend, with the portable guest beside the built-in one.
pub(crate) fn config(test: &str, backend: BackendId) -> Option<Config> {
    let mut config = Config::default();
    let model = config.models.get_mut(MODEL).expect("the default model");
    model.placement = vec![Placement { backend, device: Device::Cpu }];
    // What other precisions answer is told by their own tolerance; here, vectors are compared with those of f32.
    model.precision = PrecisionChoice::Exactly(Precision::F32);
    // The module as it was built last, whatever was built into this binary.
    // Time enough for all texts at once on the slowest machine.
    let patient = GuestLimits { wall_ms: 120_000, ..GuestLimits::default() };
    add_guest(&mut config, test, "embedder", "embedder", patient.clone())?;
    add_guest(&mut config, test, "portable", "embedder-portable", patient)?;
    Some(config)
}

/// Adds a deployment of a guest that was built.
pub(crate) fn add_guest(config: &mut Config, test: &str, name: &str, guest: &str, limits: GuestLimits) -> Option<()> {
    let guest = wisp_testing::guest(test, guest)?.display().to_string();
    let models = BTreeMap::from([("encoder".to_owned(), MODEL.into())]);
    let deployment = DeploymentConfig { guest, models, limits, ..DeploymentConfig::default() };
    config.deployments.insert(name.to_owned(), deployment);
    Some(())
}

/// Starts an engine over the real model.
pub(crate) fn start(config: Config, real: &RealModel) -> Engine {
    Engine::start(config, &real.store, &NoProgress).unwrap_or_else(|error| panic!("{error}"))
}
