//! Certificates: read from files, and read again when those change, without ending a connection.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use rustls::RootCertStore;
use rustls::server::WebPkiClientVerifier;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::TlsAcceptor;
use wisp_engine::{ClientCertificates, TlsConfig};

/// What may follow the handshake (RFC 7301): either version of HTTP.
const PROTOCOLS: [&[u8]; 2] = [b"h2", b"http/1.1"];

/// Why certificates cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read.
    #[error("server.tls.{key}: {}: {source}", .path.display())]
    Read {
        /// The key of the configuration that names the file.
        key: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A file is not what it should be.
    #[error("server.tls.{key}: {}: {reason}", .path.display())]
    Content {
        /// The key of the configuration that names the file.
        key: &'static str,
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// Certificate and key are not of one pair, or not usable.
    #[error("server.tls: {} and {} cannot be used together: {source}", .cert.display(), .key.display())]
    Pair {
        /// The file with the certificates.
        cert: PathBuf,
        /// The file with the private key.
        key: PathBuf,
        /// Why.
        source: rustls::Error,
    },
}

/// What a look at the files found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refresh {
    Unchanged,
    /// New connections use what the files have now.
    Exchanged,
}

/// The certificates of a service.
pub(crate) struct Certificates {
    config: TlsConfig,
    current: ArcSwap<rustls::ServerConfig>,
    files: Mutex<Files>,
}

/// The contents of the files at one time.
#[derive(Clone, PartialEq, Eq)]
struct Files {
    cert: Vec<u8>,
    key: Vec<u8>,
    client_ca: Option<Vec<u8>>,
}

impl Certificates {
    /// Reads and checks the files.
    ///
    /// # Errors
    /// [`TlsError`] naming the file and what is wrong with it.
    pub(crate) fn read(config: &TlsConfig) -> Result<Self, TlsError> {
        let files = Files::read(config)?;
        let current = ArcSwap::from_pointee(server_config(config, &files)?);
        Ok(Self { config: config.clone(), current, files: Mutex::new(files) })
    }

    /// For one new connection.
    pub(crate) fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(self.current.load_full())
    }

    /// Looks at the files again. What was there before stays in use when they cannot be used now: a certificate that is
    /// written before its key is a pair a moment later.
    ///
    /// # Errors
    /// As [`Certificates::read`], for files that have changed; once for each change.
    pub(crate) fn refresh(&self) -> Result<Refresh, TlsError> {
        let files = Files::read(&self.config)?;
        let mut known = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        if files == *known {
            return Ok(Refresh::Unchanged);
        }
        let config = server_config(&self.config, &files);
        *known = files;
        self.current.store(Arc::new(config?));
        Ok(Refresh::Exchanged)
    }
}

impl Files {
    fn read(config: &TlsConfig) -> Result<Self, TlsError> {
        let read = |key, path: &Path| {
            std::fs::read(path).map_err(|source| TlsError::Read { key, path: path.to_owned(), source })
        };
        Ok(Self {
            cert: read("cert", &config.cert)?,
            key: read("key", &config.key)?,
            client_ca: config.client_ca.as_deref().map(|path| read("client_ca", path)).transpose()?,
        })
    }
}

fn server_config(config: &TlsConfig, files: &Files) -> Result<rustls::ServerConfig, TlsError> {
    let chain = certificates("cert", &config.cert, &files.cert)?;
    let content = |path: &Path, reason: String| TlsError::Content { key: "key", path: path.to_owned(), reason };
    let key = PrivateKeyDer::from_pem_slice(&files.key)
        .map_err(|_| content(&config.key, "there is no private key in PEM in it (PKCS #8, PKCS #1 or SEC 1)".into()))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = rustls::ServerConfig::builder_with_provider(Arc::clone(&provider));
    // Whatever the provider can do covers both versions.
    let builder = builder.with_safe_default_protocol_versions().map_err(|source| pair(config, source))?;
    let builder = match (&config.client_ca, &files.client_ca) {
        (Some(path), Some(pem)) => {
            let mut roots = RootCertStore::empty();
            for authority in certificates("client_ca", path, pem)? {
                let failed = |error: rustls::Error| TlsError::Content {
                    key: "client_ca",
                    path: path.clone(),
                    reason: error.to_string(),
                };
                roots.add(authority).map_err(failed)?;
            }
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
            let verifier = match config.client_certificates {
                ClientCertificates::Required => verifier,
                ClientCertificates::Optional => verifier.allow_unauthenticated(),
            };
            let failed = |error: rustls::server::VerifierBuilderError| TlsError::Content {
                key: "client_ca",
                path: path.clone(),
                reason: error.to_string(),
            };
            builder.with_client_cert_verifier(verifier.build().map_err(failed)?)
        }
        _ => builder.with_no_client_auth(),
    };
    let mut server = builder.with_single_cert(chain, key).map_err(|source| pair(config, source))?;
    server.alpn_protocols = PROTOCOLS.map(<[u8]>::to_vec).to_vec();
    Ok(server)
}

