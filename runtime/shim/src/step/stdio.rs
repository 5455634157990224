//! Standard streams of a container: the pipes and files that containerd names.

use std::fs::{File, OpenOptions};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::Path;

use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};

use crate::error::{Attempt, Error, Result};

/// Which end of a stream the container holds.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum End {
    /// The container reads.
    Input,
    /// The container writes.
    Output,
}

/// Opens what containerd named: a named pipe, `file://PATH`, or nothing, which is `/dev/null`.
///
/// A pipe without a peer is an error and never a wait.
pub(crate) fn open(name: &str, end: End) -> Result<OwnedFd> {
    let path = match name.split_once("://") {
        _ if name.is_empty() => "/dev/null",
        None | Some(("fifo", _)) => name.trim_start_matches("fifo://"),
        Some(("file", path)) => path,
        Some((scheme, _)) => {
            return Err(Error::Unsupported {
                what: format!("a log of kind `{scheme}://`"),
                remedy: "log to a pipe (as the CRI does) or to file://PATH",
            });
        }
    };
    let mut options = OpenOptions::new();
    options.read(end == End::Input).write(end == End::Output).custom_flags(OFlags::NONBLOCK.bits() as i32);
    if name.starts_with("file://") {
        options.append(true).create(true);
    }
    let file = options.open(path).attempt(|| format!("open the container's stream `{name}`"))?;
    let is_pipe = Path::new(path).metadata().is_ok_and(|metadata| metadata.file_type().is_fifo());
    if is_pipe { blocking(file) } else { Ok(file.into()) }
}

/// Only opening must not wait; a program expects its streams to block.
fn blocking(file: File) -> Result<OwnedFd> {
    let flags = fcntl_getfl(&file).attempt(|| "read the flags of a stream".to_owned())?;
    fcntl_setfl(&file, flags - OFlags::NONBLOCK).attempt(|| "make a stream block".to_owned())?;
    Ok(file.into())
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};

    use super::*;

    #[test]
    fn a_stream_is_nothing_a_file_or_a_pipe_with_a_peer() {
        File::from(open("", End::Output).expect("/dev/null is there")).write_all(b"x").expect("/dev/null takes all");

        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let log = format!("file://{}/log", folder.path().display());
        for _ in 0..2 {
            File::from(open(&log, End::Output).expect("files are made")).write_all(b"a").expect("the file is ours");
        }
        assert_eq!(std::fs::read(folder.path().join("log")).expect("the log is there"), b"aa");

        let pipe = folder.path().join("pipe");
        let made = std::process::Command::new("mkfifo").arg(&pipe).status().expect("coreutils are there");
        assert!(made.success());
        let name = pipe.display().to_string();
        assert!(open(&name, End::Output).is_err(), "nobody reads, and nobody waits for a reader");
        let mut reader = OpenOptions::new()
            .read(true)
            .custom_flags(OFlags::NONBLOCK.bits() as i32)
            .open(&pipe)
            .expect("the pipe is ours");
        File::from(open(&name, End::Output).expect("there is a reader")).write_all(b"b").expect("the pipe has room");
        let mut text = String::new();
        reader.read_to_string(&mut text).expect("one byte and the end");
        assert_eq!(text, "b");
    }

    #[test]
    fn an_unknown_kind_of_log_is_named() {
        let error = open("binary:///bin/logger", End::Output).expect_err("not ours").to_string();
        assert!(error.contains("binary://"), "{error}");
    }
}
