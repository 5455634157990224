//! The supervisor's own process: its socket, its services, its end.

use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::Arc;

use containerd_shim::asynchronous::publisher::RemotePublisher;
use containerd_shim::protos::shim_async::{Task, create_task};
use containerd_shim::protos::ttrpc::r#async::Server;
use containerd_shim::protos::ttrpc::r#async::transport::Listener;
use containerd_shim::{Error, ExitSignal, Flags};
use log::{info, warn};

use crate::supervisor::containers::Containers;
use crate::supervisor::events::Events;
use crate::supervisor::exits;
use crate::supervisor::launch::TTRPC_ADDRESS;
use crate::supervisor::reaper::Reaper;
use crate::supervisor::task::TaskService;

/// The service's name in the second version of the task protocol. Its messages are those of the third.
const TASK_V2: &str = "containerd.task.v2.Task";

/// Serves until containerd asks to shut down.
pub(super) async fn serve(flags: &Flags) -> Result<(), Error> {
    let path = flags.socket.trim_start_matches("unix://").to_owned();
    let Some(listener) = listen(&path)? else {
        // Another supervisor of this pod was faster.
        return tell_parent();
    };
    let reaper = Reaper::install()?;
    containerd_shim::logger::init(flags.debug, "info", &flags.namespace, &flags.id)?;
    let publisher = RemotePublisher::new(std::env::var(TTRPC_ADDRESS)?).await?;
    let exit = Arc::new(ExitSignal::default());
    let containers = Arc::new(Containers::new(Events::new(publisher, flags.namespace.clone())));
    tokio::spawn(exits::watch(Arc::clone(&containers)));
    tokio::spawn(reaper.run());

    let service = TaskService::new(containers, flags.namespace.clone(), flags.address.clone(), Arc::clone(&exit));
    let service: Arc<dyn Task + Send + Sync> = Arc::new(service);
    let v2 = create_task(Arc::clone(&service)).into_values().map(|service| (TASK_V2.to_owned(), service)).collect();
    let mut server = Server::new().add_listener(listener).register_service(create_task(service)).register_service(v2);
    server.start().await?;
    tell_parent()?;
    info!("serving at {path}");
    exit.wait().await;
    if let Err(error) = server.shutdown().await {
        warn!("connections were cut off: {error}");
    }
    // What is left behind would only be found and removed by the next pod of this name, which there is none of.
    let _ = std::fs::remove_file(&path);
    Ok(())
}

/// Binds the pod's socket; `None` where a living supervisor has it.
fn listen(path: &str) -> Result<Option<Listener>, Error> {
    let failed = |err| Error::IoError { context: format!("listen at {path}"), err };
    if let Some(folder) = Path::new(path).parent() {
        std::fs::create_dir_all(folder).map_err(failed)?;
    }
    let listener = match UnixListener::bind(path) {
        Err(error) if error.kind() == std::io::ErrorKind::AddrInUse => {
            if UnixStream::connect(path).is_ok() {
                return Ok(None);
            }
            std::fs::remove_file(path).map_err(failed)?;
            UnixListener::bind(path)
        }
        other => other,
    };
    Ok(Some(Listener::try_from(listener.map_err(failed)?).map_err(failed)?))
}

/// The parent waits for the end of our standard output, and then for nothing more.
fn tell_parent() -> Result<(), Error> {
    nix::unistd::dup2(nix::libc::STDERR_FILENO, nix::libc::STDOUT_FILENO)
        .map(drop)
        .map_err(|error| Error::IoError { context: "tell the parent".into(), err: error.into() })
}
