//! The door: what is known to be refused before anybody has read what is asked for.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use wisp_host::GrantedModel;
use wisp_scheduler::{Admission, ScheduleError, Tenant};

use crate::deployment::Deployment;

/// What every request needs, whichever deployment it names.
pub(crate) struct Door {
    /// The models that deployments are granted, each once; empty when a deployment needs none, and so never waits.
    models: Vec<Arc<GrantedModel>>,
    /// The longest that any deployment may take.
    longest: Duration,
}

impl Door {
    pub(crate) fn before(deployments: &BTreeMap<String, Deployment>) -> Self {
        let longest = deployments.values().map(|deployment| deployment.limits.wall).max().unwrap_or_default();
        let mut models: Vec<Arc<GrantedModel>> = Vec::new();
        if deployments.values().all(|deployment| deployment.grants.iter().next().is_some()) {
            let granted = deployments.values().flat_map(|deployment| deployment.grants.iter());
            for (_, model) in granted {
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
