//! Which certificates of registries are accepted: those of the system, and those of a file.

use std::path::Path;
use std::sync::Once;

use oci_client::client::{Certificate, CertificateEncoding};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

use crate::RegistryError;

/// Certificates of a PEM file.
///
/// # Errors
/// [`RegistryError::Io`] when the file cannot be read, or has no certificate.
pub(crate) fn read_certificates(path: &Path) -> Result<Vec<Certificate>, RegistryError> {
    let failed = |reason: String| RegistryError::io("use certificates of", path)(std::io::Error::other(reason));
    let bytes = std::fs::read(path).map_err(RegistryError::io("read", path))?;
    let mut certificates = Vec::new();
    for certificate in CertificateDer::pem_slice_iter(&bytes) {
        let certificate = certificate.map_err(|error| failed(format!("{error}; give a file in PEM form")))?;
        certificates.push(Certificate { encoding: CertificateEncoding::Der, data: certificate.to_vec() });
    }
    match certificates.is_empty() {
        true => Err(failed(
            "there is none; give a file in PEM form, which begins with -----BEGIN CERTIFICATE-----".to_owned(),
        )),
        false => Ok(certificates),
    }
}

/// Has TLS computed by ring, as everywhere else in Wisp. Another choice of the program stands.
pub(crate) fn install_provider() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // Fails only when the program has chosen before.
        let _ = rustls::crypto::ring::default_provider().install_default();
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_without_a_certificate_is_named() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let path = folder.path().join("ca.pem");
        let error = read_certificates(&path).expect_err("missing").to_string();
        assert!(error.contains("ca.pem"), "{error}");
        for text in ["", "not a certificate", "-----BEGIN CERTIFICATE-----\n!!!\n-----END CERTIFICATE-----\n"] {
            std::fs::write(&path, text).expect("writable");
            let error = read_certificates(&path).expect_err("no certificate").to_string();
            assert!(error.contains("ca.pem") && error.contains("PEM"), "{error}");
        }
    }
}
