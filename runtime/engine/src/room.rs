//! Whether the memory that a container may have is enough for what it is asked to run.
//!
//! The kernel ends a process that takes more than its control group grants, without a word. So what models and engine take
//! is estimated before anything is loaded, from the sizes of files: a refusal names the figures, an end by the kernel does not.

use std::sync::OnceLock;

use wisp_core::{BackendId, Device, Placement};
use wisp_model_store::{Manifest, ModelFile, Store};

use crate::config::{Config, LoadChoice, ModelConfig, PrecisionChoice, SessionsChoice};
use crate::{PodImage, StartError, cgroup};

/// What the process takes without any model: program, guests, tokenizer, listeners.
const ENGINE_BYTES: u64 = 32 << 20;

/// What compiling a module takes for a moment.
const COMPILING_BYTES: u64 = 40 << 20;

/// What instances and requests take, at least.
const SERVING_BYTES: u64 = 12 << 20;

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
pub(crate) fn check(config: &Config, image: Option<&PodImage>, store: &Store) -> Result<(), StartError> {
    let Some(limit_bytes) = cgroup::memory_limit_bytes() else { return Ok(()) };
    let is_compiled = image.is_some_and(|image| image.code.is_some());
    let engine_bytes = ENGINE_BYTES + if is_compiled { SERVING_BYTES } else { COMPILING_BYTES };
    check_within(limit_bytes, engine_bytes, config, store)
}

fn check_within(limit_bytes: u64, engine_bytes: u64, config: &Config, store: &Store) -> Result<(), StartError> {
    let needs = config.models.iter().filter_map(|(name, model)| {
        // What is wrong with a model is told when it is loaded.
        let manifest = store.open(&model.source).ok()?.manifest;
        need(name, model, &manifest, store)
    });
    let needs: Vec<_> = needs.collect();
    // Those on demand may be alone in memory: for each of them there must be room beside those that stay.
    let is_on_demand = |need: &&ModelNeed| config.models[&need.model].load == LoadChoice::OnDemand;
    let staying: u64 = needs.iter().filter(|need| !is_on_demand(need)).map(|need| need.need_bytes).sum();
    let largest = needs.iter().filter(is_on_demand).map(|need| need.need_bytes).max().unwrap_or(0);
    let need_bytes = engine_bytes + staying + largest;
    if need_bytes <= limit_bytes {
        return Ok(());
    }
    Err(StartError::Room { limit_bytes, need_bytes, engine_bytes, needs })
}

/// The cheapest placement and file of a model; `None` where no file says anything. What is proven for the node already is
/// loaded alone, so that the cheapest file counts, and not the one that a proof begins with.
fn need(name: &str, config: &ModelConfig, manifest: &Manifest, store: &Store) -> Option<ModelNeed> {
    let candidates = config.placement.iter().flat_map(|&placement| {
        let files = manifest.model_files().filter(move |file| file.backends.contains(&placement.backend));
        files.filter(|file| may_be_used(file, config.precision)).map(move |file| (placement, file))
    });
    let needs = candidates.map(|(placement, file)| {
        let sessions = match config.sessions {
            SessionsChoice::Auto => 1,
            SessionsChoice::Exactly(sessions) => u64::try_from(sessions).unwrap_or(u64::MAX),
        };
        let is_compiled = is_compiled(manifest, file, store);
        let need_bytes = session_bytes(placement, file, is_compiled).saturating_mul(sessions);
        ModelNeed {
            model: name.to_owned(),
            placement,
            file: file.path.clone(),
            file_bytes: file.size_bytes,
            need_bytes,
        }
    });
    needs.min_by_key(|need| need.need_bytes)
}

fn may_be_used(file: &ModelFile, choice: PrecisionChoice) -> bool {
    match choice {
        PrecisionChoice::Auto => true,
        PrecisionChoice::Exactly(precision) => file.precision.is_none_or(|own| own == precision),
    }
}

/// Whether one more session fits into what is left, now.
///
/// # Errors
/// In one line, with the figures and the remedy.
pub(crate) fn check_session(
    placement: Placement,
    manifest: &Manifest,
    file: &ModelFile,
    store: &Store,
) -> Result<(), String> {
    static LIMIT: OnceLock<Option<u64>> = OnceLock::new();
    let Some(limit_bytes) = *LIMIT.get_or_init(cgroup::memory_limit_bytes) else { return Ok(()) };
    let need_bytes = session_bytes(placement, file, is_compiled(manifest, file, store));
    fits(limit_bytes, taken_bytes(), need_bytes + SERVING_BYTES, file)
}

fn fits(limit_bytes: u64, taken_bytes: u64, need_bytes: u64, file: &ModelFile) -> Result<(), String> {
    if taken_bytes.saturating_add(need_bytes) <= limit_bytes {
        return Ok(());
    }
    Err(format!(
        "{} needs about {} and {} of the container's memory limit of {} are taken; raise resources.limits.memory to at least \
         {}, or prove the model for the node with `wisp node warm`",
        file.path,
        mib(need_bytes),
        mib(taken_bytes),
        mib(limit_bytes),
        quantity(taken_bytes.saturating_add(need_bytes))
    ))
}

