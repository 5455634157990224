//! The door: one permit for a whole request, given at once or not at all.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::ScheduleError;
use crate::caller::{Lane, Tenant, TenantPermit};

/// What the limit bounds, for those who may use all of it.
const ALL_REQUESTS: &str = "requests in flight";

/// Bounds the requests that are in the engine at one time, waiting ones included.
#[derive(Clone, Debug)]
pub struct Admission {
    inflight: Arc<AtomicUsize>,
    limit: usize,
}

/// The right to be in the engine; given back when dropped.
#[derive(Debug)]
pub struct Permit {
    inflight: Arc<AtomicUsize>,
    _tenant: TenantPermit,
}

impl Admission {
    /// Admits at most `max_inflight_requests` at one time.
    #[must_use]
    pub fn new(max_inflight_requests: usize) -> Self {
        Self { inflight: Arc::default(), limit: max_inflight_requests }
    }

    /// Admits a request, or refuses it at once: a caller that must wait is better served by trying elsewhere.
    ///
    /// Bulk requests leave a quarter of the places to those for whose answers somebody waits.
    ///
    /// # Errors
    /// [`ScheduleError::Quota`] when the tenant has as many as it may, [`ScheduleError::Full`] when the limit is reached.
    pub fn admit(&self, lane: Lane, tenant: &Tenant) -> Result<Permit, ScheduleError> {
        let of_tenant = tenant.admit()?;
        let (limit, what) = match lane {
            Lane::Interactive => (self.limit, ALL_REQUESTS),
            Lane::Bulk => ((self.limit * 3).div_ceil(4), "requests in flight that leaves room for interactive ones"),
        };
        let next = |inflight: usize| (inflight < limit).then_some(inflight + 1);
        match self.inflight.fetch_update(Ordering::AcqRel, Ordering::Acquire, next) {
            Ok(_) => Ok(Permit { inflight: Arc::clone(&self.inflight), _tenant: of_tenant }),
            Err(_) => Err(ScheduleError::Full { what, limit }),
        }
    }

    /// Why any request of this tenant would be refused now, whatever it asks for; takes no place.
    ///
    /// # Errors
    /// As [`Admission::admit`] of an interactive request: a bulk one is refused at least as soon.
    pub fn check(&self, tenant: &Tenant) -> Result<(), ScheduleError> {
        tenant.check()?;
        match self.inflight() < self.limit {
            true => Ok(()),
            false => Err(ScheduleError::Full { what: ALL_REQUESTS, limit: self.limit }),
        }
    }

    /// Requests that are in the engine now.
    #[must_use]
    pub fn inflight(&self) -> usize {
        self.inflight.load(Ordering::Acquire)
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.inflight.fetch_sub(1, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tenant() -> Tenant {
        Tenant::new("t", 1.0, usize::MAX)
    }

    #[test]
    fn refuses_at_the_limit_and_admits_again_when_a_permit_is_given_back() {
        let admission = Admission::new(2);
        let admit = || admission.admit(Lane::Interactive, &tenant());
        let first = admit().expect("one of two");
        let _second = admit().expect("two of two");
        let refused = admit().expect_err("the limit is two");
        assert_eq!(refused.to_string(), "the limit of 2 requests in flight is reached; try again later");
        assert_eq!(admission.inflight(), 2);
        let checked = admission.check(&tenant()).expect_err("is known without taking a place");
        assert_eq!(checked.to_string(), refused.to_string());
        drop(first);
        admission.check(&tenant()).expect("one was given back");
        admit().expect("one was given back");
    }

    #[test]
    fn bulk_leaves_room_for_interactive_requests() {
        let admission = Admission::new(4);
        let bulk: Vec<_> = (0..3).map(|_| admission.admit(Lane::Bulk, &tenant()).expect("three of four")).collect();
        admission.admit(Lane::Bulk, &tenant()).expect_err("the last place is for others");
        admission.admit(Lane::Interactive, &tenant()).expect("the last place");
        drop(bulk);
        assert_eq!(admission.inflight(), 0);
    }

    #[test]
    fn a_tenant_that_is_refused_takes_no_place() {
        let admission = Admission::new(4);
        let bounded = Tenant::new("t", 1.0, 1);
        let _first = admission.admit(Lane::Interactive, &bounded).expect("one of one");
        let refused = admission.admit(Lane::Interactive, &bounded).expect_err("the quota is one");
        assert!(matches!(refused, ScheduleError::Quota { .. }), "{refused}");
        assert!(matches!(admission.check(&bounded), Err(ScheduleError::Quota { .. })));
        assert_eq!(admission.inflight(), 1);
    }
}
