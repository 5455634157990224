//! What is measured: a server, the engine in this process, or the backend alone.

mod backend;
mod engine;
mod grpc;

pub use backend::BackendTarget;
pub use engine::EngineTarget;
pub use grpc::{GrpcOptions, GrpcTarget};

use crate::answer::{Answer, Failure, Question};

/// Something that embeds texts. Clones share it.
#[derive(Clone)]
pub enum Target {
    /// A server, by gRPC.
    Grpc(GrpcTarget),
    /// The engine in this process, through a guest.
    Engine(EngineTarget),
    /// The session of a deployment's model in this process, without a guest.
    Backend(BackendTarget),
}

impl Target {
    /// Asks once. Dropping the future takes the request back, as far as the target can.
    ///
    /// # Errors
    /// [`Failure`]; the target can be asked again.
    pub async fn embed(&self, question: Question) -> Result<Answer, Failure> {
        match self {
            Self::Grpc(target) => target.embed(question).await,
            Self::Engine(target) => target.embed(question).await,
            Self::Backend(target) => target.embed(question).await,
        }
    }

    /// What the target is called in reports.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Grpc(_) => "server",
            Self::Engine(_) => "engine",
            Self::Backend(_) => "backend",
        }
    }
}
