//! Which manifest of an index, and which layers of a manifest, are ours.

use crate::RegistryError;
use crate::document::{Descriptor, Index, Manifest, media};
use crate::unpack::is_tar;

/// Most layers of an image; container runtimes stack no more.
const LAYER_LIMIT: usize = 127;

/// What a manifest holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Layers {
    Module(Descriptor),
    Model(Vec<Descriptor>),
}

/// The entry of an index for WebAssembly, else for this machine, else the only one.
pub(super) fn pick<'a>(index: &'a Index, reference: &str) -> Result<&'a Descriptor, RegistryError> {
    let machine = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    };
    // Signatures and the like are entries for a platform that is none.
    let is_real = |entry: &&Descriptor| entry.platform.as_ref().is_none_or(|platform| platform.os != "unknown");
    let entries: Vec<_> = index.manifests.iter().filter(is_real).collect();
    let of = |architecture: &str| {
        let is_it = |entry: &&&Descriptor| {
            entry.platform.as_ref().is_some_and(|platform| {
                platform.architecture == architecture && (architecture == "wasm" || platform.os == "linux")
            })
        };
        entries.iter().find(is_it).copied()
    };
    let only = || if let [only] = entries[..] { Some(only) } else { None };
    of("wasm").or_else(|| of(machine)).or_else(only).ok_or_else(|| {
        let offered: Vec<_> = entries.iter().map(|entry| offer(entry)).collect();
        RegistryError::Platform {
            reference: reference.to_owned(),
            wanted: format!("wasm or linux/{machine}"),
            offered: if offered.is_empty() { "nothing".to_owned() } else { offered.join(", ") },
        }
    })
}

fn offer(entry: &Descriptor) -> String {
    match &entry.platform {
        Some(platform) => format!("{}/{} ({})", platform.os, platform.architecture, entry.digest),
        None => entry.digest.clone(),
    }
}

/// The module of an artifact, whoever pushed it, or the layers of an image.
pub(super) fn layers(manifest: &Manifest, reference: &str) -> Result<Layers, RegistryError> {
    let unsupported = |found: String| RegistryError::Unsupported { reference: reference.to_owned(), found };
    let is_wasm =
        |layer: &&Descriptor| layer.media_type == media::WASM || media::OLD_WASM.contains(&&*layer.media_type);
    let modules: Vec<_> = manifest.layers.iter().filter(is_wasm).collect();
    match modules[..] {
        [module] => return Ok(Layers::Module(module.clone())),
        [] => {}
        _ => return Err(unsupported(format!("it has {} modules, and one is what a guest is", modules.len()))),
    }
    if manifest.layers.is_empty() {
        return Err(unsupported("it has no layers".to_owned()));
    }
    if manifest.layers.len() > LAYER_LIMIT {
        return Err(unsupported(format!(
            "it has {} layers; at most {LAYER_LIMIT} are unpacked",
            manifest.layers.len()
        )));
    }
    match manifest.layers.iter().find(|layer| !is_tar(&layer.media_type)) {
        Some(layer) => Err(unsupported(format!("a layer is of type `{}`", layer.media_type))),
        None => Ok(Layers::Model(manifest.layers.clone())),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::document::Platform;

    fn entry(platform: Option<(&str, &str)>) -> Descriptor {
        let mut entry = Descriptor::of(media::MANIFEST, format!("{platform:?}").as_bytes());
        entry.platform =
            platform.map(|(os, architecture)| Platform { os: os.to_owned(), architecture: architecture.to_owned() });
        entry
    }

    fn index(platforms: &[Option<(&str, &str)>]) -> Index {
        let manifests = platforms.iter().copied().map(entry).collect();
        Index { schema_version: 2, media_type: None, manifests, annotations: BTreeMap::new() }
    }

    fn manifest(types: &[&str]) -> Manifest {
        let layers = types.iter().map(|media_type| Descriptor::of(media_type, media_type.as_bytes())).collect();
        let config = Descriptor::of("anything", b"{}");
        Manifest { schema_version: 2, media_type: None, config, layers, annotations: BTreeMap::new() }
    }

    #[test]
    fn an_index_is_searched_for_wasm_then_this_machine_then_the_only_entry() {
        let (amd, arm, wasm) = (Some(("linux", "amd64")), Some(("linux", "arm64")), Some(("wasip2", "wasm")));
        let (windows, signature) = (Some(("windows", "amd64")), Some(("unknown", "unknown")));
        let machine = if cfg!(target_arch = "x86_64") { amd } else { arm };
        for (offered, expected) in [
            (vec![amd, arm, wasm], wasm),
            (vec![windows, amd, arm], machine),
            (vec![windows, signature], windows),
            (vec![None], None),
        ] {
            assert_eq!(pick(&index(&offered), "r/x").expect("there is one"), &entry(expected), "{offered:?}");
        }
        let error = pick(&index(&[windows, Some(("linux", "s390x"))]), "r/x").expect_err("neither").to_string();
        assert!(
            error.contains("r/x has nothing for wasm or linux/") && error.contains("linux/s390x (sha256:"),
            "{error}"
        );
        assert!(pick(&index(&[]), "r/x").expect_err("empty").to_string().contains("it offers nothing"));
    }

    #[test]
    fn layers_are_told_apart_by_their_types() {
        for media_type in [media::WASM, media::OLD_WASM[0], media::OLD_WASM[1]] {
            let found = layers(&manifest(&["text/markdown", media_type]), "r/x").expect("one module");
            assert_eq!(found, Layers::Module(Descriptor::of(media_type, media_type.as_bytes())));
        }
        let found = layers(&manifest(&[media::TAR, media::DOCKER_TAR_GZIP]), "r/x").expect("an image");
        assert!(matches!(found, Layers::Model(layers) if layers.len() == 2));
        for (types, reason) in [
            (vec![], "no layers"),
            (vec![media::WASM, media::WASM], "2 modules"),
            (vec!["application/vnd.oci.image.layer.v1.tar+zstd"], "tar+zstd"),
            (vec![media::TAR; 128], "128 layers"),
        ] {
            let error = layers(&manifest(&types), "r/x").expect_err(reason).to_string();
            assert!(error.contains(reason), "{error}");
        }
    }
}
