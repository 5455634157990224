//! The node's containerd: asked what it takes, started again, and asked over the CRI whether it answers.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use tonic::codegen::http::uri::PathAndQuery;
use tonic::transport::Endpoint;
use tonic_prost::ProstCodec;
use wisp_node::containerd::{self, Place};
use wisp_node::{Daemon, Node};

/// What stands for not starting it again.
const NONE: &str = "none";

/// The namespaces that systemd is in.
const NAMESPACES_OF_THE_FIRST: [&str; 8] = ["--target", "1", "--mount", "--uts", "--ipc", "--net", "--pid", "--"];

/// How long containerd may take until the CRI answers.
const ANSWER_LIMIT: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_millis(200);

/// The part of `runtime.v1.VersionRequest` that is sent.
#[derive(Clone, PartialEq, prost::Message)]
struct VersionRequest {
    #[prost(string, tag = "1")]
    version: String,
}

/// The part of `runtime.v1.VersionResponse` that is read.
#[derive(Clone, PartialEq, prost::Message)]
struct VersionResponse {
    #[prost(string, tag = "2")]
    runtime_name: String,
}

/// Containerd on a node.
pub(super) struct Containerd {
    node: Node,
    restart: Option<String>,
}

impl Containerd {
    pub(super) fn new(node: Node, restart: Option<String>) -> Self {
        Self { node, restart }
    }

    /// Whether it is started again from here.
    pub(super) fn restarts(&self) -> bool {
        self.restart.as_deref() != Some(NONE)
    }

    /// The command of the user, or systemd's; within a container, that of the node.
    fn command(&self, unit: &str) -> Command {
        let mut command;
        match &self.restart {
            Some(text) => {
                command = Command::new("sh");
                command.arg("-c").arg(text.replace("{unit}", unit));
            }
            None if self.node.path("/") == Path::new("/") => {
                command = Command::new("systemctl");
                command.args(["restart", unit]);
            }
            None => {
                // The node's first process is visible to pods with hostPID; its namespaces have its systemd.
                command = Command::new("nsenter");
                command.args(NAMESPACES_OF_THE_FIRST).args(["systemctl", "restart", unit]);
            }
        }
        command
    }
}

impl Daemon for Containerd {
    fn check(&self, config: &Path) -> Result<(), String> {
        let Some(program) = containerd::program(&self.node) else { return Ok(()) };
        let output = Command::new(&program).arg("--config").arg(config).args(["config", "dump"]).output();
        let output = output.map_err(|error| format!("{} cannot be started: {error}", program.display()))?;
        match output.status.success() {
            true => Ok(()),
            false => Err(String::from_utf8_lossy(&output.stderr).trim().to_owned()),
        }
    }

    fn restart(&self, place: &Place) -> Result<(), String> {
        if !self.restarts() {
            return Ok(());
        }
        let mut command = self.command(place.unit);
        let output = command.output().map_err(|error| format!("{command:?} cannot be started: {error}"))?;
        if !output.status.success() {
            return Err(format!("{command:?} failed: {}", String::from_utf8_lossy(&output.stderr).trim()));
        }
        wait_for(&self.node.path(place.socket))
    }
}

/// Waits until the CRI answers: containerd listens before its plugins are loaded, and without the CRI if that cannot be.
fn wait_for(socket: &Path) -> Result<(), String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| error.to_string())?;
    let begun_at = Instant::now();
    loop {
        match runtime.block_on(version(socket)) {
            Ok(()) => return Ok(()),
            Err(error) if begun_at.elapsed() > ANSWER_LIMIT => {
                return Err(format!("the CRI on {} does not answer: {error}", socket.display()));
            }
            Err(_) => std::thread::sleep(PAUSE),
        }
    }
}

async fn version(socket: &Path) -> Result<(), String> {
    let endpoint = Endpoint::try_from(format!("unix://{}", socket.display())).map_err(|error| error.to_string())?;
    let channel = endpoint.timeout(Duration::from_secs(5)).connect().await.map_err(|error| error.to_string())?;
    let mut client = tonic::client::Grpc::new(channel);
    client.ready().await.map_err(|error| error.to_string())?;
    let (request, path) = (VersionRequest::default(), PathAndQuery::from_static("/runtime.v1.RuntimeService/Version"));
    let answer = client.unary(tonic::Request::new(request), path, ProstCodec::<_, VersionResponse>::default()).await;
    let answer = answer.map_err(|status| status.message().to_owned())?.into_inner();
    tracing::debug!(runtime = answer.runtime_name, "the CRI answers");
    Ok(())
}
