//! The models whose manifests, golden vectors and ranges are compiled in, so that the binary needs no source tree.

/// Names of the built-in models.
pub(crate) const NAMES: &[&str] = &["all-minilm-l6-v2"];

/// A model folder of the source tree, less its large files.
#[derive(Debug)]
pub(crate) struct Builtin {
    pub(crate) name: &'static str,
    pub(crate) manifest: &'static str,
    files: &'static [(&'static str, &'static [u8])],
}

static ALL: &[Builtin] = &[Builtin {
    name: "all-minilm-l6-v2",
    manifest: include_str!("../../../models/all-minilm-l6-v2/model.toml"),
    files: &[
        ("golden/sentences.json", include_bytes!("../../../models/all-minilm-l6-v2/golden/sentences.json")),
        ("golden/reference.npy", include_bytes!("../../../models/all-minilm-l6-v2/golden/reference.npy")),
        ("calibration/ranges.json", include_bytes!("../../../models/all-minilm-l6-v2/calibration/ranges.json")),
    ],
}];

impl Builtin {
    /// The built-in model of this name.
    pub(crate) fn find(name: &str) -> Option<&'static Self> {
        ALL.iter().find(|builtin| builtin.name == name)
    }

    /// A small file of its folder.
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
        }
    }
}
