//! The right answers: the same guest and model in f32, in this process, one text at a time, before anything is measured.
//!
//! They are kept in the cache folder by everything that they depend on, because they cost an inference a text.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};

use wisp_core::{BackendId, Device, Placement, Precision};
use wisp_engine::{BUILTIN_PREFIX, Config, EmbedRequest, Engine, PrecisionChoice};
use wisp_model_store::{Progress, Sha256Digest, Store};

use crate::BenchError;
use crate::expectation::Expectation;
use crate::pool::Pool;

/// Hexadecimal digits of a digest, which stand before the vectors in a file.
const DIGEST_CHARS: usize = 64;

/// Files that are kept; the oldest go.
const FILES_LIMIT: usize = 64;

/// Longest file of references that is read.
const FILE_LIMIT_BYTES: u64 = 1 << 30;

/// Makes references for the deployments of a configuration.
pub struct References<'a> {
    config: Config,
    store: &'a Store,
    progress: &'a dyn Progress,
    runtime: &'a tokio::runtime::Handle,
    /// Started for the first that is not known, and dropped before anything is measured.
    engine: Option<Engine>,
}

impl<'a> References<'a> {
    /// For the deployments of `config`, whose models are run in f32 on the CPU whatever it says.
    #[must_use]
    pub fn new(
        config: &Config,
        store: &'a Store,
        progress: &'a dyn Progress,
        runtime: &'a tokio::runtime::Handle,
    ) -> Self {
        let mut config = config.clone();
        for model in config.models.values_mut() {
            model.placement = BackendId::ALL.map(|backend| Placement { backend, device: Device::Cpu }).to_vec();
            model.precision = PrecisionChoice::Exactly(Precision::F32);
            model.static_shapes = Vec::new();
            model.memory_bytes = None;
        }
        Self { config, store, progress, runtime, engine: None }
    }

    /// The right vectors of a pool by one deployment.
    ///
    /// # Errors
    /// [`BenchError::Reference`] when they cannot be computed.
    pub fn get(&mut self, deployment: &str, pool: &Pool) -> Result<Expectation, BenchError> {
        let min_cosine = self.tolerances(deployment)?;
        let file = self.file(deployment, pool)?;
        if let Some(vectors) = read(&file, pool.texts.len()) {
            return Ok(Expectation { vectors, min_cosine });
        }
        let vectors = self.compute(deployment, pool)?;
        // A folder that cannot be written to costs the next run some seconds.
        let _ = write(&file, &vectors);
        Ok(Expectation { vectors, min_cosine })
    }

    fn compute(&mut self, deployment: &str, pool: &Pool) -> Result<Vec<Vec<f32>>, BenchError> {
        if self.engine.is_none() {
            let started = Engine::start(self.config.clone(), self.store, self.progress);
            self.engine = Some(started.map_err(|error| BenchError::Reference(error.to_string()))?);
        }
        let Some(engine) = self.engine.clone() else { return Ok(Vec::new()) };
        let count = pool.texts.len();
        self.progress.step(&format!("references of {count} {} texts by {deployment} in f32", pool.name), None);
        let mut vectors = Vec::with_capacity(count);
        for text in pool.texts.iter() {
            let request =
                EmbedRequest { deployment: Some(deployment.to_owned()), ..EmbedRequest::texts([text.as_str()]) };
            let answer = self.runtime.block_on(engine.embed(request));
            let answer = answer.map_err(|error| BenchError::Reference(error.to_string()))?;
            vectors.extend(answer.vectors().map(<[f32]>::to_vec));
        }
        self.progress.done(&format!("references of {count} {} texts by {deployment}", pool.name));
        Ok(vectors)
    }

    /// Of several models the widest tolerance: an answer names the last that ran, and more than one may have.
    fn tolerances(&self, deployment: &str) -> Result<BTreeMap<Precision, f64>, BenchError> {
        let mut tolerances: BTreeMap<Precision, f64> = BTreeMap::new();
        for model in self.models(deployment)? {
            for precision in Precision::ALL {
                if let Some(tolerance) = model.manifest.tolerance(precision) {
                    let known = tolerances.entry(precision).or_insert(tolerance.min_cosine);
                    *known = known.min(tolerance.min_cosine);
                }
            }
        }
        Ok(tolerances)
    }

