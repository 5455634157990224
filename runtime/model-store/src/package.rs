//! What a model consists of when it travels: the files that its manifest names, and nothing else of its folder.

use std::path::PathBuf;

use crate::{Model, Progress, Store, StoreError};

/// A file of a model on its way somewhere else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PackagedFile {
    /// Its path in the folder of the model: relative, with `/`.
    pub path: String,
    /// Its bytes.
    pub content: PackagedContent,
}

/// Where the bytes of a file are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PackagedContent {
    /// In memory: manifests, golden vectors, ranges.
    Bytes(Vec<u8>),
    /// In a verified file of this length.
    File {
        /// The file.
        location: PathBuf,
        /// Its length.
        size_bytes: u64,
    },
}

impl PackagedFile {
    /// Its length.
    #[must_use]
    pub fn size_bytes(&self) -> u64 {
        match &self.content {
            PackagedContent::Bytes(bytes) => bytes.len() as u64,
            PackagedContent::File { size_bytes, .. } => *size_bytes,
        }
    }
}

impl Store {
    /// Everything that a folder needs to be this model on another machine, sorted by path: the manifest, its golden vectors
    /// and ranges, and every file, fetched or derived if it is missing and verified.
    ///
    /// # Errors
    /// As [`Store::ensure`].
    pub fn package(&self, model: &Model, progress: &dyn Progress) -> Result<Vec<PackagedFile>, StoreError> {
        let mut files = Vec::new();
        for (path, bytes) in model.small_files()? {
            files.push(PackagedFile { path, content: PackagedContent::Bytes(bytes) });
        }
        for (file, location) in self.ensure_all(model, progress)? {
            let content = PackagedContent::File { location, size_bytes: file.size_bytes };
            files.push(PackagedFile { path: file.path.clone(), content });
        }
        files.sort_unstable_by(|a, b| a.path.cmp(&b.path));
        // A golden vector may be listed among the files as well.
        files.dedup_by(|a, b| a.path == b.path);
        Ok(files)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Access, Home, NoProgress};

    const MANIFEST: &str = r#"
name = "tiny"
version = "1.0.0"
license = "Apache-2.0"
task = "tensors"
description = "Nothing."
sources = [{ file = { path = "." } }]
batching = { batch_axis = 0, max_batch_rows = 1, max_batch_tokens = 1 }
signature = { inputs = [{ name = "in", type = "f32", shape = [1] }], outputs = [{ name = "out", type = "f32", shape = [1] }] }

[[files]]
path = "model.onnx"
format = "onnx"
backends = ["ort"]
size_bytes = 7
"#;

    #[test]
    fn a_package_holds_what_the_manifest_names_and_nothing_else_of_the_folder() {
        let root = tempfile::tempdir().expect("temporary folder");
        let folder = root.path().join("model");
        std::fs::create_dir(&folder).expect("new folder");
        let weights = b"weights";
        let sha256 = crate::Sha256Digest::of(weights);
        let manifest = format!("{MANIFEST}sha256 = \"{sha256}\"\n");
        std::fs::write(folder.join("model.toml"), &manifest).expect("writable");
        std::fs::write(folder.join("model.onnx"), weights).expect("writable");
        std::fs::write(folder.join("notes.txt"), "not part of it").expect("writable");
        let store = Store::new(Home::at(root.path().join("home")), Access::Offline);
        let model = store.open(&folder.display().to_string()).expect("a manifest");
        let package = store.package(&model, &NoProgress).expect("complete");
        let paths: Vec<_> = package.iter().map(|file| (file.path.as_str(), file.size_bytes())).collect();
        assert_eq!(paths, [("model.onnx", 7), ("model.toml", manifest.len() as u64)]);

        std::fs::write(folder.join("model.onnx"), b"weighty").expect("writable");
        let error = store.package(&model, &NoProgress).expect_err("another file");
        assert!(error.to_string().contains("model.onnx is truncated or was replaced"), "{error}");
    }
}
