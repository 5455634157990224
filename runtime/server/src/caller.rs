//! Who calls, since when, and until when.

use tokio::time::Instant;
use tonic::{Request, Status};
use wisp_engine::{ANONYMOUS, Engine, Tenant};

use crate::deadline::Deadline;
use crate::door::Arrived;
use crate::identity;

/// What is known of a call beside its message.
#[derive(Clone, Debug)]
pub(crate) struct Caller {
    /// When the client stops waiting.
    pub(crate) deadline: Option<Instant>,
    /// When the head of the request was there, where the door has looked.
    pub(crate) arrived_at: Option<Instant>,
    /// Whose share it is served from.
    pub(crate) tenant: Tenant,
}

impl Caller {
    /// Who shows nothing and waits for ever.
    pub(crate) fn nobody() -> Self {
        Self { deadline: None, arrived_at: None, tenant: Tenant::new(ANONYMOUS, 1.0, 1) }
    }

    /// As the layers before the service found out.
    ///
    /// # Errors
    /// UNAUTHENTICATED for a token that nobody has.
    pub(crate) fn of<T>(engine: &Engine, request: &Request<T>) -> Result<Self, Status> {
        let deadline = request.extensions().get::<Deadline>().map(|deadline| deadline.0);
        let (arrived_at, tenant) = match request.extensions().get::<Arrived>() {
            Some(arrived) => (Some(arrived.at), arrived.tenant.clone()),
            // The door lets pass what it does not know, for the reason to be told here.
            None => (None, identity::tenant(engine, request.metadata().as_ref(), request.extensions())?),
        };
        Ok(Self { deadline, arrived_at, tenant })
    }
}
