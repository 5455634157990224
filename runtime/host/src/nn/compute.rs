//! One `compute`, whoever calls it: the grant's bounds, then the scheduler.

use wisp_core::{Axis, ErrorKind, Kinded, NamedTensor, TensorError};
use wisp_scheduler::{Inferred, ScheduleError};

use crate::ModelGrant;
use crate::account::Account;

/// Why a `compute` failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ComputeError {
    /// A tensor's bytes do not fit its shape.
    #[error("input `{name}`: {source}")]
    Malformed { name: String, source: TensorError },
    /// The batch is larger than the grant.
    #[error("{rows} rows are more than deployment `{deployment}` may give model `{alias}` at once ({limit}); {remedy}")]
    Rows { rows: usize, limit: usize, deployment: String, alias: String, remedy: String },
    /// The scheduler or the session failed.
    #[error(transparent)]
    Schedule(#[from] ScheduleError),
}

impl Kinded for ComputeError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Malformed { source, .. } => source.kind(),
            Self::Rows { .. } => ErrorKind::PermissionDenied,
            Self::Schedule(error) => error.kind(),
        }
    }
}

impl Account {
    /// Computes with a model that the guest calls `alias`.
    pub(crate) async fn compute(
        &mut self,
        alias: &str,
        grant: &ModelGrant,
        inputs: Vec<NamedTensor>,
    ) -> Result<Inferred, ComputeError> {
        self.check_rows(alias, grant, &inputs)?;
        Ok(self.infer(grant, inputs).await?)
    }

    fn check_rows(&self, alias: &str, grant: &ModelGrant, inputs: &[NamedTensor]) -> Result<(), ComputeError> {
        let Some(limit) = grant.max_rows else { return Ok(()) };
        let rows = rows(grant, inputs);
        if rows <= limit {
            return Ok(());
        }
        let deployment = self.deployment.to_string();
        let remedy = self.grants.outside().written_in.for_rows(&deployment, alias);
        Err(ComputeError::Rows { rows, limit, deployment, alias: alias.to_owned(), remedy })
    }
}

/// Rows of a batch: the longest outermost axis that the model leaves free.
fn rows(grant: &ModelGrant, inputs: &[NamedTensor]) -> usize {
    let signature = &grant.model.queue.info().signature;
    let is_batched = |name: &str| {
        let spec = signature.inputs.iter().find(|spec| spec.name == name);
        spec.is_some_and(|spec| spec.shape.first() == Some(&Axis::Free))
    };
    let batched = inputs.iter().filter(|input| is_batched(&input.name));
    batched.filter_map(|input| input.tensor.shape().first().copied()).max().unwrap_or(1)
}
