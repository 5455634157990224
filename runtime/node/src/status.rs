//! What is on a node.

use std::path::Path;

use serde::Serialize;

use crate::containerd::{self, edit};
use crate::{Node, NodeError, bundle, files};

/// What is on a node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Status {
    /// Versions that are whole.
    pub versions: Vec<String>,
    /// The one that new pods get.
    pub current: Option<String>,
    /// Whose containerd the node has.
    pub distribution: Option<&'static str>,
    /// The file in which the handler stands or would stand, as a path of the node.
    pub config: Option<String>,
    /// Whether it stands there.
    pub is_configured: bool,
    /// Why pods cannot have Wisp here, if they cannot.
    pub problem: Option<String>,
}

/// Looks at a node, and changes nothing.
///
/// # Errors
/// [`NodeError::Io`].
pub fn status(node: &Node, config: Option<&Path>) -> Result<Status, NodeError> {
    let versions: Vec<_> = bundle::installed(node)?.iter().map(|bundle| bundle.version().to_owned()).collect();
    let current = bundle::current(node);
    let mut status =
        Status { versions, current, distribution: None, config: None, is_configured: false, problem: None };
    match containerd::find(node, config) {
        Ok(place) => {
            status.distribution = Some(place.distribution);
            status.config = Some(place.file.display().to_string());
            let text = files::read(&node.path(&place.file))?;
            status.is_configured = text.is_some_and(|text| edit::has_block(&text));
        }
        Err(error @ NodeError::Io { .. }) => return Err(error),
        Err(error) => status.problem = Some(error.to_string()),
    }
    let is_whole = status.current.as_ref().is_some_and(|current| status.versions.contains(current));
    if status.problem.is_none() && !(is_whole && status.is_configured) {
        status.problem = Some(missing(&status, is_whole));
    }
    Ok(status)
}

fn missing(status: &Status, is_whole: bool) -> String {
    match (&status.current, status.is_configured) {
        (None, false) => "Wisp is not installed; `wisp node install` does it".to_owned(),
        (Some(current), _) if !is_whole => format!("version {current} is not whole; `wisp node install` completes it"),
        (None, true) => {
            "containerd has the handler, and no version is there for it; `wisp node install` brings one".to_owned()
        }
        (Some(_), _) => "containerd does not have the handler; `wisp node install` writes it".to_owned(),
    }
}
