//! Whether a module is the one that may be compiled: its digest, and who signed it.
//!
//! A signature is detached, over the bytes of the module: 64 bytes of Ed25519 (RFC 8032), or ECDSA over P-256 with SHA-256 in
//! ASN.1, raw or in Base64. Both are what `cosign sign-blob --key` writes; the public key is the PEM file beside its private one.

use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use ring::signature::{ECDSA_P256_SHA256_ASN1, ED25519, UnparsedPublicKey, VerificationAlgorithm};
use rustls_pki_types::SubjectPublicKeyInfoDer;
use rustls_pki_types::pem::PemObject;
use sha2::{Digest, Sha256};

use crate::config::TrustConfig;

/// Start of a public key of Ed25519 in DER, before its 32 bytes. Source: RFC 8410, section 4.
const ED25519_PREFIX: &[u8] = &[0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];

/// Start of an uncompressed public key on P-256 in DER, before its 65 bytes. Source: RFC 5480, section 2.
const P256_PREFIX: &[u8] = &[
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce,
    0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
];

/// Largest signature or key file; real ones have some hundred bytes.
const FILE_LIMIT_BYTES: u64 = 64 << 10;

/// Why a module is not trusted.
#[derive(Debug, thiserror::Error)]
pub enum TrustError {
    /// It is another module.
    #[error(
        "the module is sha256:{found}, and the configuration asks for {expected}; if the change is meant, change `digest`"
    )]
    Digest {
        /// What is configured.
        expected: String,
        /// What the module is.
        found: String,
    },
    /// A key or the signature cannot be read.
    #[error("{}: {reason}", .path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// There is no file to look beside.
    #[error("the guest is no file that a signature could lie beside; name its file under `signature`")]
    NoSignature,
    /// Nobody who may sign has signed these bytes.
    #[error("the signature {} was made by none of the {keys} keys of `signed_by`, or for another module", .path.display())]
    Signature {
        /// The signature.
        path: PathBuf,
        /// How many keys there are.
        keys: usize,
    },
}

/// Checks a module before anything is done with it. `guest` is its file, if it is one.
///
/// # Errors
/// [`TrustError`].
pub(crate) fn check(trust: &TrustConfig, guest: Option<&Path>, wasm: &[u8]) -> Result<(), TrustError> {
    if let Some(expected) = &trust.digest {
        let found: String = Sha256::digest(wasm).iter().map(|byte| format!("{byte:02x}")).collect();
        if expected.strip_prefix("sha256:") != Some(found.as_str()) {
            return Err(TrustError::Digest { expected: expected.clone(), found });
        }
    }
    if trust.signed_by.is_empty() {
        return Ok(());
    }
    let path = match (&trust.signature, guest) {
        (Some(path), _) => path.clone(),
        (None, Some(guest)) => with_extension(guest, "sig"),
        (None, None) => return Err(TrustError::NoSignature),
    };
    let signature = signature(&path)?;
    for key in &trust.signed_by {
        if PublicKey::read(key)?.has_signed(wasm, &signature) {
            return Ok(());
        }
    }
    Err(TrustError::Signature { path, keys: trust.signed_by.len() })
}

/// A key that may sign.
struct PublicKey {
    algorithm: &'static dyn VerificationAlgorithm,
    bytes: Vec<u8>,
}

impl PublicKey {
    fn read(path: &Path) -> Result<Self, TrustError> {
        let failed = |reason: String| TrustError::File { path: path.to_owned(), reason };
        let text = read(path)?;
        let key = SubjectPublicKeyInfoDer::from_pem_slice(&text)
            .map_err(|error| failed(format!("no public key in PEM (-----BEGIN PUBLIC KEY-----): {error}")))?;
        Self::of(key.as_ref()).ok_or_else(|| failed("the key is neither Ed25519 nor P-256 uncompressed".to_owned()))
    }

    fn of(der: &[u8]) -> Option<Self> {
        if let Some(bytes) = der.strip_prefix(ED25519_PREFIX) {
            return Some(Self { algorithm: &ED25519, bytes: bytes.to_vec() });
        }
        let bytes = der.strip_prefix(P256_PREFIX)?;
        Some(Self { algorithm: &ECDSA_P256_SHA256_ASN1, bytes: bytes.to_vec() })
    }

    fn has_signed(&self, wasm: &[u8], signature: &[u8]) -> bool {
        UnparsedPublicKey::new(self.algorithm, &self.bytes).verify(wasm, signature).is_ok()
    }
}

/// The bytes of a signature, which tools write raw or as text.
fn signature(path: &Path) -> Result<Vec<u8>, TrustError> {
    let bytes = read(path)?;
    // Some tools break lines.
    let text = std::str::from_utf8(&bytes).ok().map(|text| text.split_whitespace().collect::<String>());
    let decoded = text.and_then(|text| BASE64.decode(text).ok());
    Ok(decoded.unwrap_or(bytes))
}

fn read(path: &Path) -> Result<Vec<u8>, TrustError> {
    let failed = |reason: String| TrustError::File { path: path.to_owned(), reason };
    let metadata = std::fs::metadata(path).map_err(|error| failed(error.to_string()))?;
    if !metadata.is_file() || metadata.len() > FILE_LIMIT_BYTES {
        return Err(failed(format!("this is no regular file of at most {FILE_LIMIT_BYTES} bytes")));
    }
    std::fs::read(path).map_err(|error| failed(error.to_string()))
}

/// `guest.wasm` with `sig` is `guest.wasm.sig`.
fn with_extension(path: &Path, extension: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".");
    name.push(extension);
    name.into()
}

#[cfg(test)]
mod tests;
