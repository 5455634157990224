//! Why the engine did not start, and why a request was not answered.

use std::path::PathBuf;
use std::time::Duration;

use wisp_core::{ErrorKind, Kinded};
use wisp_host::{CallError, GuestKind, HostError};
use wisp_model_store::StoreError;
use wisp_scheduler::ScheduleError;

use crate::room::{self, ModelNeed};
use crate::{ClassifyError, InputError, RefusalStage, TextError, TrustError};

/// When a caller that found every place taken may try again: requests take some ten milliseconds.
const RETRY_AFTER: Duration = Duration::from_millis(100);

/// Why the engine did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A model's manifest or files cannot be had.
    #[error("model `{model}`: {source}")]
    Store {
        /// The model.
        model: String,
        /// Why.
        source: Box<StoreError>,
    },
    /// No placement of a model works.
    #[error("model `{model}` runs on none of its placements:{}", list(.reasons))]
    NoPlacement {
        /// The model.
        model: String,
        /// Each placement, and why not.
        reasons: Vec<String>,
    },
    /// The container has too little memory.
    #[error(
        "the memory limit of this container is {}, and about {} are needed: the engine {}, {}; raise \
         resources.limits.memory to at least {}, or grant a smaller model",
        room::mib(*.limit_bytes), room::mib(*.need_bytes), room::mib(*.engine_bytes), told(.needs),
        room::quantity(*.need_bytes)
    )]
    Room {
        /// What the control group grants.
        limit_bytes: u64,
        /// What is needed, as far as it can be told before.
        need_bytes: u64,
        /// The part that no model takes.
        engine_bytes: u64,
        /// The other parts.
        needs: Vec<ModelNeed>,
    },
    /// The thread of a session could not be started.
    #[error("model `{model}`: no thread for its session: {source}")]
    Thread {
        /// The model.
        model: String,
        /// Why.
        source: std::io::Error,
    },
    /// The token of a tenant cannot be used.
    #[error("tenant `{tenant}`: {reason}")]
    Token {
        /// The tenant.
        tenant: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A guest file cannot be read.
    #[error("deployment `{deployment}`: guest {}: {source}", .path.display())]
    GuestFile {
        /// The deployment.
        deployment: String,
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The artifact of a guest cannot be used.
    #[error("deployment `{deployment}`: guest {reason}")]
    GuestArtifact {
        /// The deployment.
        deployment: String,
        /// What is wrong with it, and what to do.
        reason: String,
    },
    /// A built-in guest is not in this binary.
    #[error("deployment `{deployment}`: guest `builtin:{guest}` is not in this binary; it has {available}")]
    NotBuiltIn {
        /// The deployment.
        deployment: String,
        /// The guest.
        guest: String,
        /// What there is.
        available: String,
    },
    /// The module is not the one that may run.
    #[error("deployment `{deployment}`: guest {guest} is not trusted: {source}")]
    Trust {
        /// The deployment.
        deployment: String,
        /// Its guest.
        guest: String,
        /// Why.
        source: TrustError,
    },
    /// The guest is a program, which answers no requests.
    #[error(
        "deployment `{deployment}`: guest {guest} is a program, which runs once and answers no requests; run it with `wisp run`"
    )]
    Program {
        /// The deployment.
        deployment: String,
        /// Its guest.
        guest: String,
    },
    /// Something that is granted cannot be given.
    #[error("deployment `{deployment}`: {reason}")]
    Grant {
        /// The deployment.
        deployment: String,
        /// What, and why.
        reason: String,
    },
    /// Two applications answer the same paths, or one none at all.
    #[error("{0}")]
    Route(String),
    /// The host or a guest cannot be set up.
    #[error(transparent)]
    Host(#[from] HostError),
}

