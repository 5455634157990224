//! Modules that are trusted, and those that are not.

use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair};
use tempfile::TempDir;

use super::*;

const MODULE: &[u8] = b"\0asm and so on";

/// A folder with a module, and keys that signed it.
struct Folder(TempDir);

impl Folder {
    fn new() -> Self {
        let folder = Self(tempfile::tempdir().expect("temporary folder"));
        folder.write("guest.wasm", MODULE);
        folder
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, bytes: &[u8]) -> PathBuf {
        std::fs::write(self.path(name), bytes).expect("writable");
        self.path(name)
    }

    fn write_key(&self, name: &str, prefix: &[u8], key: &[u8]) -> PathBuf {
        let der = BASE64.encode([prefix, key].concat());
        self.write(name, format!("-----BEGIN PUBLIC KEY-----\n{der}\n-----END PUBLIC KEY-----\n").as_bytes())
    }

    /// A new key of Ed25519, and its signature of the module.
    fn ed25519(&self, name: &str) -> (PathBuf, Vec<u8>) {
        let pkcs8 = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).expect("a key");
        let pair = Ed25519KeyPair::from_pkcs8(pkcs8.as_ref()).expect("was just made");
        let path = self.write_key(name, ED25519_PREFIX, pair.public_key().as_ref());
        (path, pair.sign(MODULE).as_ref().to_vec())
    }

    /// As [`Folder::ed25519`], on P-256.
    fn p256(&self, name: &str) -> (PathBuf, Vec<u8>) {
        let random = SystemRandom::new();
        let pkcs8 = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &random).expect("a key");
        let pair =
            EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, pkcs8.as_ref(), &random).expect("was just made");
        let path = self.write_key(name, P256_PREFIX, pair.public_key().as_ref());
        (path, pair.sign(&random, MODULE).expect("signs").as_ref().to_vec())
    }

    fn check(&self, signed_by: &[&PathBuf], wasm: &[u8]) -> Result<(), String> {
        let signed_by = signed_by.iter().map(|path| (*path).clone()).collect();
        let trust = TrustConfig { signed_by, ..TrustConfig::default() };
        check(&trust, Some(&self.path("guest.wasm")), wasm).map_err(|error| error.to_string())
    }
}

#[test]
fn a_module_is_trusted_when_one_of_the_keys_signed_it() {
    let folder = Folder::new();
    let (other, _) = folder.ed25519("other.pem");
    for (key, signature) in [folder.ed25519("ed25519.pem"), folder.p256("p256.pem")] {
        let text = BASE64.encode(&signature);
        let broken = format!("{}\n{}\n", &text[..76], &text[76..]);
        for written in [signature.clone(), format!("{text}\n").into_bytes(), broken.into_bytes()] {
            folder.write("guest.wasm.sig", &written);
            folder.check(&[&other, &key], MODULE).expect("is signed");
            let error = folder.check(&[&other], MODULE).expect_err("by another");
            assert!(error.contains("none of the 1 keys"), "{error}");
            let error = folder.check(&[&key], b"\0asm and so forth").expect_err("other bytes");
            assert!(error.contains("for another module"), "{error}");
        }
    }
}

#[test]
fn what_is_missing_or_broken_is_named() {
    let folder = Folder::new();
    let (key, signature) = folder.ed25519("key.pem");
    let error = folder.check(&[&key], MODULE).expect_err("no signature");
    assert!(error.contains("guest.wasm.sig"), "{error}");
    folder.write("guest.wasm.sig", &signature[..63]);
    folder.check(&[&key], MODULE).expect_err("cut off");
    folder.write("guest.wasm.sig", b"");
    folder.check(&[&key], MODULE).expect_err("empty");
    folder.write("guest.wasm.sig", &signature);
    let private = folder.write("private.pem", b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n");
    let error = folder.check(&[&private], MODULE).expect_err("no public key");
    assert!(error.contains("private.pem: no public key in PEM"), "{error}");
    let short = folder.write_key("short.pem", &ED25519_PREFIX[..8], b"");
    let error = folder.check(&[&short], MODULE).expect_err("no key that is known");
    assert!(error.contains("neither Ed25519 nor P-256"), "{error}");
    let cut = folder.write_key("cut.pem", ED25519_PREFIX, &[7; 31]);
    folder.check(&[&cut], MODULE).expect_err("a key of 31 bytes verifies nothing");
}

#[test]
fn the_digest_must_be_the_configured_one() {
    let digest: String = Sha256::digest(MODULE).iter().map(|byte| format!("{byte:02x}")).collect();
    let trust = |digest: String| TrustConfig { digest: Some(digest), ..TrustConfig::default() };
    check(&trust(format!("sha256:{digest}")), None, MODULE).expect("is the one");
    let error = check(&trust(format!("sha256:{}", "0".repeat(64))), None, MODULE).expect_err("another").to_string();
    assert!(error.starts_with(&format!("the module is sha256:{digest}")), "{error}");
}

#[test]
fn a_guest_that_is_no_file_needs_a_named_signature() {
    let folder = Folder::new();
    let (key, signature) = folder.ed25519("key.pem");
    let trust = TrustConfig { signed_by: vec![key], ..TrustConfig::default() };
    assert!(matches!(check(&trust, None, MODULE), Err(TrustError::NoSignature)));
    let signature = Some(folder.write("elsewhere.sig", &signature));
    check(&TrustConfig { signature, ..trust }, None, MODULE).expect("is signed");
}
