//! The real model under manifests that are changed for a test, and configurations of it.

use std::path::Path;

use wisp_core::{BackendId, Device, Placement};
use wisp_engine::{Config, PrecisionChoice};
use wisp_model_store::{Access, Home, Store};
use wisp_testing::{MODEL, RealModel};

pub(crate) const ON_OPENVINO: Placement = Placement { backend: BackendId::OpenVino, device: Device::Cpu };
pub(crate) const ON_ORT: Placement = Placement { backend: BackendId::Ort, device: Device::Cpu };

/// A store of its own that finds the libraries of the real one.
pub(crate) fn store_beside(real: &RealModel, folder: &Path) -> Store {
    let libraries = folder.join("libraries");
    if !libraries.exists() {
        std::os::unix::fs::symlink(real.store.home().libraries(), libraries).expect("a link");
    }
    Store::new(Home::at(folder), Access::Offline)
}

/// The real model under another manifest.
pub(crate) fn with_manifest(real: &RealModel, folder: &Path, change: impl Fn(String) -> String) -> String {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models").join(MODEL);
    let changed = folder.join("model");
    for folder in ["golden", "calibration"] {
        std::fs::create_dir_all(changed.join(folder)).expect("a folder");
    }
    for file in ["golden/sentences.json", "golden/reference.npy", "calibration/ranges.json"] {
        std::fs::copy(source.join(file), changed.join(file)).expect("copied");
    }
    let text = std::fs::read_to_string(source.join("model.toml")).expect("the manifest");
    std::fs::write(changed.join("model.toml"), change(text)).expect("written");
    for file in real.store.installed(&real.model) {
        let link = changed.join(&file.path);
        if !link.is_symlink() {
            std::os::unix::fs::symlink(&file.location, link).expect("a link");
        }
    }
    changed.display().to_string()
}

/// The default configuration with this model at one placement.
pub(crate) fn configured(source: &str, placement: Placement, precision: PrecisionChoice) -> Config {
    let mut config = Config::default();
    let model = config.models.get_mut(MODEL).expect("the default model");
    (model.source, model.placement, model.precision) = (source.to_owned(), vec![placement], precision);
    config
}
