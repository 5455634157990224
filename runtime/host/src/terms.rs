//! The terms on which a guest is called, whatever is asked of it.

use std::sync::{Arc, LazyLock};

use tokio::time::Instant;
use wisp_scheduler::{Announced, Caller};

use crate::account::Account;
use crate::{GrantedModel, Grants, Guest, Limits};

/// Who calls, what the guest may use, and until when.
#[derive(Debug)]
pub struct Terms {
    /// Name of the deployment, for messages and logs.
    pub deployment: Arc<str>,
    /// What the guest may use.
    pub grants: Arc<Grants>,
    /// How much of it, and of everything else.
    pub limits: Limits,
    /// When the caller stops waiting; the time limit of the deployment holds as well.
    pub deadline: Option<Instant>,
    /// Who asks. The origin is the guest's, whatever is said here.
    pub caller: Caller,
    /// The work that was announced for this call, by model.
    pub announced: Vec<(Arc<GrantedModel>, Announced)>,
}

/// When a call ends, and by whose limit.
#[derive(Clone, Copy, Debug)]
pub(crate) struct End {
    pub(crate) at: Instant,
    /// The deployment's, and not the caller's.
    pub(crate) is_wall: bool,
}

impl Terms {
    /// A call without a caller's deadline, by nobody in particular.
    #[must_use]
    pub fn new(deployment: Arc<str>, grants: Arc<Grants>, limits: Limits) -> Self {
        Self { deployment, grants, limits, deadline: None, caller: nobody(), announced: Vec::new() }
    }

    /// When the call ends if it begins now.
    pub(crate) fn end(&self, now: Instant) -> End {
        let wall_end = now + self.limits.wall;
        match self.deadline {
            Some(deadline) if deadline < wall_end => End { at: deadline, is_wall: false },
            _ => End { at: wall_end, is_wall: true },
        }
    }

    /// The account of a call of this guest.
    pub(crate) fn open(self, guest: &Guest, end: End) -> Account {
        let mut account = Account::new(self.deployment, self.grants, self.limits, end.at);
        account.caller = Caller { origin: guest.origin(), ..self.caller };
        account.announced = self.announced;
        account
    }
}

/// Who calls when nobody says it. All such calls are of one tenant: a queue remembers something of every one that it has seen.
pub(crate) fn nobody() -> Caller {
    static NOBODY: LazyLock<Caller> = LazyLock::new(Caller::default);
    NOBODY.clone()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_says_nothing_of_himself_is_the_same_tenant_every_time() {
        let tenant = || format!("{:?}", Terms::new("d".into(), Arc::default(), Limits::default()).caller.tenant);
        assert_eq!(tenant(), tenant());
        assert_ne!(tenant(), format!("{:?}", Caller::default().tenant));
    }
}
