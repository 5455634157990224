//! How many instances a deployment may have at one time, where it has a bound of its own.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::EngineError;

/// Places for the instances of one deployment.
pub(crate) struct Instances {
    places: Arc<Semaphore>,
    deployment: Arc<str>,
    limit: u32,
}

impl Instances {
    pub(crate) fn within(deployment: &str, limit: u32) -> Self {
        Self { places: Arc::new(Semaphore::new(limit as usize)), deployment: deployment.into(), limit }
    }

    /// How many there can be.
    pub(crate) fn limit(&self) -> u32 {
        self.limit
    }

    /// A place, given back when the permit is dropped.
    ///
    /// # Errors
    /// [`EngineError::Instances`] at once when there is none.
    pub(crate) fn take(&self) -> Result<OwnedSemaphorePermit, EngineError> {
        let place = Arc::clone(&self.places).try_acquire_owned();
        place.map_err(|_| EngineError::Instances { deployment: self.deployment.to_string(), limit: self.limit })
    }
}
