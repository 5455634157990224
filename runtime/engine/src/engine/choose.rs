//! Which deployment a request is for: the one that it names, or the one that can only be meant.

use wisp_host::GuestKind;

use super::generation::{DEFAULT_DEPLOYMENT, Generation};
use crate::EngineError;
use crate::deployment::Deployment;

/// The deployment that classifies when a request names none and there are several.
const DEFAULT_CLASSIFIER: &str = "classifier";

impl Generation {
    /// The deployment of this name, if its guest is of this kind; without a name, the only one of the kind, or the default's.
    ///
    /// # Errors
    /// [`EngineError::UnknownDeployment`]; [`EngineError::WrongKind`] for a deployment that does something else, or when none
    /// does this; [`EngineError::AmbiguousDeployment`] when several do.
    pub(super) fn choose(&self, name: Option<&str>, kind: GuestKind) -> Result<&Deployment, EngineError> {
        let fitting = || self.deployments.values().filter(|deployment| deployment.guest.kind() == kind);
        let names = || fitting().map(|deployment| format!("`{}`", deployment.name)).collect::<Vec<_>>().join(", ");
        let usual = if kind == GuestKind::Classifier { DEFAULT_CLASSIFIER } else { DEFAULT_DEPLOYMENT };
        let found = match name {
            Some(name) => self.deployment(Some(name))?,
            None => match (fitting().next(), fitting().count()) {
                (None, _) => self
                    .deployments
                    .values()
                    .next()
                    .ok_or_else(|| EngineError::AmbiguousDeployment { available: "none".to_owned() })?,
                (Some(only), 1) => only,
                _ => fitting()
                    .find(|deployment| &*deployment.name == usual)
                    .ok_or_else(|| EngineError::AmbiguousDeployment { available: names() })?,
            },
        };
        self.shelf.check(&found.name)?;
        match found.guest.kind() == kind {
            true => Ok(found),
            false => Err(EngineError::WrongKind {
                deployment: found.name.to_string(),
                kind: found.guest.kind(),
                wanted: what(kind),
                fitting: names(),
            }),
        }
    }
}

/// What a guest of this kind does, in messages.
fn what(kind: GuestKind) -> &'static str {
    match kind {
        GuestKind::Embedder => "embeds texts",
        GuestKind::Classifier => "classifies",
        GuestKind::Http => "serves HTTP",
        GuestKind::Program => "runs",
    }
}
