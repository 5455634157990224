//! Puts a bundle onto a node.

use std::path::{Path, PathBuf};

use crate::bundle::{self, Bundle};
use crate::containerd::{self, Form, Handler, Place, edit};
use crate::{Daemon, Node, NodeError, files};

/// The shim's own options, beside the installations.
pub(crate) const OPTIONS: &str = "/opt/wisp/shim.toml";
/// What was there before, for whoever wants to see it.
pub(crate) const BACKUP: &str = "/opt/wisp/containerd-config.before";

/// What an installation did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Installed {
    /// The version that new pods get.
    pub version: String,
    /// The one that they got before.
    pub former: Option<String>,
    /// Whether files were copied.
    pub has_copied: bool,
    /// Where the handler stands.
    pub place: Place,
    /// Whether containerd was restarted, because its configuration changed.
    pub has_restarted: bool,
}

/// Copies a bundle, gives it to new pods, and lets containerd know of it. Older versions stay, for the pods that run on them.
///
/// # Errors
/// [`NodeError`]. New pods have the former version then, and containerd its former configuration.
pub fn install(
    node: &Node,
    bundle: &Bundle,
    config: Option<&Path>,
    systemd_cgroup: Option<bool>,
    daemon: &dyn Daemon,
) -> Result<Installed, NodeError> {
    // First what can be refused without having changed anything.
    let place = containerd::find(node, config)?;
    let handler = handler(node, &place, systemd_cgroup)?;
    let path = node.path(&place.file);
    let before = files::read(&path)?;
    let after = edit::with(&path, before.as_deref(), &place.form, &handler)?;

    let has_copied = bundle.copy_to(node)?;
    let former = bundle::current(node);
    let options = format!("SystemdCgroup = {}\n", handler.systemd_cgroup);
    files::replace(&node.path(OPTIONS), options.as_bytes())?;
    bundle::switch(node, bundle.version())?;
    let has_restarted = before.as_deref() != Some(after.as_str());
    if has_restarted && let Err(error) = change(node, &place, before.as_deref(), Some(&after), daemon) {
        back_to(node, former.as_deref())?;
        return Err(error);
    }
    Ok(Installed { version: bundle.version().to_owned(), former, has_copied, place, has_restarted })
}

/// Puts another text in place of a file, or none, and lets containerd read it; or leaves the former there.
pub(crate) fn change(
    node: &Node,
    place: &Place,
    before: Option<&str>,
    after: Option<&str>,
    daemon: &dyn Daemon,
) -> Result<(), NodeError> {
    let path = node.path(&place.file);
    if let (Form::InPlace, Some(after)) = (&place.form, after) {
        check(&path, after, daemon)?;
    }
    if let Some(before) = before {
        files::replace(&node.path(BACKUP), before.as_bytes())?;
    }
    put(&path, after)?;
    daemon.restart(place).map_err(|reason| {
        let back = put(&path, before).map_err(|error| error.to_string()).and_then(|()| daemon.restart(place));
        let outcome = match back {
            Ok(()) => "and containerd runs with it".to_owned(),
            Err(error) => format!("but containerd does not run: {error}"),
        };
        NodeError::RolledBack { reason, outcome }
    })
}

/// Lets containerd look at a text before it is in place.
fn check(path: &Path, text: &str, daemon: &dyn Daemon) -> Result<(), NodeError> {
    let folder = tempfile::tempdir().map_err(NodeError::io("create a folder in", Path::new("/tmp")))?;
    let draft = folder.path().join("config.toml");
    files::replace(&draft, text.as_bytes())?;
    daemon.check(&draft).map_err(|reason| NodeError::Refused { path: path.to_owned(), reason })
}

/// Writes a file, or removes it.
fn put(path: &Path, text: Option<&str>) -> Result<(), NodeError> {
    match text {
        Some(text) => files::replace(path, text.as_bytes()),
        None => files::remove(path),
    }
}

fn back_to(node: &Node, former: Option<&str>) -> Result<(), NodeError> {
    match former {
        Some(version) => bundle::switch(node, version),
        None => bundle::unlink(node),
    }
}

fn handler(node: &Node, place: &Place, systemd_cgroup: Option<bool>) -> Result<Handler, NodeError> {
    let path = node.path(&place.in_force);
    let in_force = files::read(&path)?;
    let systemd_cgroup = match (systemd_cgroup, &in_force) {
        (Some(systemd_cgroup), _) => systemd_cgroup,
        (None, Some(text)) => edit::has_systemd_cgroups(&path, text)?,
        (None, None) => false,
    };
    // What a distribution puts together has handlers of its own.
    let names_handlers = match (&in_force, place.is_whole()) {
        (Some(text), true) => edit::names_handlers(&path, text)?,
        (None, true) => false,
        (_, false) => true,
    };
    let (shim, options) = (bundle::shim(), PathBuf::from(OPTIONS));
    Ok(Handler { version: place.version, shim, options, systemd_cgroup, names_runc: !names_handlers })
}
