//! A certificate for loopback, and the authority that signed it.

use std::path::{Path, PathBuf};

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};

/// In PEM form.
pub(crate) struct Certificates {
    authority: String,
    pub(crate) certificate: String,
    pub(crate) key: String,
}

impl Certificates {
    /// New ones for 127.0.0.1, which nobody else vouches for.
    pub(crate) fn new() -> Self {
        let mut authority = CertificateParams::new(Vec::new()).expect("no names");
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority_key = KeyPair::generate().expect("a key");
        let ca = authority.self_signed(&authority_key).expect("a certificate");
        let issuer = Issuer::new(authority, authority_key);
        let key = KeyPair::generate().expect("a key");
        let params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).expect("an address");
        let certificate = params.signed_by(&key, &issuer).expect("signed");
        Self { authority: ca.pem(), certificate: certificate.pem(), key: key.serialize_pem() }
    }

    /// What a registry shows.
    pub(crate) fn tls(&self) -> Option<(&str, &str)> {
        Some((&self.certificate, &self.key))
    }

    /// Writes the authority's certificate, which clients are told to trust.
    pub(crate) fn write_authority(&self, folder: &Path) -> PathBuf {
        let path = folder.join("ca.pem");
        std::fs::write(&path, &self.authority).expect("writable");
        path
    }
}
