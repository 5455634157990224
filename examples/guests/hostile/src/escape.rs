//! Attempts to reach what a sandboxed guest has no business with.

use std::net::TcpStream;

use wisp_guest::{Error, ErrorKind};

/// Tries a file, the environment, arguments, a folder and the network, and reports what came of each:
/// `file: …; dir: …; env: …; args: …; net: …`, where what was refused begins with `refused`.
pub(crate) fn report() -> Error {
    let file = attempt(std::fs::read("/etc/passwd").map(|bytes| format!("read {} bytes", bytes.len())));
    let dir = attempt(std::fs::read_dir("/").map(|entries| format!("listed {} entries", entries.count())));
    let env = format!("{} variables", std::env::vars_os().count());
    let args = format!("{} arguments", std::env::args_os().count());
    let net = attempt(TcpStream::connect("127.0.0.1:1").map(|_| "connected".to_owned()));
    Error::new(ErrorKind::PermissionDenied, format!("file: {file}; dir: {dir}; env: {env}; args: {args}; net: {net}"))
}

fn attempt(result: std::io::Result<String>) -> String {
    result.unwrap_or_else(|error| format!("refused ({error})"))
}
