//! What the tests push and pull, and where.

use std::path::{Path, PathBuf};
use std::time::Duration;

use tempfile::TempDir;
use wisp_model_store::{Access, Home, NoProgress, Store};
use wisp_registry::{ArtifactName, Pulled, Pushed, RegistryError, RegistryOptions, pull, push_module};

/// A cache and a folder of its own, and options that wait for nothing.
pub(crate) struct Bench {
    root: TempDir,
    pub(crate) store: Store,
    pub(crate) options: RegistryOptions,
}

impl Bench {
    pub(crate) fn new() -> Self {
        let root = tempfile::tempdir().expect("temporary folder");
        let store = Store::new(Home::at(root.path().join("home")), Access::Online);
        let options = RegistryOptions {
            first_delay: Duration::from_millis(1),
            docker_config: Some(root.path().join("config.json")),
            ..RegistryOptions::default()
        };
        std::fs::create_dir(root.path().join("work")).expect("new folder");
        Self { root, store, options }
    }

    /// A folder for files of the test.
    pub(crate) fn work(&self) -> PathBuf {
        self.root.path().join("work")
    }

    pub(crate) fn write(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.work().join(name);
        std::fs::write(&path, bytes).expect("writable");
        path
    }

    /// Writes the Docker configuration.
    pub(crate) fn docker_config(&self, text: &str) {
        std::fs::write(self.root.path().join("config.json"), text).expect("writable");
    }

    pub(crate) async fn push(&self, reference: &str, file: &Path) -> Result<Pushed, RegistryError> {
        push_module(&name(reference), file, &self.options, &NoProgress).await
    }

    pub(crate) async fn pull(&self, reference: &str) -> Result<Pulled, RegistryError> {
        pull(&name(reference), None, &self.store, &self.options, &NoProgress).await
    }

    pub(crate) async fn pull_to(&self, reference: &str, output: &Path) -> Result<Pulled, RegistryError> {
        pull(&name(reference), Some(output), &self.store, &self.options, &NoProgress).await
    }
}

pub(crate) fn name(reference: &str) -> ArtifactName {
    reference.parse().expect("a reference")
}

/// A module that does nothing and has so many bytes of a custom section, the same for the same seed.
pub(crate) fn module(payload_bytes: usize, seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15).max(1);
    let payload = std::iter::repeat_with(|| {
        // xorshift64: what cannot be compressed, and needs no crate.
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[3]
    });
    let mut section = vec![4];
    section.extend(b"junk");
    section.extend(payload.take(payload_bytes));
    let mut module = b"\0asm\x01\0\0\0\0".to_vec();
    let mut length = section.len();
    while length >= 0x80 {
        module.push((length & 0x7f) as u8 | 0x80);
        length >>= 7;
    }
    module.push(length as u8);
    module.extend(section);
    module
}

/// The model of the source tree that needs no download.
pub(crate) fn birds() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models/birds-v1")
}
