//! A client of containerd's CRI socket in which every call ends: with an answer, an error, or after a limit.

use std::future::Future;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use tonic::transport::{Channel, Endpoint};
use tonic::{Response, Status};

use api::image_service_client::ImageServiceClient;
use api::runtime_service_client::RuntimeServiceClient;

/// Messages and clients of `runtime.v1`.
#[allow(missing_docs, unreachable_pub, reason = "generated code")]
#[allow(clippy::all, clippy::allow_attributes_without_reason, reason = "generated code")]
pub(crate) mod api {
    tonic::include_proto!("runtime.v1");
}

/// A call that takes longer hangs: the slowest that is meant to work, a first start on a busy machine, takes a few seconds.
pub(crate) const CALL_LIMIT: Duration = Duration::from_secs(40);

/// The CRI of one containerd.
#[derive(Clone, Debug)]
pub(crate) struct Cri {
    runtime: RuntimeServiceClient<Channel>,
    images: ImageServiceClient<Channel>,
}

impl Cri {
    /// Connects to a socket.
    pub(crate) async fn connect(socket: &Path) -> Result<Self> {
        let address = format!("unix:{}", socket.display());
        let channel = Endpoint::from_shared(address)
            .context("the path of the socket is no address")?
            .connect()
            .await
            .with_context(|| format!("cannot connect to {}", socket.display()))?;
        Ok(Self { runtime: RuntimeServiceClient::new(channel.clone()), images: ImageServiceClient::new(channel) })
    }

    /// Name and version of the runtime, `containerd 2.1.9`.
    pub(crate) async fn version(&self) -> Result<String> {
        let request = api::VersionRequest { version: "v1".to_owned() };
        let version = call("Version", self.runtime.clone().version(request)).await?;
        Ok(format!("{} {}", version.runtime_name, version.runtime_version))
    }

    /// Starts a sandbox and returns its id.
    pub(crate) async fn run_sandbox(&self, config: &api::PodSandboxConfig, handler: &str) -> Result<String> {
        let request = api::RunPodSandboxRequest { config: Some(config.clone()), runtime_handler: handler.to_owned() };
        let answer = call("RunPodSandbox", self.runtime.clone().run_pod_sandbox(request)).await?;
        Ok(answer.pod_sandbox_id)
    }

    /// Stops a sandbox, which kills what still runs in it.
    pub(crate) async fn stop_sandbox(&self, id: &str) -> Result<()> {
        let request = api::StopPodSandboxRequest { pod_sandbox_id: id.to_owned() };
        call("StopPodSandbox", self.runtime.clone().stop_pod_sandbox(request)).await.map(drop)
    }

    /// Removes a sandbox with its containers.
    pub(crate) async fn remove_sandbox(&self, id: &str) -> Result<()> {
        let request = api::RemovePodSandboxRequest { pod_sandbox_id: id.to_owned() };
        call("RemovePodSandbox", self.runtime.clone().remove_pod_sandbox(request)).await.map(drop)
    }

    /// Every sandbox there is.
    pub(crate) async fn sandboxes(&self) -> Result<Vec<String>> {
        let request = api::ListPodSandboxRequest {};
        let answer = call("ListPodSandbox", self.runtime.clone().list_pod_sandbox(request)).await?;
        Ok(answer.items.into_iter().map(|sandbox| sandbox.id).collect())
    }

    /// Creates a container and returns its id.
    pub(crate) async fn create(
        &self,
        sandbox: &str,
        config: api::ContainerConfig,
        sandbox_config: &api::PodSandboxConfig,
    ) -> Result<String> {
        let request = api::CreateContainerRequest {
            pod_sandbox_id: sandbox.to_owned(),
            config: Some(config),
            sandbox_config: Some(sandbox_config.clone()),
        };
        Ok(call("CreateContainer", self.runtime.clone().create_container(request)).await?.container_id)
    }

    /// Starts a container.
    pub(crate) async fn start(&self, id: &str) -> Result<()> {
        let request = api::StartContainerRequest { container_id: id.to_owned() };
        call("StartContainer", self.runtime.clone().start_container(request)).await.map(drop)
    }

    /// Sends SIGTERM, and SIGKILL after `grace`; returns when the container has ended.
    pub(crate) async fn stop(&self, id: &str, grace: Duration) -> Result<()> {
        let timeout = i64::try_from(grace.as_secs()).context("the grace is too long")?;
        let request = api::StopContainerRequest { container_id: id.to_owned(), timeout };
        let limit = CALL_LIMIT + grace;
        call_within(limit, "StopContainer", self.runtime.clone().stop_container(request)).await.map(drop)
    }

    /// State, exit code and reason of a container.
    pub(crate) async fn status(&self, id: &str) -> Result<api::ContainerStatus> {
        let request = api::ContainerStatusRequest { container_id: id.to_owned(), verbose: false };
        let answer = call("ContainerStatus", self.runtime.clone().container_status(request)).await?;
        answer.status.context("ContainerStatus answered no status")
    }

    /// The process id of a running container, as the host sees it.
    pub(crate) async fn process(&self, id: &str) -> Result<u32> {
        let request = api::ContainerStatusRequest { container_id: id.to_owned(), verbose: true };
        let answer = call("ContainerStatus", self.runtime.clone().container_status(request)).await?;
        let info = answer.info.get("info").context("ContainerStatus answered no info")?;
        let info: serde_json::Value = serde_json::from_str(info).context("the info of ContainerStatus is no JSON")?;
        let process = info["pid"].as_u64().context("the info of ContainerStatus has no pid")?;
        u32::try_from(process).context("the pid is out of range")
    }

    /// Memory that a container uses, in bytes, and its processor time, in nanoseconds.
    pub(crate) async fn usage(&self, id: &str) -> Result<(u64, u64)> {
        let request = api::ContainerStatsRequest { container_id: id.to_owned() };
        let answer = call("ContainerStats", self.runtime.clone().container_stats(request)).await?;
        let stats = answer.stats.context("ContainerStats answered no stats")?;
        let memory = stats.memory.and_then(|memory| memory.working_set_bytes).context("no memory in the stats")?;
        let time = stats.cpu.and_then(|cpu| cpu.usage_core_nano_seconds).context("no processor time in the stats")?;
        Ok((memory.value, time.value))
    }

    /// Whether containerd's CRI knows an image.
    pub(crate) async fn has_image(&self, name: &str) -> Result<bool> {
        let image = api::ImageSpec { image: name.to_owned(), ..Default::default() };
        let request = api::ImageStatusRequest { image: Some(image) };
        let answer = call("ImageStatus", self.images.clone().image_status(request)).await?;
        Ok(answer.image.is_some())
    }
}

async fn call<T>(name: &str, answer: impl Future<Output = Result<Response<T>, Status>>) -> Result<T> {
    call_within(CALL_LIMIT, name, answer).await
}

async fn call_within<T>(
    limit: Duration,
    name: &str,
    answer: impl Future<Output = Result<Response<T>, Status>>,
) -> Result<T> {
    match tokio::time::timeout(limit, answer).await {
        Ok(Ok(answer)) => Ok(answer.into_inner()),
        Ok(Err(status)) => bail!("{name}: {}", status.message()),
        Err(_) => bail!("{name} hangs: no answer within {} s", limit.as_secs()),
    }
}
