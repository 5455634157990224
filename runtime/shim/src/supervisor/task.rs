//! The task protocol of containerd (`containerd.task.v3`, and v2 by the same messages): each request becomes a step, a signal
//! or a look at what is known.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use containerd_shim::api::{
    ConnectRequest, ConnectResponse, CreateTaskRequest, CreateTaskResponse, DeleteRequest, DeleteResponse, Empty,
    ExecProcessRequest, KillRequest, PauseRequest, PidsRequest, PidsResponse, ResumeRequest, ShutdownRequest,
    StartRequest, StartResponse, StateRequest, StateResponse, StatsRequest, StatsResponse, Status, UpdateTaskRequest,
    WaitRequest, WaitResponse,
};
use containerd_shim::cgroup::{get_cgroup, update_resources};
use containerd_shim::protos::events::task::{TaskCreate, TaskDelete, TaskIO, TaskPaused, TaskResumed, TaskStart};
use containerd_shim::protos::shim::shim::{CheckpointTaskRequest, CloseIORequest, ResizePtyRequest};
use containerd_shim::protos::ttrpc::{self, Code, get_status};
use containerd_shim::protos::types::task::ProcessInfo;
use containerd_shim::{ExitSignal, Task, TtrpcContext, TtrpcResult};
use log::{info, warn};
use nix::errno::Errno;
use nix::unistd::Pid;
use oci_spec::runtime::LinuxResources;

use crate::options::Options;
use crate::step::{self, Create, Created, KillAll};
use crate::supervisor::container::{Container, Stage, Streams};
use crate::supervisor::containers::Containers;
use crate::supervisor::{stats, steps};

/// Answers containerd for all containers of one pod.
pub(super) struct TaskService {
    containers: Arc<Containers>,
    namespace: String,
    containerd: String,
    exit: Arc<ExitSignal>,
}

impl TaskService {
    /// A service without containers. `exit` is signalled when containerd asks to shut down.
    pub(super) fn new(
        containers: Arc<Containers>,
        namespace: String,
        containerd: String,
        exit: Arc<ExitSignal>,
    ) -> Self {
        Self { containers, namespace, containerd, exit }
    }

    fn container(&self, id: &str, exec_id: &str) -> TtrpcResult<Arc<Container>> {
        if !exec_id.is_empty() {
            return Err(status(Code::NOT_FOUND, format!("container {id} has no process `{exec_id}`")));
        }
        self.containers
            .get(id)
            .ok_or_else(|| status(Code::NOT_FOUND, format!("container {id} is not known to this shim")))
    }

    fn create_request(&self, request: &CreateTaskRequest) -> TtrpcResult<Create> {
        let options = Options::from_request(request.options.as_ref())
            .map_err(|error| status(Code::INVALID_ARGUMENT, error.to_string()))?;
        let mount = |mount: &containerd_shim::protos::types::mount::Mount| step::Mount {
            kind: mount.type_.clone(),
            source: mount.source.clone(),
            options: mount.options.clone(),
        };
        Ok(Create {
            container: step::Container { id: request.id.clone(), bundle: request.bundle.clone().into() },
            namespace: self.namespace.clone(),
            containerd: self.containerd.clone(),
            rootfs: request.rootfs.iter().map(mount).collect(),
            stdin: request.stdin.clone(),
            stdout: request.stdout.clone(),
            stderr: request.stderr.clone(),
            options,
        })
    }
}

#[async_trait]
impl Task for TaskService {
    async fn create(&self, _: &TtrpcContext, request: CreateTaskRequest) -> TtrpcResult<CreateTaskResponse> {
        if request.terminal {
            return Err(status(
                Code::UNIMPLEMENTED,
                "the wisp runtime has no terminals; remove `tty: true` from the container".into(),
            ));
        }
        if self.containers.get(&request.id).is_some() {
            return Err(status(Code::ALREADY_EXISTS, format!("container {} exists already", request.id)));
        }
        let create = self.create_request(&request)?;
        let timeout = Duration::from_secs(create.options.create_timeout_s);
        let created: Created = match steps::run("create", &create, timeout).await {
            Ok(created) => created,
            Err(error) => {
                warn!("container {} was not made: {error}", request.id);
                if let Err(error) = steps::run::<()>("delete", &create.container, steps::STEP_TIMEOUT).await {
                    warn!("what was made of container {} stays: {error}", request.id);
                }
                return Err(status(Code::FAILED_PRECONDITION, error.to_string()));
            }
        };
        let streams = Streams { stdin: request.stdin, stdout: request.stdout, stderr: request.stderr };
        let container = Arc::new(Container::new(create.container, created.pid, streams.clone()));
        let _change = container.change.lock().await;
        self.containers.add(Arc::clone(&container));
        info!("container {} was made, its process is {}", request.id, created.pid);
        let io = TaskIO { stdin: streams.stdin, stdout: streams.stdout, stderr: streams.stderr, ..TaskIO::default() };
        let event = TaskCreate {
            container_id: request.id,
            bundle: request.bundle,
            rootfs: request.rootfs,
            io: Some(io).into(),
            pid: created.pid,
            ..TaskCreate::default()
        };
        self.containers.events.send(event).await;
        Ok(CreateTaskResponse { pid: created.pid, ..CreateTaskResponse::default() })
    }