/// Memory of this process that the kernel cannot take back. Source: proc(5), `RssAnon`.
fn taken_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:"));
    let kib: Option<u64> = line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok());
    kib.unwrap_or(0).saturating_mul(1024)
}

/// What a session takes while it is loaded: its library, and the copies that the library makes of weights. Measured with
/// all-MiniLM-L6-v2 in control groups that were made smaller until the kernel ended the process; docs/pod.md has the figures.
fn session_bytes(placement: Placement, file: &ModelFile, is_compiled: bool) -> u64 {
    let (library_bytes, tenths) = match (placement.device, placement.backend, file.precision) {
        (Device::Cpu, BackendId::OpenVino, _) if is_compiled => (40 * MIB, 11),
        (Device::Cpu, BackendId::OpenVino, None) => (40 * MIB, 18),
        // Weights become floating point while the graph is rewritten.
        (Device::Cpu, BackendId::OpenVino, Some(_)) => (40 * MIB, 43),
        (Device::Cpu, BackendId::Ort, None) => (20 * MIB, 18),
        (Device::Cpu, BackendId::Ort, Some(_)) => (20 * MIB, 30),
        (Device::Cpu, BackendId::Candle, _) => (0, 11),
        // The weights pass through on their way to the device.
        _ => (40 * MIB, 10),
    };
    library_bytes + file.size_bytes.saturating_mul(tenths) / 10
}

/// Whether a library has kept what it made of a file: the file's digest ends the name of the folder that it lies in.
fn is_compiled(manifest: &Manifest, file: &ModelFile, store: &Store) -> bool {
    let folders = std::fs::read_dir(store.home().compiled().join(&manifest.name)).into_iter().flatten().flatten();
    let digest = file.sha256.short();
    let mut of_file = folders.filter(|folder| folder.file_name().to_string_lossy().ends_with(&digest.to_string()));
    of_file.any(|folder| std::fs::read_dir(folder.path()).is_ok_and(|mut blobs| blobs.next().is_some()))
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
        check_within(limit_bytes, ENGINE_BYTES + COMPILING_BYTES, &config, &store).err().map(|error| error.to_string())
    }

    #[test]
    fn a_limit_of_32_mib_is_refused_with_figures_and_the_remedy() {
        let message = refused(32 * MIB, "").expect("a model of 90 MB does not fit");
        assert!(message.starts_with("the memory limit of this container is 32 MiB, and about "), "{message}");
        assert!(message.contains("model `all-minilm-l6-v2`") && message.contains("MiB on ort:cpu"), "{message}");
        assert!(message.contains("raise resources.limits.memory to at least 192Mi"), "{message}");
    }

    #[test]
    fn more_sessions_need_more() {
        assert_eq!(refused(512 * MIB, ""), None);
        let text = "[models.all-minilm-l6-v2]\nsessions = 16\n";
        assert!(refused(512 * MIB, text).is_some());
    }

    #[test]
    fn an_exact_precision_counts_the_files_that_it_may_use() {
        let need = |precision: &str| {
            let text =
                format!("[models.all-minilm-l6-v2]\nplacement = [\"openvino:cpu\"]\nprecision = \"{precision}\"\n");
            refused(32 * MIB, &text).expect("does not fit either")
        };
        assert!(need("f32").contains("(model.onnx has 87 MiB)"), "{}", need("f32"));
        assert!(need("int8").contains("(model-int8.onnx has 23 MiB)"), "{}", need("int8"));
    }

    #[test]
    fn a_session_is_refused_where_others_have_taken_its_memory() {
        let store = Store::new(Home::at("/nonexistent"), Access::Sealed);
        let manifest = store.open("all-minilm-l6-v2").expect("is built in").manifest;
        let file = manifest.model_files().find(|file| file.path == "model.onnx").expect("is in it");
        let need_bytes = session_bytes("ort:cpu".parse().expect("a placement"), file, false);
        assert_eq!(fits(256 * MIB, 20 * MIB, need_bytes, file), Ok(()));
        let reason = fits(256 * MIB, 200 * MIB, need_bytes, file).expect_err("does not fit");
        assert!(reason.starts_with("model.onnx needs about 176 MiB and 200 MiB"), "{reason}");
        assert!(reason.contains("at least 384Mi"), "{reason}");
    }

    #[test]
    fn what_the_library_has_compiled_before_needs_less() {
        let home = tempfile::tempdir().expect("temporary folder");
        let store = Store::new(Home::at(home.path()), Access::Offline);
        let manifest = store.open("all-minilm-l6-v2").expect("is built in").manifest;
        let file = manifest.model_files().find(|file| file.path == "model.onnx").expect("is in it");
        let folder = home
            .path()
            .join("compiled")
            .join(&manifest.name)
            .join(format!("openvino-cpu-f32-1-{}", file.sha256.short()));
        std::fs::create_dir_all(&folder).expect("new folder");
        assert!(!is_compiled(&manifest, file, &store), "nothing lies in it");
        std::fs::write(folder.join("1.blob"), "").expect("writable");
        assert!(is_compiled(&manifest, file, &store));
        let placement = "openvino:cpu".parse().expect("a placement");
        assert!(session_bytes(placement, file, true) < session_bytes(placement, file, false));
    }
}