fn pair(config: &TlsConfig, source: rustls::Error) -> TlsError {
    TlsError::Pair { cert: config.cert.clone(), key: config.key.clone(), source }
}

fn certificates(key: &'static str, path: &Path, pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let content = |reason: String| TlsError::Content { key, path: path.to_owned(), reason };
    let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    match read {
        Ok(list) if list.is_empty() => Err(content("there is no certificate in PEM in it".to_owned())),
        Ok(list) => Ok(list),
        Err(error) => Err(content(error.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A folder with a certificate and its key.
    struct Pki {
        folder: tempfile::TempDir,
    }

    impl Pki {
        fn new() -> Self {
            let pki = Self { folder: tempfile::tempdir().expect("a folder") };
            pki.write("localhost", true);
            pki
        }

        fn path(&self, name: &str) -> PathBuf {
            self.folder.path().join(name)
        }

        /// Issues another certificate; its key is written only if told so.
        fn write(&self, name: &str, with_key: bool) {
            let issued = rcgen::generate_simple_self_signed([name.to_owned()]).expect("a certificate");
            std::fs::write(self.path("cert.pem"), issued.cert.pem()).expect("writes");
            if with_key {
                std::fs::write(self.path("key.pem"), issued.signing_key.serialize_pem()).expect("writes");
            }
        }

        fn config(&self) -> TlsConfig {
            TlsConfig {
                cert: self.path("cert.pem"),
                key: self.path("key.pem"),
                client_ca: None,
                client_certificates: ClientCertificates::Required,
                admin: false,
            }
        }
    }

    fn error(config: &TlsConfig) -> String {
        Certificates::read(config).err().expect("cannot be used").to_string()
    }

    #[test]
    fn what_cannot_be_used_is_named() {
        let pki = Pki::new();
        let missing = TlsConfig { cert: pki.path("nothing.pem"), ..pki.config() };
        assert!(error(&missing).starts_with("server.tls.cert: "), "{}", error(&missing));
        let swapped = TlsConfig { cert: pki.path("key.pem"), ..pki.config() };
        assert!(error(&swapped).ends_with("there is no certificate in PEM in it"), "{}", error(&swapped));
        let swapped = TlsConfig { key: pki.path("cert.pem"), ..pki.config() };
        assert!(error(&swapped).contains("there is no private key in PEM in it"), "{}", error(&swapped));
        let no_authority = TlsConfig { client_ca: Some(pki.path("key.pem")), ..pki.config() };
        assert!(error(&no_authority).starts_with("server.tls.client_ca: "), "{}", error(&no_authority));
        pki.write("localhost", false);
        assert!(error(&pki.config()).contains("cannot be used together"), "{}", error(&pki.config()));
    }

    #[test]
    fn files_that_change_are_exchanged_and_a_half_written_pair_is_not() {
        let pki = Pki::new();
        let certificates = Certificates::read(&pki.config()).unwrap_or_else(|error| panic!("{error}"));
        let in_use = || Arc::as_ptr(&certificates.current.load_full());
        let before = in_use();
        assert_eq!(certificates.refresh().expect("readable"), Refresh::Unchanged);
        pki.write("localhost", false);
        assert!(certificates.refresh().is_err(), "the key is that of another certificate");
        assert_eq!(certificates.refresh().expect("told once"), Refresh::Unchanged);
        assert_eq!(in_use(), before);
        pki.write("other.example", true);
        assert_eq!(certificates.refresh().expect("a pair"), Refresh::Exchanged);
        assert_ne!(in_use(), before);
    }
}
