//! What comes back for a request, whatever answered it.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use wisp_core::Precision;

/// The lane a request waits in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Lane {
    /// Whatever the server takes unnamed requests for.
    #[default]
    Unnamed,
    /// Somebody waits.
    Interactive,
    /// Throughput is what counts.
    Bulk,
}

/// The texts of one request and how they are sent.
#[derive(Clone, Debug)]
pub struct Question {
    /// The texts.
    pub texts: Vec<String>,
    /// Which of the connections of the target; others may take it as they like.
    pub connection: usize,
    /// The lane.
    pub lane: Lane,
}

/// An answer.
#[derive(Clone, Debug, Default)]
pub struct Answer {
    /// One vector a text.
    pub vectors: Vec<Vec<f32>>,
    /// Tokens of all texts.
    pub tokens: u64,
    /// Where the time went, as far as the target says.
    pub stages: Option<Stages>,
    /// What ran, as far as the target says.
    pub placement: Option<PlacementFacts>,
    /// What the inferences were shared with, as far as the target says.
    pub batching: Option<Batching>,
}

/// Nanoseconds in each stage.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stages {
    /// Waiting for the session.
    pub queue: u64,
    /// Tokenising in the host.
    pub tokenize: u64,
    /// The guest's instance and own code.
    pub guest: u64,
    /// Putting rows together and taking results apart.
    pub gather: u64,
    /// In the session.
    pub infer: u64,
    /// From arrival to answer, inside the target.
    pub total: u64,
}

/// The inferences that computed a request: sums over them, rows of other requests included.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Batching {
    /// How many.
    pub inferences: u32,
    /// Rows in them.
    pub rows: u64,
    /// Tokens that are not padding.
    pub tokens: u64,
    /// Tokens that were computed.
    pub padded_tokens: u64,
}

/// What ran.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlacementFacts {
    /// `model on backend:device, precision`, for reports.
    pub name: String,
    /// The arithmetic; `None` for one that this version does not know.
    pub precision: Option<Precision>,
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// What kind of failure.
    pub kind: FailureKind,
    /// `RESOURCE_EXHAUSTED` and the like; `CONNECTION` when nothing came back at all.
    pub code: String,
    /// What the target says.
    pub message: String,
    /// When it says that trying again may help.
    pub retry_after: Option<Duration>,
}

/// What a failure means for a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailureKind {
    /// Too much was asked at one time; the target protects itself.
    Refused,
    /// The request failed.
    Failed,
    /// Nobody answers there.
    Unreachable,
}

impl Stages {
    /// Each stage with its name, in the order a request meets them; what is in none of them is the last.
    #[must_use]
    pub fn named(&self) -> [(&'static str, u64); 6] {
        let known = self.queue + self.tokenize + self.guest + self.gather + self.infer;
        [
            ("queue", self.queue),
            ("tokenize", self.tokenize),
            ("guest", self.guest),
            ("gather", self.gather),
            ("infer", self.infer),
            ("other", self.total.saturating_sub(known)),
        ]
    }
}

impl std::ops::AddAssign for Stages {
    fn add_assign(&mut self, other: Self) {
        self.queue += other.queue;
        self.tokenize += other.tokenize;
        self.guest += other.guest;
        self.gather += other.gather;
        self.infer += other.infer;
        self.total += other.total;
    }
}
