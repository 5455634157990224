//! Takes Wisp off a node.

use std::path::Path;

use crate::bundle;
use crate::containerd::{self, edit};
use crate::install::{BACKUP, OPTIONS, change};
use crate::{Daemon, Node, NodeError, files};

/// What was taken off.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Uninstalled {
    /// Versions that were removed.
    pub versions: Vec<String>,
    /// Whether containerd was restarted without the handler.
    pub has_restarted: bool,
}

/// Removes the handler, then all versions. Pods that still run keep what they have open, and cannot be started again.
///
/// # Errors
/// [`NodeError`]; what was not removed yet is removed by the next try.
pub fn uninstall(node: &Node, config: Option<&Path>, daemon: &dyn Daemon) -> Result<Uninstalled, NodeError> {
    let mut done = Uninstalled::default();
    let place = match containerd::find(node, config) {
        Ok(place) => Some(place),
        // Where containerd is gone, its configuration needs no care.
        Err(NodeError::NoContainerd { .. }) => None,
        Err(error) => return Err(error),
    };
    if let Some(place) = place {
        let path = node.path(&place.file);
        if let Some(before) = files::read(&path)?.filter(|text| edit::has_block(text)) {
            let after = edit::cleaned(&before, &place.form);
            change(node, &place, Some(&before), after.as_deref(), daemon)?;
            done.has_restarted = true;
        }
    }
    bundle::unlink(node)?;
    for bundle in bundle::installed(node)? {
        bundle::remove(node, bundle.version())?;
        done.versions.push(bundle.version().to_owned());
    }
    bundle::remove_partial(node)?;
    for file in [OPTIONS, BACKUP] {
        files::remove(&node.path(file))?;
    }
    // What somebody else put there stays.
    let _ = std::fs::remove_dir(node.prefix());
    Ok(done)
}
