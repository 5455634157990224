//! Why there is nothing to report.

use std::path::PathBuf;

use wisp_engine::StartError;
use wisp_model_store::StoreError;

/// Why a benchmark cannot be run, or has shown that what it measured does not work.
#[derive(Debug, thiserror::Error)]
pub enum BenchError {
    /// Nobody listens at the target.
    #[error("cannot connect to {address}: {reason}; start it with `wisp serve`, or leave out --target")]
    Connect {
        /// The address.
        address: String,
        /// Why.
        reason: String,
    },
    /// A token that no header can carry.
    #[error("the token holds characters that no header can carry; look at --token-file")]
    Token,
    /// A deployment whose model cannot be run without the guest.
    #[error("deployment `{deployment}` cannot be measured without its guest: {reason}; leave out --target backend")]
    NoBackend {
        /// The deployment.
        deployment: String,
        /// Why.
        reason: String,
    },
    /// A deployment that is nowhere configured.
    #[error(
        "deployment `{name}` is not configured, and neither `builtin:{name}` nor {} is there; name its file as \
         --deployments {name}=FILE.wasm, or give --config", .looked_at.display()
    )]
    NoDeployment {
        /// Its name.
        name: String,
        /// Where its guest would have been taken from.
        looked_at: PathBuf,
    },
    /// The server ended before it served.
    #[error("`wisp serve` {what}{log}")]
    Server {
        /// What happened.
        what: String,
        /// The end of what it wrote, if anything.
        log: String,
    },
    /// A file or process could not be dealt with.
    #[error("{what}: {source}")]
    Io {
        /// What was to be done.
        what: String,
        /// Why it was not.
        source: std::io::Error,
    },
    /// There is no text to send.
    #[error("{origin} holds no text; write one a line")]
    NoTexts {
        /// Where texts were looked for.
        origin: String,
    },
    /// The reference could not be computed.
    #[error("no reference to check answers against: {0}; --no-check measures without checking, and says so")]
    Reference(String),
    /// The engine did not start.
    #[error(transparent)]
    Start(Box<StartError>),
    /// A model cannot be had.
    #[error(transparent)]
    Store(Box<StoreError>),
}

impl BenchError {
    /// Whether it says that a placement or precision cannot be used here.
    #[must_use]
    pub fn is_about_placement(&self) -> bool {
        matches!(self, Self::Start(_) | Self::Server { .. } | Self::NoBackend { .. })
    }

    /// Puts what was to be done before an error of the system.
    pub fn io(what: impl Into<String>) -> impl FnOnce(std::io::Error) -> Self {
        let what = what.into();
        move |source| Self::Io { what, source }
    }
}

impl From<StartError> for BenchError {
    fn from(error: StartError) -> Self {
        Self::Start(Box::new(error))
    }
}

impl From<StoreError> for BenchError {
    fn from(error: StoreError) -> Self {
        Self::Store(Box::new(error))
    }
}