    async fn start(&self, _: &TtrpcContext, request: StartRequest) -> TtrpcResult<StartResponse> {
        let container = self.container(&request.id, &request.exec_id)?;
        let _change = container.change.lock().await;
        if container.stage() != Stage::Created {
            return Err(status(Code::FAILED_PRECONDITION, format!("container {} was started already", request.id)));
        }
        steps::run::<()>("start", &container.place, steps::STEP_TIMEOUT).await.map_err(failed)?;
        container.enter(Stage::Running);
        let event = TaskStart { container_id: request.id, pid: container.pid, ..TaskStart::default() };
        self.containers.events.send(event).await;
        Ok(StartResponse { pid: container.pid, ..StartResponse::default() })
    }

    async fn kill(&self, _: &TtrpcContext, request: KillRequest) -> TtrpcResult<Empty> {
        let container = self.container(&request.id, &request.exec_id)?;
        let signal = i32::try_from(request.signal).unwrap_or(i32::MAX);
        if request.all {
            let kill = KillAll { container: container.place.clone(), signal };
            steps::run::<()>("kill-all", &kill, steps::STEP_TIMEOUT).await.map_err(failed)?;
            return Ok(Empty::default());
        }
        if matches!(container.stage(), Stage::Stopped { .. }) {
            return Err(status(Code::NOT_FOUND, format!("the process of container {} has ended", request.id)));
        }
        send_signal(container.pid, signal)?;
        Ok(Empty::default())
    }

    async fn delete(&self, _: &TtrpcContext, request: DeleteRequest) -> TtrpcResult<DeleteResponse> {
        let container = self.container(&request.id, &request.exec_id)?;
        match container.stage() {
            Stage::Stopped { .. } => {}
            // What never ran has no end of its own.
            Stage::Created => send_signal(container.pid, nix::libc::SIGKILL)?,
            Stage::Running | Stage::Paused => {
                return Err(status(Code::FAILED_PRECONDITION, format!("container {} runs; stop it first", request.id)));
            }
        }
        let (code, at) = container.ended().await;
        steps::run::<()>("delete", &container.place, steps::STEP_TIMEOUT).await.map_err(failed)?;
        self.containers.remove(&request.id);
        let event = TaskDelete {
            container_id: request.id.clone(),
            id: request.id,
            pid: container.pid,
            exit_status: code,
            exited_at: Some(at.into()).into(),
            ..TaskDelete::default()
        };
        self.containers.events.send(event).await;
        Ok(DeleteResponse {
            pid: container.pid,
            exit_status: code,
            exited_at: Some(at.into()).into(),
            ..DeleteResponse::default()
        })
    }

    async fn wait(&self, _: &TtrpcContext, request: WaitRequest) -> TtrpcResult<WaitResponse> {
        let container = self.container(&request.id, &request.exec_id)?;
        let (code, at) = container.ended().await;
        Ok(WaitResponse { exit_status: code, exited_at: Some(at.into()).into(), ..WaitResponse::default() })
    }

    async fn state(&self, _: &TtrpcContext, request: StateRequest) -> TtrpcResult<StateResponse> {
        let container = self.container(&request.id, &request.exec_id)?;
        let mut response = StateResponse {
            id: request.id,
            bundle: container.place.bundle.display().to_string(),
            pid: container.pid,
            stdin: container.streams.stdin.clone(),
            stdout: container.streams.stdout.clone(),
            stderr: container.streams.stderr.clone(),
            ..StateResponse::default()
        };
        let stage = match container.stage() {
            Stage::Created => Status::CREATED,
            Stage::Running => Status::RUNNING,
            Stage::Paused => Status::PAUSED,
            Stage::Stopped { code, at } => {
                response.exit_status = code;
                response.exited_at = Some(at.into()).into();
                Status::STOPPED
            }
        };
        response.status = stage.into();
        Ok(response)
    }

    async fn pause(&self, _: &TtrpcContext, request: PauseRequest) -> TtrpcResult<Empty> {
        let container = self.container(&request.id, "")?;
        let _change = container.change.lock().await;
        steps::run::<()>("pause", &container.place, steps::STEP_TIMEOUT).await.map_err(failed)?;
        container.enter(Stage::Paused);
        self.containers.events.send(TaskPaused { container_id: request.id, ..TaskPaused::default() }).await;
        Ok(Empty::default())
    }

