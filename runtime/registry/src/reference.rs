//! Names of artifacts in registries.

use std::net::Ipv4Addr;

use oci_client::Reference;
use wisp_model_store::{PinnedArtifact, Sha256Digest};

use crate::RegistryError;

/// A reference as a person wrote it, parsed: `REGISTRY/REPOSITORY[:TAG][@sha256:DIGEST]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ArtifactName {
    pub(crate) reference: Reference,
    pinned: Option<Sha256Digest>,
}

impl std::str::FromStr for ArtifactName {
    type Err = RegistryError;

    /// Parses a reference; the `oci:` of configurations may stand before it.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = |reason: String| RegistryError::Reference { reference: text.to_owned(), reason };
        let bare = text.strip_prefix(PinnedArtifact::PREFIX).unwrap_or(text);
        let reference: Reference = bare.parse().map_err(|error| wrong(format!("{error}")))?;
        let pinned = match reference.digest() {
            None => None,
            Some(digest) => {
                let sha256 = Sha256Digest::from_oci(digest);
                let needed = || wrong("its digest is not sha256 in lower-case hexadecimal digits".to_owned());
                Some(sha256.ok_or_else(needed)?)
            }
        };
        Ok(Self { reference, pinned })
    }
}

impl std::fmt::Display for ArtifactName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.reference.fmt(f)
    }
}

impl ArtifactName {
    /// The digest that it is pinned to.
    #[must_use]
    pub fn pinned(&self) -> Option<Sha256Digest> {
        self.pinned
    }

    /// Name of the registry: `host` or `host:port`.
    #[must_use]
    pub fn registry(&self) -> &str {
        self.reference.resolve_registry()
    }

    /// The reference by digest alone, as configurations want it behind `oci:`.
    #[must_use]
    pub fn at(&self, digest: Sha256Digest) -> String {
        format!("{}/{}@sha256:{digest}", self.reference.registry(), self.reference.repository())
    }

    /// The same repository at another manifest.
    pub(crate) fn sibling(&self, digest: Sha256Digest) -> Reference {
        self.reference.clone_with_digest(digest.to_oci())
    }

    /// Whether the registry is on this machine, where TLS protects nothing.
    pub(crate) fn is_loopback(&self) -> bool {
        let registry = self.registry();
        let host = registry.split_once(':').map_or(registry, |(host, _)| host);
        host == "localhost" || host.parse::<Ipv4Addr>().is_ok_and(|address| address.is_loopback())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIGEST: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

    #[test]
    fn parses_what_people_write() {
        let pinned = format!("oci:127.0.0.1:5000/team/embedder:v1@sha256:{DIGEST}");
        for (text, registry, is_loopback, shown) in [
            ("ghcr.io/team/embedder:v1", "ghcr.io", false, "ghcr.io/team/embedder:v1"),
            ("localhost:5000/embedder", "localhost:5000", true, "localhost:5000/embedder:latest"),
            (&pinned, "127.0.0.1:5000", true, &pinned[4..]),
            ("embedder", "index.docker.io", false, "docker.io/library/embedder:latest"),
            ("localhost.evil.example/x", "localhost.evil.example", false, "localhost.evil.example/x:latest"),
        ] {
            let name: ArtifactName = text.parse().expect(text);
            assert_eq!(
                (name.registry(), name.is_loopback(), name.to_string().as_str()),
                (registry, is_loopback, shown)
            );
        }
        let name: ArtifactName = pinned.parse().expect("well formed");
        assert_eq!(name.pinned().map(|digest| digest.to_string()).as_deref(), Some(DIGEST));
        assert_eq!(name.at(name.pinned().expect("pinned")), format!("127.0.0.1:5000/team/embedder@sha256:{DIGEST}"));
    }

    #[test]
    fn refuses_what_is_no_reference() {
        let upper = format!("r.example/x@sha256:{}", DIGEST.to_uppercase());
        let sha512 = format!("r.example/x@sha512:{DIGEST}{DIGEST}");
        for text in
            ["", "r.example/", "r.example/UPPER", "r.example/x:", "r.example/x@sha256:12", "../x", &upper, &sha512]
        {
            let error = text.parse::<ArtifactName>().expect_err(text).to_string();
            assert!(error.contains("REGISTRY/REPOSITORY:TAG"), "{error}");
        }
    }
}
