//! What a process is started with and did not choose: its environment and the descriptors that it inherits.
//!
//! In a pod the environment comes from whoever wrote the image, and native libraries take settings from it: what they log,
//! what they load, where they look. A pod forgets it before anything reads it. Module and configuration come as sealed
//! memory, because what is sealed cannot change while it is checked.

use std::fs::File;
use std::io::Read;
use std::os::fd::{FromRawFd, OwnedFd, RawFd};
use std::sync::Mutex;

use rustix::fs::SealFlags;

/// Standard input, output and error belong to the process for as long as it lives.
const FIRST_OWN_DESCRIPTOR: RawFd = 3;

/// Descriptors that were taken already.
static TAKEN: Mutex<Vec<RawFd>> = Mutex::new(Vec::new());

/// Why something inherited cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum InheritError {
    /// Other threads run, which may be reading the environment or opening files.
    #[error("the process has {threads} threads already; what it inherited can only be taken before it starts any")]
    Threads {
        /// How many.
        threads: usize,
    },
    /// The descriptor is not one that this process inherited.
    #[error("descriptor {descriptor} cannot be taken: {reason}")]
    Descriptor {
        /// The descriptor.
        descriptor: RawFd,
        /// Why.
        reason: String,
    },
    /// What it holds is longer than allowed.
    #[error("descriptor {descriptor} holds {bytes} bytes; at most {limit_bytes} are read")]
    TooLarge {
        /// The descriptor.
        descriptor: RawFd,
        /// Its length.
        bytes: u64,
        /// The bound.
        limit_bytes: u64,
    },
}

/// Forgets the whole environment: from here on no library of this process finds a variable. Call it first in `main`.
///
/// # Errors
/// [`InheritError::Threads`] when it is too late.
#[expect(unsafe_code, reason = "the C library's environment has no lock")]
pub fn forget_environment() -> Result<(), InheritError> {
    check_single_thread()?;
    let names: Vec<_> = std::env::vars_os().map(|(name, _)| name).collect();
    for name in names {
        // SAFETY: this is the only thread of the process (checked above, and nobody else could start one), so that nobody
        // reads the environment meanwhile.
        unsafe { std::env::remove_var(name) };
    }
    Ok(())
}

/// The content of sealed memory that this process inherited under a number. The descriptor is closed. Call it first in
/// `main`, once a number.
///
/// # Errors
/// [`InheritError::Descriptor`] when there is nothing under this number, or no sealed memory, or it was taken already;
/// [`InheritError::TooLarge`]; [`InheritError::Threads`] when it is too late.
#[expect(unsafe_code, reason = "a number says nothing about who owns the descriptor")]
pub fn take_sealed(descriptor: RawFd, limit_bytes: u64) -> Result<Vec<u8>, InheritError> {
    let refuse = |reason: String| InheritError::Descriptor { descriptor, reason };
    check_single_thread()?;
    if descriptor < FIRST_OWN_DESCRIPTOR {
        return Err(refuse("it is one of the standard streams".to_owned()));
    }
    let mut taken = TAKEN.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    if taken.contains(&descriptor) {
        return Err(refuse("it was taken already".to_owned()));
    }
    if !is_open(descriptor) {
        return Err(refuse("it is not open; pass sealed memory (memfd_create) under this number".to_owned()));
    }
    taken.push(descriptor);
    // SAFETY: it is open, and no other thread can close it. That nobody in this process owns it follows from its being
    // inherited: this function is for the start of `main`, refuses a second call, and below refuses all but sealed memory,
    // which this program never makes for itself.
    let owned = unsafe { OwnedFd::from_raw_fd(descriptor) };
    read(owned, descriptor, limit_bytes)
}

fn read(owned: OwnedFd, descriptor: RawFd, limit_bytes: u64) -> Result<Vec<u8>, InheritError> {
    let refuse = |reason: String| InheritError::Descriptor { descriptor, reason };
    let needed = SealFlags::WRITE | SealFlags::SHRINK | SealFlags::GROW;
    match rustix::fs::fcntl_get_seals(&owned) {
        Ok(seals) if seals.contains(needed) => {}
        Ok(_) => return Err(refuse("it is not sealed against writing, shrinking and growing".to_owned())),
        Err(error) => return Err(refuse(format!("it is no sealed memory: {error}"))),
    }
    // Through a description of its own: the offset of the inherited one is wherever its writer left it.
    let mut file = File::open(format!("/proc/self/fd/{descriptor}"))
        .map_err(|error| refuse(format!("it cannot be opened through /proc: {error}")))?;
    let bytes = file.metadata().map_err(|error| refuse(error.to_string()))?.len();
    if bytes > limit_bytes {
        return Err(InheritError::TooLarge { descriptor, bytes, limit_bytes });
    }
    let mut content = Vec::new();
    file.read_to_end(&mut content).map_err(|error| refuse(error.to_string()))?;
    Ok(content)
}

fn is_open(descriptor: RawFd) -> bool {
    std::fs::symlink_metadata(format!("/proc/self/fd/{descriptor}")).is_ok()
}

fn check_single_thread() -> Result<(), InheritError> {
    // Where the kernel does not tell, nothing is known, and nothing is allowed.
    let threads = std::fs::read_dir("/proc/self/task").map_or(usize::MAX, Iterator::count);
    if threads == 1 { Ok(()) } else { Err(InheritError::Threads { threads }) }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use rustix::fs::MemfdFlags;

    use super::*;

    fn memory(content: &[u8], seals: SealFlags) -> OwnedFd {
        let memory = rustix::fs::memfd_create("test", MemfdFlags::ALLOW_SEALING).expect("memory");
        let mut file = File::from(memory);
        file.write_all(content).expect("writable");
        rustix::fs::fcntl_add_seals(&file, seals).expect("not sealed yet");
        file.into()
    }

    fn taken(content: &[u8], seals: SealFlags, limit_bytes: u64) -> Result<Vec<u8>, InheritError> {
        use std::os::fd::AsRawFd;
        let memory = memory(content, seals);
        let descriptor = memory.as_raw_fd();
        read(memory, descriptor, limit_bytes)
    }

    const SEALED: SealFlags = SealFlags::WRITE.union(SealFlags::SHRINK).union(SealFlags::GROW);

    #[test]
    fn sealed_memory_is_read_from_its_start() {
        assert_eq!(taken(b"module", SEALED, 6).expect("sealed"), b"module");
        assert_eq!(taken(b"", SEALED, 0).expect("sealed"), b"");
    }

    #[test]
    fn what_could_still_change_is_refused() {
        for seals in [SealFlags::empty(), SealFlags::WRITE, SealFlags::SHRINK | SealFlags::GROW] {
            let error = taken(b"module", seals, 6).expect_err("not sealed").to_string();
            assert!(error.contains("is not sealed"), "{error}");
        }
    }

    #[test]
    fn what_is_longer_than_allowed_is_refused_with_both_lengths() {
        let error = taken(b"module", SEALED, 5).expect_err("too long").to_string();
        assert!(error.ends_with("holds 6 bytes; at most 5 are read"), "{error}");
    }

    #[test]
    fn a_process_with_threads_keeps_its_environment() {
        // The test harness has threads of its own.
        let error = std::thread::spawn(forget_environment).join().expect("no panic").expect_err("too late");
        assert!(matches!(error, InheritError::Threads { .. }), "{error}");
        assert!(std::env::vars_os().count() > 0);
    }
}
