//! Readiness over `grpc.health.v1`: what it says follows the health of the models behind each deployment.

use std::time::Duration;

use tonic::server::NamedService;
use tonic_health::ServingStatus;
use tonic_health::server::HealthReporter;
use wisp_engine::{DeploymentHealth, Engine};
use wisp_proto::v1::inference_service_server::InferenceServiceServer;

use crate::embed::Inference;

/// How often the health of models is looked at.
const POLL: Duration = Duration::from_millis(250);

/// Keeps the health service up to date; never ends by itself.
///
/// Each deployment is a service of its own name. The server as a whole (the empty name, and the service) is serving as long
/// as one deployment can answer: taking the others away as well would help nobody.
pub(crate) async fn follow(engine: &Engine, health: &HealthReporter) {
    loop {
        publish(&engine.health(), health).await;
        tokio::time::sleep(POLL).await;
    }
}

/// Says that nothing is served any more.
pub(crate) async fn withdraw(engine: &Engine, health: &HealthReporter) {
    for name in names(&engine.health()) {
        health.set_service_status(name, ServingStatus::NotServing).await;
    }
}

/// Says what is true now.
pub(crate) async fn publish(deployments: &[DeploymentHealth], health: &HealthReporter) {
    let can_answer = deployments.iter().any(|deployment| deployment.problem.is_none());
    for name in ["", InferenceServiceServer::<Inference>::NAME] {
        health.set_service_status(name, status(can_answer)).await;
    }
    for deployment in deployments {
        health.set_service_status(&deployment.name, status(deployment.problem.is_none())).await;
    }
}

fn names(deployments: &[DeploymentHealth]) -> Vec<String> {
    let fixed = ["", InferenceServiceServer::<Inference>::NAME].map(str::to_owned);
    fixed.into_iter().chain(deployments.iter().map(|deployment| deployment.name.clone())).collect()
}

fn status(is_serving: bool) -> ServingStatus {
    if is_serving { ServingStatus::Serving } else { ServingStatus::NotServing }
}
