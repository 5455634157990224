//! Whether the memory that a container may have is enough for what it is asked to run.
//!
//! The kernel ends a process that takes more than its control group grants, without a word. So what models and engine take
//! is estimated before anything is loaded, from the sizes of files: a refusal names the figures, an end by the kernel does not.

use wisp_core::{BackendId, Placement};
use wisp_model_store::{Manifest, ModelFile, Store};

use crate::config::{Config, ModelConfig, PrecisionChoice};
use crate::{StartError, cgroup};

/// What the process takes without any model: program, guests, tokenizer, listeners. Measured: 30 MiB resident, of which 12
/// cannot be given back.
const ENGINE_BYTES: u64 = 24 << 20;

const MIB: u64 = 1 << 20;

/// What a model is estimated to take in the process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelNeed {
    /// Its name in the configuration.
    pub model: String,
    /// The cheapest of its placements.
    pub placement: Placement,
    /// The file that it is loaded from.
    pub file: String,
    /// The size of that file.
    pub file_bytes: u64,
    /// The estimate.
    pub need_bytes: u64,
}

/// Refuses what cannot fit into the memory that the control group grants.
///
/// # Errors
/// [`StartError::Room`].
pub(crate) fn check(config: &Config, store: &Store) -> Result<(), StartError> {
    match cgroup::memory_limit_bytes() {
        Some(limit_bytes) => check_within(limit_bytes, config, store),
        None => Ok(()),
    }
}

fn check_within(limit_bytes: u64, config: &Config, store: &Store) -> Result<(), StartError> {
    let needs = config.models.iter().filter_map(|(name, model)| {
        // What is wrong with a model is told when it is loaded.
        let manifest = store.open(&model.source).ok()?.manifest;
        need(name, model, &manifest)
    });
    let needs: Vec<_> = needs.collect();
    let need_bytes = ENGINE_BYTES + needs.iter().map(|need| need.need_bytes).sum::<u64>();
    if need_bytes <= limit_bytes {
        return Ok(());
    }
    Err(StartError::Room { limit_bytes, need_bytes, engine_bytes: ENGINE_BYTES, needs })
}

/// The cheapest placement of a model; `None` where no file says anything.
fn need(name: &str, config: &ModelConfig, manifest: &Manifest) -> Option<ModelNeed> {
    let needs = config.placement.iter().filter_map(|&placement| {
        let file = file(config.precision, placement.backend, manifest)?;
        let sessions = u64::try_from(config.sessions).unwrap_or(u64::MAX);
        let need_bytes = backend_bytes(placement.backend, file.size_bytes, sessions);
        let (model, file_bytes) = (name.to_owned(), file.size_bytes);
        Some(ModelNeed { model, placement, file: file.path.clone(), file_bytes, need_bytes })
    });
    needs.min_by_key(|need| need.need_bytes)
}

/// The file that a backend begins with: `auto` proves the full weights first.
fn file(choice: PrecisionChoice, backend: BackendId, manifest: &Manifest) -> Option<&ModelFile> {
    let files = || manifest.model_files().filter(|file| file.backends.contains(&backend));
    let exact = match choice {
        PrecisionChoice::Exactly(precision) => files().find(|file| file.precision == Some(precision)),
        PrecisionChoice::Auto => None,
    };
    exact.or_else(|| files().find(|file| file.precision.is_none()))
}

/// Anonymous memory of a backend with a model: what its library takes, and its copies of the weights. Measured with
/// all-MiniLM-L6-v2 (90 MB of f32) in control groups that were made smaller until the start failed.
fn backend_bytes(backend: BackendId, file_bytes: u64, sessions: u64) -> u64 {
    let library_bytes = match backend {
        BackendId::OpenVino => 40 * MIB,
        BackendId::Ort => 20 * MIB,
        BackendId::Candle => 0,
    };
    library_bytes + file_bytes.saturating_mul(sessions)
}

/// A figure for messages.
pub(crate) fn mib(bytes: u64) -> String {
    format!("{} MiB", bytes.div_ceil(MIB))
}

/// What to write as a limit: the next multiple of 64 MiB, for estimates are no better than that.
pub(crate) fn quantity(bytes: u64) -> String {
    format!("{}Mi", bytes.next_multiple_of(64 * MIB) / MIB)
}

/// One model with its figures, for messages.
impl std::fmt::Display for ModelNeed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { model, placement, file, file_bytes, need_bytes } = self;
        write!(f, "model `{model}` {} on {placement} ({file} has {})", mib(*need_bytes), mib(*file_bytes))
    }
}

#[cfg(test)]
mod tests {
    use wisp_model_store::{Access, Home};

    use super::*;

    fn refused(limit_bytes: u64, text: &str) -> Option<String> {
        let config = Config::parse(text, std::path::Path::new("wisp.toml")).expect("valid");
        let store = Store::new(Home::at("/nonexistent"), Access::Sealed);
        check_within(limit_bytes, &config, &store).err().map(|error| error.to_string())
    }

    #[test]
    fn a_limit_of_32_mib_is_refused_with_figures_and_the_remedy() {
        let message = refused(32 * MIB, "").expect("a model of 90 MB does not fit");
        assert!(message.starts_with("the memory limit of this container is 32 MiB, and about "), "{message}");
        assert!(message.contains("model `all-minilm-l6-v2`") && message.contains("has 87 MiB"), "{message}");
        assert!(message.contains("raise resources.limits.memory to at least 128Mi"), "{message}");
    }

    #[test]
    fn more_sessions_need_more() {
        assert_eq!(refused(512 * MIB, ""), None);
        let text = "[models.all-minilm-l6-v2]\nsessions = 8\n";
        assert!(refused(512 * MIB, text).is_some());
    }

    #[test]
    fn the_cheapest_placement_counts_and_an_exact_precision_its_own_file() {
        let text = "[models.all-minilm-l6-v2]\nplacement = [\"openvino:cpu\"]\nprecision = \"int8\"\n";
        let message = refused(32 * MIB, text).expect("does not fit either");
        assert!(message.contains("model-int8"), "{message}");
    }
}