fn told(needs: &[ModelNeed]) -> String {
    needs.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

fn list(reasons: &[String]) -> String {
    reasons.iter().map(|reason| format!("\n  - {reason}")).collect()
}

/// Why a request was not answered.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// There is no such deployment.
    #[error("deployment `{name}` does not exist; there is {available}")]
    UnknownDeployment {
        /// The name as given.
        name: String,
        /// What there is.
        available: String,
    },
    /// No name was given and more than one deployment could be meant.
    #[error("name a deployment; there is {available}")]
    AmbiguousDeployment {
        /// What there is.
        available: String,
    },
    /// The deployment does something else.
    #[error("deployment `{deployment}` is {kind}, not one that {wanted}; {}", alternatives(.fitting))]
    WrongKind {
        /// The deployment.
        deployment: String,
        /// What it is.
        kind: GuestKind,
        /// What was asked for.
        wanted: &'static str,
        /// The deployments that do it.
        fitting: String,
    },
    /// A request to classify cannot be meant.
    #[error(transparent)]
    Classify(ClassifyError),
    /// Nothing of this name takes tensors.
    #[error("model `{name}` does not exist; there is {available}")]
    UnknownEndpoint {
        /// The name as given.
        name: String,
        /// What there is.
        available: String,
    },
    /// It was taken out of service.
    #[error("`{name}` was unloaded on request; load it again to use it")]
    Unloaded {
        /// The deployment or model.
        name: String,
    },
    /// A model that was to be loaded cannot be.
    #[error("model `{model}` cannot be loaded, and is tried again: {reason}")]
    NotLoaded {
        /// The model.
        model: String,
        /// Why.
        reason: String,
    },
    /// The inputs do not fit.
    #[error(transparent)]
    Input(InputError),
    /// The request has no text.
    #[error("the request has no texts; send at least one")]
    NoTexts,
    /// A text is empty, or has nothing but blank space.
    #[error("text {index} is empty or blank; an embedding of nothing means nothing")]
    EmptyText {
        /// Which text, from 0.
        index: usize,
    },
    /// Too many texts.
    #[error("the request has {count} texts; at most {limit} are taken at once (server.limits.texts)")]
    TooManyTexts {
        /// How many.
        count: usize,
        /// The bound.
        limit: usize,
    },
    /// A text is too long.
    #[error("text {index} has {bytes} bytes; at most {limit} are taken (server.limits.text_bytes)")]
    TextTooLong {
        /// Which text, from 0.
        index: usize,
        /// Its size.
        bytes: usize,
        /// The bound.
        limit: usize,
    },
    /// Something else is wrong with texts, token ids or prompts.
    #[error(transparent)]
    Text(#[from] TextError),
    /// No application answers this path.
    #[error("no application answers {path}; see `route` under [deployments.NAME]")]
    NoApplication {
        /// The path.
        path: String,
    },
    /// The deployment has as many instances as it may.
    #[error("deployment `{deployment}`: all {limit} instances are in use (limits.instances); try again later")]
    Instances {
        /// The deployment.
        deployment: String,
        /// The bound.
        limit: u32,
    },
    /// The engine is shutting down.
    #[error("the server is shutting down; try another one")]
    Draining,
    /// No permit.
    #[error(transparent)]
    Admission(ScheduleError),
    /// A model that was asked without a guest did not answer.
    #[error(transparent)]
    Inference(ScheduleError),
    /// The guest gave no result.
    #[error(transparent)]
    Call(#[from] CallError),
}

fn alternatives(fitting: &str) -> String {
    match fitting {
        "" => "none does; add one under [deployments.NAME]".to_owned(),
        names => format!("name {names}"),
    }
}

impl EngineError {
    /// The same error for a caller that sent these texts as a part of more, the first of them at `first`.
    #[must_use]
    pub fn counted_from(self, first: usize) -> Self {
        match self {
            Self::EmptyText { index } => Self::EmptyText { index: first + index },
            Self::TextTooLong { index, bytes, limit } => Self::TextTooLong { index: first + index, bytes, limit },
            Self::Classify(error) => Self::Classify(error.counted_from(first)),
            Self::Call(CallError::Guest { kind, message }) if first > 0 && message.contains("input ") => {
                let message = format!("{message} (counted from input {first} on)");
                Self::Call(CallError::Guest { kind, message })
            }
            Self::Call(CallError::Guest { kind, message }) if first > 0 && message.contains("text ") => {
                let message = format!("{message} (counted from text {first} on)");
                Self::Call(CallError::Guest { kind, message })
            }
            other => other,
        }
    }

    /// How far the request came, when it was refused for want of time or room.
    #[must_use]
    pub fn refused_at(&self) -> Option<RefusalStage> {
        self.retry_after().map(|_| match self {
            Self::Admission(_) => RefusalStage::Admission,
            _ => RefusalStage::Compute,
        })
    }

    /// When it may be worth sending the request again, from now; `None` where time alone does not help.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Call(CallError::Overloaded { retry_after, .. }) => Some(*retry_after),
            Self::Admission(ScheduleError::Overloaded { wait, .. })
            | Self::Inference(ScheduleError::Overloaded { wait, .. }) => Some(*wait),
            Self::Admission(ScheduleError::Full { .. } | ScheduleError::Quota { .. })
            | Self::Inference(ScheduleError::Full { .. })
            | Self::Instances { .. }
            | Self::Call(CallError::Instances { .. }) => Some(RETRY_AFTER),
            _ => None,
        }
    }
}

impl Kinded for EngineError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::UnknownDeployment { .. } | Self::UnknownEndpoint { .. } | Self::NoApplication { .. } => {
                ErrorKind::NotFound
            }
            Self::Input(error) => error.kind(),
            Self::Instances { .. } => ErrorKind::ResourceExhausted,
            Self::WrongKind { .. } => ErrorKind::InvalidArgument,
            Self::Classify(error) => error.kind(),
            Self::AmbiguousDeployment { .. } | Self::NoTexts | Self::EmptyText { .. } => ErrorKind::InvalidArgument,
            Self::TooManyTexts { .. } | Self::TextTooLong { .. } => ErrorKind::TooLarge,
            Self::Text(error) => error.kind(),
            Self::Draining | Self::Unloaded { .. } | Self::NotLoaded { .. } => ErrorKind::Unavailable,
            Self::Admission(error) | Self::Inference(error) => error.kind(),
            Self::Call(error) => error.kind(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_of_a_list_names_the_text_of_the_whole_list() {
        let error = EngineError::TextTooLong { index: 3, bytes: 9, limit: 8 }.counted_from(64);
        assert!(error.to_string().starts_with("text 67 has 9 bytes"), "{error}");
        let message = "text 3 has at least 300 tokens".to_owned();
        let guest = EngineError::Call(CallError::Guest { kind: ErrorKind::InvalidArgument, message });
        let said = guest.counted_from(64).to_string();
        assert_eq!(said, "text 3 has at least 300 tokens (counted from text 64 on)");
    }
}
