//! The latest batches of a session, for whoever wants to see who met in them.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::caller::{Lane, Origin};
use crate::job::{Part, Ran};

/// Batches that are remembered.
const REMEMBERED: usize = 64;

/// An inference that ran.
#[derive(Clone, Debug, PartialEq)]
pub struct BatchRecord {
    /// Who was in it.
    pub members: Vec<Member>,
    /// Length that all rows were filled up to.
    pub length: usize,
    /// Time in the session.
    pub infer: Duration,
}

/// An entry of a batch, or a part of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// The guest that asked.
    pub origin: Origin,
    /// For whom.
    pub tenant: String,
    /// Where it waited.
    pub lane: Lane,
    /// Its rows.
    pub rows: usize,
    /// Its length before it was filled up.
    pub length: usize,
}

impl BatchRecord {
    /// Rows of all members.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.members.iter().map(|member| member.rows).sum()
    }
}

/// The latest batches, the newest last.
#[derive(Default)]
pub(crate) struct Records(Mutex<VecDeque<BatchRecord>>);

impl Records {
    pub(crate) fn add(&self, parts: &[Part], ran: &Ran) {
        let member = |part: &Part| Member {
            origin: part.job.caller.origin,
            tenant: part.job.caller.tenant.name().to_owned(),
            lane: part.job.caller.lane,
            rows: part.rows.len(),
            length: part.job.shape.length,
        };
        let members: Vec<Member> = parts.iter().map(member).collect();
        let length = members.iter().map(|member| member.length).max().unwrap_or(0);
        let mut records = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if records.len() == REMEMBERED {
            records.pop_front();
        }
        records.push_back(BatchRecord { members, length, infer: ran.infer });
    }

    pub(crate) fn all(&self) -> Vec<BatchRecord> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }
}