    fn models(&self, deployment: &str) -> Result<Vec<wisp_model_store::Model>, BenchError> {
        let unknown =
            || BenchError::Reference(format!("deployment `{deployment}` is not configured here; give --config"));
        let granted = &self.config.deployments.get(deployment).ok_or_else(unknown)?.models;
        let sources = granted.values().filter_map(|grant| Some(&self.config.models.get(&grant.model)?.source));
        sources.map(|source| Ok(self.store.open(source)?)).collect()
    }

    /// Named after everything that vectors depend on, apart from rounding.
    fn file(&self, deployment: &str, pool: &Pool) -> Result<PathBuf, BenchError> {
        let mut key = format!("wisp-bench references 1\n{}\n", env!("CARGO_PKG_VERSION"));
        for model in self.models(deployment)? {
            key += &format!("{}\n", model.digest());
        }
        let guest = self.config.deployments.get(deployment).map(|deployment| deployment.guest.as_str());
        let guest = guest.unwrap_or_default();
        let module = match guest.strip_prefix(BUILTIN_PREFIX) {
            Some(builtin) => wisp_engine::builtin_guest(builtin).map(<[u8]>::to_vec),
            None => std::fs::read(guest).ok(),
        };
        key += &format!("{}\n", Sha256Digest::of(&module.unwrap_or_default()));
        for text in pool.texts.iter() {
            key += text;
            key += "\n";
        }
        let name = format!("{}.f32", Sha256Digest::of(key.as_bytes()));
        Ok(self.store.home().root().join("bench").join(name))
    }
}

/// The vectors of a file that is what it was when it was written.
fn read(file: &Path, count: usize) -> Option<Vec<Vec<f32>>> {
    if std::fs::metadata(file).ok()?.len() > FILE_LIMIT_BYTES {
        return None;
    }
    let bytes = std::fs::read(file).ok()?;
    let (digest, values) = bytes.split_at_checked(DIGEST_CHARS)?;
    if Sha256Digest::of(values).to_string().as_bytes() != digest || count == 0 || values.len() % (4 * count) != 0 {
        return None;
    }
    let value = |bytes: &[u8]| f32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
    let values: Vec<f32> = values.chunks_exact(4).map(value).collect();
    let dimensions = values.len() / count;
    (dimensions > 0).then(|| values.chunks_exact(dimensions).map(<[f32]>::to_vec).collect())
}

/// Appears whole or not at all.
fn write(file: &Path, vectors: &[Vec<f32>]) -> std::io::Result<()> {
    let Some(folder) = file.parent() else { return Ok(()) };
    std::fs::create_dir_all(folder)?;
    let values: Vec<u8> = vectors.iter().flatten().flat_map(|value| value.to_le_bytes()).collect();
    let mut new = tempfile::NamedTempFile::new_in(folder)?;
    new.write_all(Sha256Digest::of(&values).to_string().as_bytes())?;
    new.write_all(&values)?;
    new.persist(file).map_err(|error| error.error)?;
    forget_oldest(folder)
}

fn forget_oldest(folder: &Path) -> std::io::Result<()> {
    let dated = |entry: std::fs::DirEntry| Some((entry.metadata().ok()?.modified().ok()?, entry.path()));
    let mut files: Vec<_> = std::fs::read_dir(folder)?.filter_map(|entry| dated(entry.ok()?)).collect();
    files.sort();
    let surplus = files.len().saturating_sub(FILES_LIMIT);
    files.iter().take(surplus).try_for_each(|(_, path)| std::fs::remove_file(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_read_back_and_damaged_ones_are_not() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("bench/key.f32");
        let vectors = vec![vec![1.0, 2.0], vec![-3.0, 0.5]];
        write(&file, &vectors).expect("written");
        assert_eq!(read(&file, 2), Some(vectors));
        assert_eq!(read(&file, 3), None, "of another pool");
        let mut bytes = std::fs::read(&file).expect("is there");
        bytes[40] ^= 1;
        std::fs::write(&file, bytes).expect("written");
        assert_eq!(read(&file, 2), None, "damaged");
        assert_eq!(read(&folder.path().join("none"), 2), None);
    }
}
