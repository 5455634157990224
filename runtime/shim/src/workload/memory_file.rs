//! A file that lives in memory and cannot change any more once it is sealed.

use std::fs::File;
use std::io::Write;
use std::os::fd::{AsRawFd, RawFd};

use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, memfd_create};
use rustix::io::{FdFlags, fcntl_setfd};

use crate::error::{Attempt, Result};

/// An anonymous file, empty and closed on exec until it is filled.
pub(crate) struct MemoryFile(File);

impl MemoryFile {
    /// An empty file, shown as `/memfd:wisp-NAME` in `/proc`.
    pub(crate) fn new(name: &str) -> Result<Self> {
        let descriptor = memfd_create(format!("wisp-{name}"), MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)
            .attempt(|| "make a memory file".to_owned())?;
        Ok(Self(descriptor.into()))
    }

    /// Writes `bytes`, forbids every later change, and lets the file pass through exec. The descriptor stays open until the
    /// process ends, for the program that comes after it.
    pub(crate) fn fill_and_seal(mut self, bytes: &[u8]) -> Result<()> {
        self.0.write_all(bytes).attempt(|| "write a memory file".to_owned())?;
        fcntl_add_seals(&self.0, SealFlags::SHRINK | SealFlags::GROW | SealFlags::WRITE | SealFlags::SEAL)
            .attempt(|| "seal a memory file".to_owned())?;
        rustix::fs::seek(&self.0, rustix::fs::SeekFrom::Start(0)).attempt(|| "rewind a memory file".to_owned())?;
        fcntl_setfd(&self.0, FdFlags::empty()).attempt(|| "let a memory file pass".to_owned())?;
        std::mem::forget(self.0);
        Ok(())
    }
}

impl AsRawFd for MemoryFile {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    #[test]
    fn what_was_sealed_can_be_read_and_never_changed() {
        let file = MemoryFile::new("test").expect("memory files can be made");
        let mut reader = file.0.try_clone().expect("a descriptor is free");
        file.fill_and_seal(b"module").expect("there is memory");
        let mut text = String::new();
        reader.read_to_string(&mut text).expect("it is readable from its start");
        assert_eq!(text, "module");
        assert!(reader.write_all(b"x").is_err(), "sealed against writing");
        assert!(reader.set_len(0).is_err(), "sealed against cutting");
    }
}
