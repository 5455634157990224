//! Who sends a request, and whether it would be refused whatever it asks for: found out before its body is read.

use std::marker::PhantomData;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use tokio::time::Instant;
use tonic::Code;
use wisp_engine::{EngineError, RefusalStage, Tenant};

use super::Rest;
use super::dialect::Dialect;
use super::refusal::{Refusal, Refused};
use crate::identity;

/// The sender of a request.
pub(super) struct Caller<D> {
    /// When the head of the request was there.
    pub(super) arrived_at: Instant,
    /// Whose share it is served from.
    pub(super) tenant: Tenant,
    dialect: PhantomData<D>,
}

/// The sender of a request that needs a session, and could get one.
pub(super) struct Computes<D>(pub(super) Caller<D>);

impl<D: Dialect> Caller<D> {
    /// Notes how long a refusal took, if it is one for want of time or room.
    pub(super) fn refuse(&self, rest: &Rest, error: EngineError) -> Refused<D> {
        if let Some(stage) = error.refused_at() {
            rest.engine.refusal_told(stage, self.arrived_at.elapsed());
        }
        tracing::debug!("a request failed: {error}");
        error.into()
    }
}

impl<D: Dialect> FromRequestParts<Rest> for Caller<D> {
    type Rejection = Refused<D>;

    async fn from_request_parts(parts: &mut Parts, rest: &Rest) -> Result<Self, Refused<D>> {
        let arrived_at = Instant::now();
        match identity::tenant(&rest.engine, &parts.headers, &parts.extensions) {
            Ok(tenant) => Ok(Self { arrived_at, tenant, dialect: PhantomData }),
            Err(status) if status.code() == Code::PermissionDenied => {
                Err(Refusal::Forbidden(status.message().to_owned()).into())
            }
            Err(status) => Err(Refusal::Identity(status.message().to_owned()).into()),
        }
    }
}

impl<D: Dialect> FromRequestParts<Rest> for Computes<D> {
    type Rejection = Refused<D>;

    async fn from_request_parts(parts: &mut Parts, rest: &Rest) -> Result<Self, Refused<D>> {
        let caller = Caller::from_request_parts(parts, rest).await?;
        match rest.engine.check_at_door(D::METHOD, Some(&caller.tenant), None) {
            Ok(()) => Ok(Self(caller)),
            Err(error) => {
                rest.engine.refusal_told(RefusalStage::Door, caller.arrived_at.elapsed());
                Err(error.into())
            }
        }
    }
}
