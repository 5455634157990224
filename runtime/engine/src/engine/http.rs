//! HTTP applications: which deployment answers a path, and what a request of it takes.

use std::sync::Arc;

use bytes::Bytes;
use http_body::Body;
use wisp_host::{GuestBody, HttpCall, Terms};
use wisp_scheduler::{Caller, Lane, Origin, Tenant};

use super::Engine;
use super::generation::Generation;
use crate::deployment::Deployment;
use crate::metrics::Leaving;
use crate::routes::Routes;
use crate::{EngineError, Method, trace};

/// A request to an application.
#[derive(Debug)]
pub struct HttpRequest<B> {
    /// The request.
    pub request: http::Request<B>,
    /// Whether it came over TLS.
    pub is_encrypted: bool,
    /// Whose share it is served from; `None` for requests that show no identity.
    pub tenant: Option<Tenant>,
}

impl Engine {
    /// Whether an application answers requests of this path.
    #[must_use]
    pub fn has_application(&self, path: &str) -> bool {
        self.shared.generation().routes.find(path).is_some()
    }

    /// Has the application whose route the path begins with answer. It ends with its answer's body, or when that is dropped.
    ///
    /// # Errors
    /// [`EngineError`] for whatever happens before the application answers.
    pub async fn http<B>(&self, request: HttpRequest<B>) -> Result<http::Response<GuestBody>, EngineError>
    where
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: std::fmt::Display,
    {
        let metrics = &self.shared.metrics;
        let generation = self.shared.generation();
        let path = request.request.uri().path();
        trace::asked(Method::Http, 1);
        let Some(name) = generation.routes.find(path) else {
            let error = EngineError::NoApplication { path: path.chars().take(128).collect() };
            metrics.failed(None, Method::Http, &error);
            trace::failed(&error);
            return Err(error);
        };
        let deployment = generation.deployment(Some(name))?;
        trace::answers(&deployment.name);
        let leaving = Leaving::new(metrics, &deployment.metrics, Method::Http, None);
        let answer = self.http_with(&generation, deployment, request).await;
        leaving.answered();
        match &answer {
            Ok(_) => metrics.answered_http(&deployment.metrics),
            Err(error) => {
                metrics.failed(Some(&deployment.metrics), Method::Http, error);
                trace::failed(error);
            }
        }
        answer
    }

    async fn http_with<B>(
        &self,
        generation: &Arc<Generation>,
        deployment: &Deployment,
        request: HttpRequest<B>,
    ) -> Result<http::Response<GuestBody>, EngineError>
    where
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: std::fmt::Display,
    {
        let tenant = request.tenant.as_ref().unwrap_or(generation.tenants.anonymous());
        let permit = self.admit(Lane::Interactive, tenant)?;
        let place = deployment.take_place()?;
        let living = deployment.metrics.instance();
        let limits = deployment.limits;
        let mut terms = Terms::new(Arc::clone(&deployment.name), Arc::clone(&deployment.grants), limits);
        terms.caller = Caller { lane: Lane::Interactive, tenant: tenant.clone(), origin: Origin::default() };
        let call = HttpCall {
            terms,
            request: request.request,
            is_encrypted: request.is_encrypted,
            // The answer is read after this returned; until then its generation is in service.
            until_end: Box::new((permit, place, living, Arc::clone(generation))),
        };
        Ok(deployment.guest.handle(call).await?)
    }
}

/// The routes of an engine's applications.
pub(super) fn routes(
    deployments: &std::collections::BTreeMap<String, Deployment>,
) -> Result<Routes, crate::StartError> {
    let applications = deployments
        .values()
        .filter(|deployment| deployment.guest.kind() == wisp_host::GuestKind::Http)
        .map(|deployment| (&*deployment.name, deployment.route.as_deref()));
    Routes::of(applications).map_err(crate::StartError::Route)
}
