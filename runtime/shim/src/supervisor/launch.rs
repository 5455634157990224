//! The action `start`: brings up the pod's supervisor, or finds it, and tells containerd its address.
//!
//! containerd 2.3 sends a message and expects one. All before it pass flags and environment and take a bare address, by which they
//! know a shim of the task protocol's second version; [`super::serve`] offers both versions.

use std::io::{IsTerminal, Read};
use std::os::unix::net::UnixStream;

use containerd_shim::asynchronous::util::{read_spec, write_str_to_file};
use containerd_shim::bootstrap::{BootstrapParams, BootstrapResult};
use containerd_shim::protos::protobuf::Message;
use containerd_shim::{Error, Flags, StartOpts, spawn};

use crate::supervisor::answer;

/// By this annotation the CRI puts the containers of one pod into one shim.
const SANDBOX_ANNOTATION: &str = "io.kubernetes.cri.sandbox-id";
/// Where containerd tells a shim of its own ttrpc socket.
pub(super) const TTRPC_ADDRESS: &str = "TTRPC_ADDRESS";
/// Bytes that containerd's message may have; its own bound.
const MAX_MESSAGE_BYTES: u64 = 10 << 20;
/// The version of the task protocol that the message names.
const TASK_VERSION: i32 = 3;
/// The file in a bundle in which containerd before 2.0 looks for the address after its own restart, and we when a supervisor died.
pub(super) const ADDRESS_FILE: &str = "address";

/// Starts or finds the supervisor and answers containerd.
pub(super) async fn launch(flags: &Flags) -> Result<(), Error> {
    let message = message(flags)?;
    let speaks_messages = message.is_some();
    let options = message.map_or_else(|| from_flags(flags), StartOpts::from);
    let annotations = read_spec("").await?.annotations().clone().unwrap_or_default();
    let pod = annotations.get(SANDBOX_ANNOTATION).cloned().unwrap_or_else(|| options.id.clone());
    let address = options.socket_address(&pod);
    if UnixStream::connect(address.trim_start_matches("unix://")).is_err() {
        spawn(options, &pod, Vec::new()).await?;
    }
    write_str_to_file(ADDRESS_FILE, &address).await?;
    if speaks_messages {
        let result =
            BootstrapResult { version: TASK_VERSION, address, protocol: "ttrpc".into(), ..BootstrapResult::default() };
        answer(&result.write_to_bytes()?)
    } else {
        answer(address.as_bytes())
    }
}

/// The message on standard input, if there is one and it is for this container. Older versions write options there, which
/// come again with `create`.
fn message(flags: &Flags) -> Result<Option<BootstrapParams>, Error> {
    let stdin = std::io::stdin();
    if stdin.is_terminal() {
        return Ok(None);
    }
    let mut input = Vec::new();
    let read = stdin.lock().take(MAX_MESSAGE_BYTES).read_to_end(&mut input);
    read.map_err(|err| Error::IoError { context: "read containerd's message".into(), err })?;
    let params = BootstrapParams::parse_from_bytes(&input).ok();
    Ok(params
        .filter(|params| !input.is_empty() && params.instance_id == flags.id && params.namespace == flags.namespace))
}

fn from_flags(flags: &Flags) -> StartOpts {
    StartOpts {
        id: flags.id.clone(),
        namespace: flags.namespace.clone(),
        address: flags.address.clone(),
        publish_binary: flags.publish_binary.clone(),
        ttrpc_address: std::env::var(TTRPC_ADDRESS).unwrap_or_default(),
        debug: flags.debug,
        ..StartOpts::default()
    }
}
