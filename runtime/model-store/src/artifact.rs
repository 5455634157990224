//! Artifacts of registries on this machine: how configuration names one, and where what was pulled of it lies.

use std::path::PathBuf;

use crate::{Home, Sha256Digest};

/// A reference to an artifact by its digest, as configuration writes it: `oci:REGISTRY/REPOSITORY@sha256:DIGEST`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PinnedArtifact {
    reference: String,
    digest: Sha256Digest,
}

/// Why a reference to an artifact cannot be used in a configuration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ArtifactError {
    /// It has no digest, so that what runs could change under it.
    #[error(
        "`oci:{reference}` names no digest, and a tag can be moved; write `oci:{}@sha256:…` with the digest that `wisp pull {reference}` prints",
        without_tag(.reference)
    )]
    NotPinned {
        /// The reference, without `oci:`.
        reference: String,
    },
    /// What stands after `@` is no digest.
    #[error("`oci:{reference}`: `{digest}` is no digest; write sha256: and 64 lower-case hexadecimal digits")]
    Digest {
        /// The reference, without `oci:`.
        reference: String,
        /// What stands after `@`.
        digest: String,
    },
}

impl PinnedArtifact {
    /// How a source in a registry begins.
    pub const PREFIX: &str = "oci:";

    /// The artifact that a source names; `None` for a source of another kind.
    ///
    /// # Errors
    /// [`ArtifactError`] for an artifact that is not pinned by its digest.
    pub fn parse(source: &str) -> Option<Result<Self, ArtifactError>> {
        source.strip_prefix(Self::PREFIX).map(Self::of)
    }

    fn of(reference: &str) -> Result<Self, ArtifactError> {
        let Some((_, digest)) = reference.split_once('@') else {
            return Err(ArtifactError::NotPinned { reference: reference.to_owned() });
        };
        match Sha256Digest::from_oci(digest) {
            Some(sha256) => Ok(Self { reference: reference.to_owned(), digest: sha256 }),
            None => Err(ArtifactError::Digest { reference: reference.to_owned(), digest: digest.to_owned() }),
        }
    }

    /// The reference without `oci:`, as `wisp pull` takes it.
    #[must_use]
    pub fn reference(&self) -> &str {
        &self.reference
    }

    /// The digest of its manifest or index.
    #[must_use]
    pub fn digest(&self) -> Sha256Digest {
        self.digest
    }
}

impl Home {
    /// Artifacts that were pulled from registries, by digest.
    #[must_use]
    pub fn artifacts(&self) -> PathBuf {
        self.root().join("artifacts")
    }

    /// Everything of the artifact whose manifest or index has this digest.
    #[must_use]
    pub fn artifact(&self, digest: Sha256Digest) -> PathBuf {
        self.artifacts().join(digest.to_string())
    }

    /// Where the module of such an artifact lies, or would lie.
    #[must_use]
    pub fn artifact_module(&self, digest: Sha256Digest) -> PathBuf {
        self.artifact(digest).join("module.wasm")
    }

    /// Where the folder of such a model lies, or would lie.
    #[must_use]
    pub fn artifact_model(&self, digest: Sha256Digest) -> PathBuf {
        self.artifact(digest).join("model")
    }
}

/// The reference up to its tag: a colon before a slash belongs to a port.
fn without_tag(reference: &str) -> &str {
    match reference.rsplit_once(':') {
        Some((name, tag)) if !tag.contains('/') => name,
        _ => reference,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIGEST: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

    #[test]
    fn a_pinned_reference_knows_its_digest_and_its_place() {
        let source = format!("oci:127.0.0.1:5000/team/embedder:v1@sha256:{DIGEST}");
        let artifact = PinnedArtifact::parse(&source).expect("an artifact").expect("pinned");
        assert_eq!(artifact.reference(), &source[4..]);
        let module = Home::at("/cache").artifact_module(artifact.digest());
        assert_eq!(module, PathBuf::from(format!("/cache/artifacts/{DIGEST}/module.wasm")));
        assert_eq!(PinnedArtifact::parse("models/minilm"), None);
    }

    #[test]
    fn what_is_not_pinned_is_refused_with_the_remedy() {
        let refused = |source: &str| PinnedArtifact::parse(source).expect("an artifact").expect_err(source).to_string();
        let error = refused("oci:127.0.0.1:5000/embedder:v1");
        assert!(error.contains("`oci:127.0.0.1:5000/embedder@sha256:…`"), "{error}");
        assert!(error.contains("wisp pull 127.0.0.1:5000/embedder:v1"), "{error}");
        let error = refused("oci:127.0.0.1:5000/embedder");
        assert!(error.contains("`oci:127.0.0.1:5000/embedder@sha256:…`"), "{error}");
        for digest in ["sha256:12", "latest", "", &format!("sha256:{DIGEST}@sha256:{DIGEST}"), "sha256:../../x"] {
            let error = refused(&format!("oci:r/x@{digest}"));
            assert!(error.contains("64 lower-case hexadecimal digits"), "{error}");
        }
    }
}
