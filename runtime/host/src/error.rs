//! What can go wrong with a guest: when it is loaded, and when it is called.

use std::time::Duration;

use wisp_core::{ErrorKind, Kinded};

use crate::GuestKind;

/// Why a host or a guest could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum HostError {
    /// The Wasm engine could not be made with this configuration.
    #[error("the Wasm engine cannot be set up: {0}")]
    Engine(String),
    /// The file is no module.
    #[error("guest `{guest}` is not a WebAssembly module: {reason}")]
    NotAModule {
        /// The guest.
        guest: String,
        /// What it is instead, and the remedy.
        reason: String,
    },
    /// The module is larger than allowed.
    #[error("guest `{guest}` has {bytes} bytes; at most {limit_bytes} are compiled")]
    TooLarge {
        /// The guest.
        guest: String,
        /// Its size.
        bytes: usize,
        /// The bound.
        limit_bytes: usize,
    },
    /// It does not compile.
    #[error("guest `{guest}` does not compile: {reason}")]
    Compile {
        /// The guest.
        guest: String,
        /// The compiler's message.
        reason: String,
    },
    /// Compiling takes too long.
    #[error("guest `{guest}` is not compiled after {} ms (limits.compile_ms); raise the limit, or compile it ahead with `wisp compile`", .limit.as_millis())]
    CompileTime {
        /// The guest.
        guest: String,
        /// The bound.
        limit: Duration,
    },
    /// Its own initialisation failed.
    #[error("guest `{guest}` cannot be initialised ahead of its first call: {reason}")]
    Initialize {
        /// The guest.
        guest: String,
        /// What happened.
        reason: String,
    },
    /// Its code cannot be kept.
    #[error("compiled code cannot be written to {}: {source}", .path.display())]
    Keep {
        /// The file.
        path: std::path::PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// It imports what this host does not offer, or does not export what a deployment needs.
    #[error("guest `{guest}` does not fit this host: {reason}")]
    Link {
        /// The guest.
        guest: String,
        /// The import or export.
        reason: String,
    },
}

impl Kinded for HostError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Engine(_) | Self::Keep { .. } => ErrorKind::Internal,
            Self::TooLarge { .. } => ErrorKind::TooLarge,
            Self::CompileTime { .. } => ErrorKind::DeadlineExceeded,
            Self::NotAModule { .. } | Self::Compile { .. } | Self::Initialize { .. } | Self::Link { .. } => {
                ErrorKind::InvalidArgument
            }
        }
    }
}

/// Why a call of a guest gave no result.
#[derive(Debug, Clone, thiserror::Error)]
pub enum CallError {
    /// The guest answered with an error of its own, or passed one of the host's on.
    #[error("{message}")]
    Guest {
        /// What the guest says it is.
        kind: ErrorKind,
        /// The guest's message.
        message: String,
    },
    /// The guest broke off.
    #[error("deployment `{deployment}`: the guest trapped: {reason}")]
    Trap {
        /// The deployment.
        deployment: String,
        /// The trap.
        reason: String,
    },
    /// The guest wanted more memory than it may have, and gave up.
    #[error("deployment `{deployment}`: the guest {wanted}")]
    Memory {
        /// The deployment.
        deployment: String,
        /// What it wanted, and the limit.
        wanted: String,
    },
    /// The guest holds more tensors than it may.
    #[error(
        "deployment `{deployment}`: the guest wanted more than {limit_bytes} bytes of tensors (limits.tensor_bytes)"
    )]
    TensorBytes {
        /// The deployment.
        deployment: String,
        /// The bound.
        limit_bytes: usize,
    },
    /// The guest holds more handles than it may.
    #[error("deployment `{deployment}`: the guest holds more than {limit} handles (limits.handles)")]
    Handles {
        /// The deployment.
        deployment: String,
        /// The bound.
        limit: usize,
    },
    /// The guest computed more than it may.
    #[error("deployment `{deployment}`: the guest used up its {limit} units of fuel (limits.fuel)")]
    Fuel {
        /// The deployment.
        deployment: String,
        /// The bound.
        limit: u64,
    },
    /// The guest passed more to the host in one call than it may.
    #[error(
        "deployment `{deployment}`: the guest passed more than {limit_bytes} bytes to the host in one call (limits.hostcall_bytes)"
    )]
    HostcallBytes {
        /// The deployment.
        deployment: String,
        /// The bound.
        limit_bytes: usize,
    },
    /// The guest is made for other calls.
    #[error("deployment `{deployment}`: the guest is {kind}, not one that {what}")]
    WrongKind {
        /// The deployment.
        deployment: String,
        /// What it is.
        kind: GuestKind,
        /// What it should do.
        what: String,
    },
    /// Something that is granted cannot be given.
    #[error("deployment `{deployment}`: {reason}")]
    Granting {
        /// The deployment.
        deployment: String,
        /// What, and why.
        reason: String,
    },
    /// The time limit of the deployment passed.
    #[error(
        "deployment `{deployment}`: no answer within {} ms (limits.wall_ms), of which the guest waited {} ms for its models",
        .wall.as_millis(), .waited.as_millis()
    )]
    Wall {
        /// The deployment.
        deployment: String,
        /// The bound.
        wall: Duration,
        /// How much of it was spent in inferences and in their queue, where the guest can do nothing.
        waited: Duration,
    },
    /// A model has more to do than this call can wait for, and the guest passed that on.
    #[error("{message}")]
    Overloaded {
        /// The message.
        message: String,
        /// When it may be worth trying again, from now.
        retry_after: Duration,
    },
    /// The deadline of the request passed.
    #[error("the deadline of the request passed before deployment `{deployment}` answered")]
    Deadline {
        /// The deployment.
        deployment: String,
    },
    /// No instance is free.
    #[error("all {limit} guest instances are in use; try again later")]
    Instances {
        /// The bound.
        limit: u32,
    },
    /// The guest's result does not fit the request.
    #[error("deployment `{deployment}`: the guest's result is malformed: {reason}")]
    Result {
        /// The deployment.
        deployment: String,
        /// What does not fit.
        reason: String,
    },
}

impl CallError {
    /// What keeps the host from giving a guest what it was granted.
    pub(crate) fn granting(deployment: &str, error: &std::io::Error) -> Self {
        Self::Granting { deployment: deployment.to_owned(), reason: error.to_string() }
    }
}

impl Kinded for CallError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Guest { kind, .. } => *kind,
            Self::Trap { .. } | Self::Result { .. } => ErrorKind::Internal,
            Self::Memory { .. } | Self::TensorBytes { .. } | Self::Handles { .. } => ErrorKind::ResourceExhausted,
            Self::Fuel { .. } | Self::HostcallBytes { .. } => ErrorKind::ResourceExhausted,
            Self::WrongKind { .. } => ErrorKind::Unsupported,
            Self::Granting { .. } => ErrorKind::Unavailable,
            Self::Instances { .. } | Self::Overloaded { .. } => ErrorKind::ResourceExhausted,
            Self::Wall { .. } | Self::Deadline { .. } => ErrorKind::DeadlineExceeded,
        }
    }
}
