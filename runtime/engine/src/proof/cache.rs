//! Results of proofs, kept on disk: a proof holds for one model, library, device and processor, and is not made twice.

use std::io::Write;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use wisp_core::{Placement, Precision};
use wisp_model_store::{Model, ModelFile, Sha256Digest, Store};

use super::Proof;

/// Raised when proofs look at more than they did: older results are then made again.
const REVISION: u32 = 2;

/// The longest file that is read.
const RECORD_LIMIT_BYTES: u64 = 64 << 10;

/// Proofs by key, a file each. What is missing or unreadable is proven again, so nothing here can do harm but be slow.
#[derive(Clone, Debug)]
pub(crate) struct ProofCache {
    folder: PathBuf,
    /// Whether results may be kept.
    may_write: bool,
}

/// Everything that a result depends on.
pub(crate) struct ProofKey<'a> {
    pub(crate) model: &'a Model,
    pub(crate) file: &'a ModelFile,
    pub(crate) placement: Placement,
    /// What the device calls itself: another GPU behind the same index is another device.
    pub(crate) device_name: &'a str,
    pub(crate) precision: Precision,
    pub(crate) library_version: &'a str,
    /// Threads of one inference: how fast a session is depends on them.
    pub(crate) threads: usize,
}

/// A proof and what it is of.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ProofRecord {
    /// Name of the model.
    pub model: String,
    /// Its digest.
    pub model_digest: String,
    /// The model file.
    pub file: String,
    /// Where it ran.
    pub placement: Placement,
    /// The arithmetic.
    pub precision: Precision,
    /// Version of the library that ran it.
    pub library_version: String,
    /// What was found.
    pub outcome: Outcome,
}

/// What came of a proof.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// It may be used.
    Proven(Proof),
    /// It may not.
    Refused {
        /// Why.
        reason: String,
    },
}

impl ProofKey<'_> {
    /// A digest over all of it, with the processor and the tolerances.
    fn digest(&self) -> Sha256Digest {
        let manifest = &self.model.manifest;
        let parts = [
            REVISION.to_string(),
            self.model.digest().to_string(),
            self.file.sha256.to_string(),
            self.placement.to_string(),
            self.device_name.to_owned(),
            self.precision.to_string(),
            self.library_version.to_owned(),
            format!("{:?} {:?} {:?}", manifest.golden, manifest.ragged, manifest.embedding),
            self.threads.to_string(),
            processor(),
            std::env::var("ONEDNN_MAX_CPU_ISA").unwrap_or_default(),
        ];
        Sha256Digest::of(parts.join("\n").as_bytes())
    }
}

impl ProofCache {
    pub(crate) fn of(store: &Store) -> Self {
        Self { folder: store.home().proofs(), may_write: store.may_write() }
    }

    /// The result for this key, if there is one.
    pub(crate) fn get(&self, key: &ProofKey<'_>) -> Option<Outcome> {
        read(&self.file(key)).map(|record| record.outcome)
    }

    /// Keeps a result. A folder that cannot be written costs time at the next start, nothing else.
    pub(crate) fn put(&self, key: &ProofKey<'_>, outcome: &Outcome) {
        if !self.may_write {
            return;
        }
        let record = ProofRecord {
            model: key.model.manifest.name.clone(),
            model_digest: key.model.digest().to_string(),
            file: key.file.path.clone(),
            placement: key.placement,
            precision: key.precision,
            library_version: key.library_version.to_owned(),
            outcome: outcome.clone(),
        };
        let file = self.file(key);
        if let Err(error) = write(&file, &record) {
            tracing::warn!(file = %file.display(), %error, "the result of a proof cannot be kept");
        }
    }

    /// Every result that is kept, in no particular order.
    pub(crate) fn all(&self) -> Vec<ProofRecord> {
        let entries = std::fs::read_dir(&self.folder).into_iter().flatten().flatten();
        entries.filter_map(|entry| read(&entry.path())).collect()
    }

    fn file(&self, key: &ProofKey<'_>) -> PathBuf {
        self.folder.join(format!("{}.json", key.digest()))
    }
}

fn read(file: &Path) -> Option<ProofRecord> {
    let metadata = std::fs::metadata(file).ok()?;
    if metadata.len() > RECORD_LIMIT_BYTES {
        return None;
    }
    serde_json::from_slice(&std::fs::read(file).ok()?).ok()
}

/// Writes whole or not at all: another process may read meanwhile, and the disk may be full.
fn write(file: &Path, record: &ProofRecord) -> std::io::Result<()> {
    let folder = file.parent().unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder)?;
    // Gone by itself when it does not become the file.
    let mut incoming = readable_by_all(&mut tempfile::Builder::new()).tempfile_in(folder)?;
    incoming.write_all(&serde_json::to_vec_pretty(record)?)?;
    incoming.persist(file)?;
    Ok(())
}

/// The cache of a node is written by one user and read by others.
#[cfg(unix)]
fn readable_by_all<'b>(
    builder: &'b mut tempfile::Builder<'static, 'static>,
) -> &'b mut tempfile::Builder<'static, 'static> {
    use std::os::unix::fs::PermissionsExt;
    builder.permissions(std::fs::Permissions::from_mode(0o644))
}

#[cfg(not(unix))]
fn readable_by_all<'b>(
    builder: &'b mut tempfile::Builder<'static, 'static>,
) -> &'b mut tempfile::Builder<'static, 'static> {
    builder
}

/// What the processor is and can do, as the kernel tells it: kernels of libraries depend on it.
fn processor() -> String {
    let text = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let line = |key: &str| text.lines().find(|line| line.starts_with(key)).unwrap_or_default();
    format!("{} {} {} {}", std::env::consts::ARCH, line("model name"), line("flags"), line("Features"))
}
