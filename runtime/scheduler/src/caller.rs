//! Who asks: the lane and the tenant that a request waits under, and the guest that computes for it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use crate::ScheduleError;

/// What a request loses by waiting.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Lane {
    /// Somebody waits for the answer.
    #[default]
    Interactive,
    /// Throughput is what counts.
    Bulk,
}

impl Lane {
    /// Every lane, the most urgent first.
    pub const ALL: [Self; 2] = [Self::Interactive, Self::Bulk];

    /// Parts of a session's time that a lane gets while both have work: bulk is served in what interactive requests leave,
    /// and in a tenth of the time where they leave nothing.
    pub(crate) const fn share(self) -> f64 {
        match self {
            Self::Interactive => 9.0,
            Self::Bulk => 1.0,
        }
    }
}

/// Somebody who is owed a share, whatever others send. Clones are the same tenant.
#[derive(Clone, Debug)]
pub struct Tenant {
    shared: Arc<TenantState>,
}

#[derive(Debug)]
struct TenantState {
    id: u64,
    name: String,
    share: f64,
    max_inflight_requests: usize,
    inflight_requests: AtomicUsize,
}

/// The right of a tenant to one more request in the engine; given back when dropped.
#[derive(Debug)]
pub struct TenantPermit {
    tenant: Tenant,
}

/// Tells tenants apart, in the order in which they were made.
static NEXT_ID: AtomicU64 = AtomicU64::new(0);

impl Tenant {
    /// A tenant that gets `share` parts of a session's time while others want it as well (1 is usual), and has at most
    /// `max_inflight_requests` in the engine.
    #[must_use]
    pub fn new(name: impl Into<String>, share: f64, max_inflight_requests: usize) -> Self {
        let share = if share.is_finite() && share > 0.0 { share } else { 1.0 };
        let id = NEXT_ID.fetch_add(1, Ordering::Relaxed);
        let (name, inflight_requests) = (name.into(), AtomicUsize::new(0));
        Self { shared: Arc::new(TenantState { id, name, share, max_inflight_requests, inflight_requests }) }
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.shared.name
    }

    /// Parts of a session's time.
    #[must_use]
    pub fn share(&self) -> f64 {
        self.shared.share
    }

    /// Lets one more request of this tenant in.
    ///
    /// # Errors
    /// [`ScheduleError::Quota`] when it has as many as it may.
    pub fn admit(&self) -> Result<TenantPermit, ScheduleError> {
        let limit = self.shared.max_inflight_requests;
        let next = |inflight: usize| (inflight < limit).then_some(inflight + 1);
        match self.shared.inflight_requests.fetch_update(Ordering::AcqRel, Ordering::Acquire, next) {
            Ok(_) => Ok(TenantPermit { tenant: self.clone() }),
            Err(_) => Err(self.over_quota()),
        }
    }

    /// Whether one more request would be let in.
    ///
    /// # Errors
    /// As [`Tenant::admit`].
    pub fn check(&self) -> Result<(), ScheduleError> {
        let inflight = self.shared.inflight_requests.load(Ordering::Acquire);
        if inflight < self.shared.max_inflight_requests { Ok(()) } else { Err(self.over_quota()) }
    }

    fn over_quota(&self) -> ScheduleError {
        ScheduleError::Quota { tenant: self.shared.name.clone(), limit: self.shared.max_inflight_requests }
    }

    /// Which of several tenants this is, for tables.
    pub(crate) fn id(&self) -> u64 {
        self.shared.id
    }
}

impl Drop for TenantPermit {
    fn drop(&mut self) {
        self.tenant.shared.inflight_requests.fetch_sub(1, Ordering::AcqRel);
    }
}

/// The guest module behind an inference: the start of its SHA-256. Only told, never decided by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Origin(pub u64);

/// Who asks for an inference.
#[derive(Clone, Debug)]
pub struct Caller {
    /// Which lane it waits in.
    pub lane: Lane,
    /// Whose share it is served from.
    pub tenant: Tenant,
    /// The guest that computes.
    pub origin: Origin,
}

impl Default for Caller {
    /// Interactive, of a tenant of its own without a bound.
    fn default() -> Self {
        let tenant = Tenant::new("default", 1.0, usize::MAX);
        Self { lane: Lane::Interactive, tenant, origin: Origin::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tenant_is_refused_at_its_quota_and_let_in_again_when_a_permit_is_given_back() {
        let tenant = Tenant::new("search", 2.0, 2);
        let permits = [tenant.admit().expect("one of two"), tenant.clone().admit().expect("two of two")];
        let refused = tenant.admit().expect_err("the quota is two");
        assert_eq!(refused.to_string(), "tenant `search` has its limit of 2 requests in flight; try again later");
        drop(permits);
        tenant.admit().expect("both were given back");
    }

    #[test]
    fn a_share_that_is_no_number_counts_as_one() {
        for share in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            assert!((Tenant::new("t", share, 1).share() - 1.0).abs() < f64::EPSILON);
        }
    }
}
