//! `wisp node install`, `status` and `uninstall`: Wisp on a node of a cluster.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::Args;
use wisp_node::bundle::Bundle;
use wisp_node::{Node, Status};

use super::daemon::Containerd;
use super::label;
use crate::signals::StopSignals;
use crate::{Format, output};

/// Which node, and how its containerd is started again.
#[derive(Args)]
struct Where {
    /// Where the node's root lies: / on the node itself, or where a container has mounted it.
    #[arg(long, env = "WISP_NODE_ROOT", value_name = "FOLDER", default_value = "/")]
    root: PathBuf,
    /// Containerd's configuration, as a path of the node, where it is none of the usual ones.
    #[arg(long, env = "WISP_CONTAINERD_CONFIG", value_name = "FILE")]
    containerd_config: Option<PathBuf>,
    /// What starts containerd again, by a shell; {unit} is its unit of systemd. Default: `systemctl restart {unit}`, on the node from
    /// within a container that sees its processes. `none` leaves it to you.
    #[arg(long, env = "WISP_NODE_RESTART", value_name = "COMMAND")]
    restart: Option<String>,
    /// The name of this node in the cluster, whose label wisp.dev/runtime then says whether pods can have Wisp here.
    #[arg(long, env = "WISP_NODE_NAME", value_name = "NAME")]
    node_name: Option<String>,
}

/// Options of `wisp node install`.
#[derive(Args)]
pub(crate) struct Install {
    #[command(flatten)]
    place: Where,
    /// The bundle; default: the one that this program belongs to.
    #[arg(long, env = "WISP_NODE_BUNDLE", value_name = "FOLDER")]
    bundle: Option<PathBuf>,
    /// Whether systemd makes control groups; default: as for ordinary containers.
    #[arg(long, env = "WISP_NODE_SYSTEMD_CGROUP", value_name = "BOOL")]
    systemd_cgroup: Option<bool>,
    /// Then wait for the end, as the pods of a DaemonSet do.
    #[arg(long, env = "WISP_NODE_WAIT", value_parser = clap::builder::FalseyValueParser::new(), action = clap::ArgAction::SetTrue)]
    wait: bool,
}

/// Options of `wisp node status`.
#[derive(Args)]
pub(crate) struct ShowStatus {
    #[command(flatten)]
    place: Where,
    /// Form of the result.
    #[arg(long, env = "WISP_FORMAT", default_value = "table", value_name = "FORMAT")]
    format: Format,
}

/// Options of `wisp node uninstall`.
#[derive(Args)]
pub(crate) struct Uninstall {
    #[command(flatten)]
    place: Where,
}

impl Install {
    pub(crate) fn run(self) -> Result<()> {
        let node = Node::at(&self.place.root);
        let folder = self.bundle.map_or_else(own_bundle, Ok)?;
        let bundle = Bundle::open(&folder)?;
        let daemon = self.place.daemon(&node);
        let config = self.place.containerd_config.as_deref();
        let done = wisp_node::install(&node, &bundle, config, self.systemd_cgroup, &daemon)?;
        let former = done.former.filter(|former| *former != done.version);
        let former = former.map(|former| format!(" in place of {former}")).unwrap_or_default();
        let restarted = match (done.has_restarted, daemon.restarts()) {
            (true, true) => "was restarted",
            (true, false) => "must be restarted to know of it",
            (false, _) => "knew of it already",
        };
        let (file, distribution) = (done.place.file.display(), done.place.distribution);
        output::line(format_args!("version {}{former}; {distribution} ({file}) {restarted}", done.version))?;
        if let Some(name) = &self.place.node_name {
            label::set(name, Some(&done.version))?;
        }
        if self.wait { wait() } else { Ok(()) }
    }
}

impl ShowStatus {
    pub(crate) fn run(self) -> Result<()> {
        let status = wisp_node::status(&Node::at(&self.place.root), self.place.containerd_config.as_deref())?;
        if self.format == Format::Json {
            output::line(serde_json::to_string(&status)?)?;
        } else {
            show(&status)?;
        }
        match status.problem {
            None => Ok(()),
            Some(problem) => anyhow::bail!("pods cannot have Wisp on this node: {problem}"),
        }
    }
}

impl Uninstall {
    pub(crate) fn run(self) -> Result<()> {
        // First, so that no pod is sent here any more.
        if let Some(name) = &self.place.node_name {
            label::set(name, None)?;
        }
        let node = Node::at(&self.place.root);
        let daemon = self.place.daemon(&node);
        let done = wisp_node::uninstall(&node, self.place.containerd_config.as_deref(), &daemon)?;
        match done.versions.as_slice() {
            [] => output::line("nothing was installed")?,
            versions => output::line(format_args!("removed: {}", versions.join(", ")))?,
        }
        Ok(())
    }
}

impl Where {
    fn daemon(&self, node: &Node) -> Containerd {
        Containerd::new(node.clone(), self.restart.clone())
    }
}

fn show(status: &Status) -> Result<()> {
    let or_none = |value: Option<&str>| value.unwrap_or("none").to_owned();
    output::line(format_args!(
        "versions:   {}",
        or_none(Some(&*status.versions.join(", ")).filter(|names| !names.is_empty()))
    ))?;
    output::line(format_args!("new pods:   {}", or_none(status.current.as_deref())))?;
    output::line(format_args!("containerd: {}", or_none(status.distribution)))?;
    let written = if status.is_configured { "has the handler" } else { "lacks the handler" };
    if let Some(config) = &status.config {
        output::line(format_args!("{config} {written}"))?;
    }
    Ok(())
}

/// The bundle around this program.
fn own_bundle() -> Result<PathBuf> {
    let program = std::env::current_exe().context("this program does not know where it lies")?;
    let folder = program.parent().and_then(Path::parent).context("this program lies in no bundle")?;
    Ok(folder.to_owned())
}

/// Until the pod is told to stop.
fn wait() -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        StopSignals::listen()?.recv().await;
        Ok(())
    })
}
