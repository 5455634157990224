//! The door: what is known to be refused before anybody has read what is asked for.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use wisp_host::GrantedModel;
use wisp_scheduler::{Admission, ScheduleError, Tenant};

use crate::deployment::Deployment;
use crate::endpoint::{Endpoints, LIMIT_WITHOUT_GUEST};

/// What every request needs, whichever deployment it names.
pub(crate) struct Door {
    /// The models that deployments are granted or that clients use by themselves, each once; empty when a deployment needs none,
    /// and so never waits.
    models: Vec<Arc<GrantedModel>>,
    /// The longest that any request may take.
    longest: Duration,
}

impl Door {
    pub(crate) fn before(deployments: &BTreeMap<String, Deployment>, endpoints: &Endpoints) -> Self {
        let walls = deployments.values().map(|deployment| deployment.limits.wall);
        let longest = walls.chain(endpoints.models().map(|_| LIMIT_WITHOUT_GUEST)).max().unwrap_or_default();
        let mut models: Vec<Arc<GrantedModel>> = Vec::new();
        if deployments.values().all(|deployment| deployment.grants.iter().next().is_some()) {
            let granted = deployments.values().flat_map(|deployment| deployment.grants.iter());
            for model in granted.map(|(_, model)| model).chain(endpoints.models()) {
                if !models.iter().any(|known| Arc::ptr_eq(known, model)) {
                    models.push(Arc::clone(model));
                }
            }
        }
        Self { models, longest }
    }

    /// Refuses what would be refused in any case, with the reason that it would be refused for. Takes no place.
    ///
    /// # Errors
    /// [`ScheduleError::Quota`] and [`ScheduleError::Full`] as [`Admission::admit`] gives them; [`ScheduleError::Overloaded`] when
    /// no model can start before `deadline`, nor before any deployment's own limit, whatever the request would be.
    pub(crate) fn check(
        &self,
        admission: &Admission,
        tenant: &Tenant,
        deadline: Option<Instant>,
    ) -> Result<(), ScheduleError> {
        admission.check(tenant)?;
        let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
        let bound = left.map_or(self.longest, |left| left.min(self.longest));
        let mut soonest: Option<(Duration, &GrantedModel)> = None;
        for model in &self.models {
            let wait = model.queue.least_wait(tenant);
            // An idle session refuses nobody, however little time is left.
            if wait.is_zero() || wait <= bound {
                return Ok(());
            }
            if soonest.is_none_or(|(least, _)| wait < least) {
                soonest = Some((wait, model));
            }
        }
        match soonest {
            Some((wait, model)) => Err(ScheduleError::Overloaded { model: model.queue.model().to_owned(), wait }),
            None => Ok(()),
        }
    }
}
