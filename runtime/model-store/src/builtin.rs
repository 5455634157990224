//! The models whose manifests, golden vectors and ranges are compiled in, so that the binary needs no source tree; and of small
//! models, which nobody offers for download, all files.

/// Names of the built-in models.
pub(crate) const NAMES: &[&str] = &["all-minilm-l6-v2", "birds-v1"];

/// A model folder of the source tree, less the files that are fetched.
#[derive(Debug)]
pub(crate) struct Builtin {
    pub(crate) name: &'static str,
    pub(crate) manifest: &'static str,
    files: &'static [(&'static str, &'static [u8])],
}

static ALL: &[Builtin] = &[ALL_MINILM, BIRDS];

const ALL_MINILM: Builtin = Builtin {
    name: "all-minilm-l6-v2",
    manifest: include_str!("../../../models/all-minilm-l6-v2/model.toml"),
    files: &[
        ("golden/sentences.json", include_bytes!("../../../models/all-minilm-l6-v2/golden/sentences.json")),
        ("golden/reference.npy", include_bytes!("../../../models/all-minilm-l6-v2/golden/reference.npy")),
        ("calibration/ranges.json", include_bytes!("../../../models/all-minilm-l6-v2/calibration/ranges.json")),
    ],
};

const BIRDS: Builtin = Builtin {
    name: "birds-v1",
    manifest: include_str!("../../../models/birds-v1/model.toml"),
    files: &[
        ("birds_v1.tflite", include_bytes!("../../../models/birds-v1/birds_v1.tflite")),
        ("labels.txt", include_bytes!("../../../models/birds-v1/labels.txt")),
        ("golden/input.npy", include_bytes!("../../../models/birds-v1/golden/input.npy")),
        ("golden/output.npy", include_bytes!("../../../models/birds-v1/golden/output.npy")),
    ],
};

impl Builtin {
    /// The built-in model of this name.
    pub(crate) fn find(name: &str) -> Option<&'static Self> {
        ALL.iter().find(|builtin| builtin.name == name)
    }

    /// A file of its folder, if it is compiled in.
    pub(crate) fn file(&self, path: &str) -> Option<&'static [u8]> {
        self.files.iter().find(|(known, _)| *known == path).map(|(_, bytes)| *bytes)
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::Manifest;

    #[test]
    fn every_name_has_a_manifest_of_that_name() {
        assert_eq!(NAMES.len(), ALL.len());
        for name in NAMES {
            let builtin = Builtin::find(name).expect("listed");
            let manifest = Manifest::parse(builtin.manifest, Path::new("model.toml")).expect("in the source tree");
            assert_eq!(manifest.name, *name);
            let golden = manifest.golden.expect("built-in models are proven");
            assert!(golden.answers.files().into_iter().all(|path| builtin.file(path).is_some()));
            let mut ranges = manifest.files.iter().filter_map(|file| file.derived.as_ref()?.ranges.as_deref());
            assert!(ranges.all(|path| builtin.file(path).is_some()));
            for file in &manifest.files {
                let same = builtin.file(&file.path).is_none_or(|bytes| crate::Sha256Digest::of(bytes) == file.sha256);
                assert!(same, "{name}: {} is not the file of the manifest", file.path);
            }
        }
    }
}