    async fn resume(&self, _: &TtrpcContext, request: ResumeRequest) -> TtrpcResult<Empty> {
        let container = self.container(&request.id, "")?;
        let _change = container.change.lock().await;
        steps::run::<()>("resume", &container.place, steps::STEP_TIMEOUT).await.map_err(failed)?;
        container.enter(Stage::Running);
        self.containers.events.send(TaskResumed { container_id: request.id, ..TaskResumed::default() }).await;
        Ok(Empty::default())
    }

    async fn pids(&self, _: &TtrpcContext, request: PidsRequest) -> TtrpcResult<PidsResponse> {
        let container = self.container(&request.id, "")?;
        let cgroup = get_cgroup(container.pid)?;
        let pids = cgroup.procs().into_iter().map(|pid| u32::try_from(pid.pid).unwrap_or_default());
        let processes = pids.map(|pid| ProcessInfo { pid, ..ProcessInfo::default() }).collect();
        Ok(PidsResponse { processes, ..PidsResponse::default() })
    }

    async fn stats(&self, _: &TtrpcContext, request: StatsRequest) -> TtrpcResult<StatsResponse> {
        let container = self.container(&request.id, "")?;
        Ok(StatsResponse { stats: Some(stats::of(container.pid)?).into(), ..StatsResponse::default() })
    }

    async fn update(&self, _: &TtrpcContext, request: UpdateTaskRequest) -> TtrpcResult<Empty> {
        let container = self.container(&request.id, "")?;
        let invalid = |reason: String| {
            status(Code::INVALID_ARGUMENT, format!("resources of container {}: {reason}", container.place.id))
        };
        let any = request.resources.as_ref().ok_or_else(|| invalid("none are named".into()))?;
        let resources: LinuxResources =
            serde_json::from_slice(&any.value).map_err(|error| invalid(error.to_string()))?;
        update_resources(&get_cgroup(container.pid)?, &resources)?;
        Ok(Empty::default())
    }

    async fn connect(&self, _: &TtrpcContext, request: ConnectRequest) -> TtrpcResult<ConnectResponse> {
        let container = self.container(&request.id, "")?;
        Ok(ConnectResponse {
            shim_pid: std::process::id(),
            task_pid: container.pid,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            ..ConnectResponse::default()
        })
    }

    async fn shutdown(&self, _: &TtrpcContext, _: ShutdownRequest) -> TtrpcResult<Empty> {
        if self.containers.is_empty() {
            self.exit.signal();
        }
        Ok(Empty::default())
    }

    async fn exec(&self, _: &TtrpcContext, _: ExecProcessRequest) -> TtrpcResult<Empty> {
        let reason =
            "the wisp runtime starts no second process in a container; use gRPC or HTTP probes, not exec probes";
        Err(status(Code::UNIMPLEMENTED, reason.into()))
    }

    async fn resize_pty(&self, _: &TtrpcContext, _: ResizePtyRequest) -> TtrpcResult<Empty> {
        Err(status(Code::UNIMPLEMENTED, "the wisp runtime has no terminals".into()))
    }

    async fn checkpoint(&self, _: &TtrpcContext, _: CheckpointTaskRequest) -> TtrpcResult<Empty> {
        Err(status(
            Code::UNIMPLEMENTED,
            "the wisp runtime makes no checkpoints; a new instance starts in milliseconds".into(),
        ))
    }

    async fn close_io(&self, _: &TtrpcContext, _: CloseIORequest) -> TtrpcResult<Empty> {
        // The container holds its end of standard input itself, so it sees the end when containerd closes the other one.
        Ok(Empty::default())
    }
}

fn send_signal(pid: u32, signal: i32) -> TtrpcResult<()> {
    let signal = nix::sys::signal::Signal::try_from(signal)
        .map_err(|_| status(Code::INVALID_ARGUMENT, format!("{signal} is no signal")))?;
    let pid = Pid::from_raw(i32::try_from(pid).unwrap_or(i32::MAX));
    match nix::sys::signal::kill(pid, signal) {
        Ok(()) => Ok(()),
        Err(Errno::ESRCH) => Err(status(Code::NOT_FOUND, format!("process {pid} has ended"))),
        Err(error) => Err(status(Code::INTERNAL, format!("process {pid} takes no signal: {error}"))),
    }
}

fn failed(error: steps::StepError) -> ttrpc::Error {
    status(Code::INTERNAL, error.to_string())
}

fn status(code: Code, message: String) -> ttrpc::Error {
    ttrpc::Error::RpcStatus(get_status(code, message))
}
