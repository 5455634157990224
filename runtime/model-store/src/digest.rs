//! SHA-256 digests of files, as manifests pin them.

use std::io::{self, Read};
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest, Sha256};

/// Bytes read at a time: large enough that the system call vanishes beside the hash.
const CHUNK_BYTES: usize = 256 * 1024;

/// A SHA-256 digest, written as 64 lower-case hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Sha256Digest([u8; 32]);

/// A digest of bytes that come one after the other.
#[derive(Clone, Debug, Default)]
pub struct Sha256Hasher(Sha256);

/// A text that is no digest.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a sha256 digest; write 64 lower-case hexadecimal digits")]
pub struct DigestError(String);

impl Sha256Digest {
    /// The digest of `bytes`.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }

    /// The digest of all that `reader` yields; `advance` hears of every chunk in bytes.
    ///
    /// # Errors
    /// What reading says.
    pub fn of_reader(mut reader: impl Read, mut advance: impl FnMut(u64)) -> io::Result<Self> {
        let mut hasher = Sha256Hasher::default();
        let mut chunk = vec![0; CHUNK_BYTES];
        loop {
            match reader.read(&mut chunk) {
                Ok(0) => return Ok(hasher.finish()),
                Ok(length) => {
                    hasher.update(&chunk[..length]);
                    advance(length as u64);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Reads 64 lower-case hexadecimal digits; `const`, so that pins in the source are checked by the compiler.
    #[must_use]
    pub const fn from_hex(text: &str) -> Option<Self> {
        let text = text.as_bytes();
        if text.len() != 64 {
            return None;
        }
        let mut bytes = [0; 32];
        let mut index = 0;
        while index < 64 {
            let nibble = match text[index] {
                digit @ b'0'..=b'9' => digit - b'0',
                digit @ b'a'..=b'f' => digit - b'a' + 10,
                _ => return None,
            };
            bytes[index / 2] = bytes[index / 2] << 4 | nibble;
            index += 1;
        }
        Some(Self(bytes))
    }

    /// Reads `sha256:` and the digits, as registries write digests (OCI image specification, "Digests"); `None` for every other
    /// algorithm.
    #[must_use]
    pub fn from_oci(text: &str) -> Option<Self> {
        text.strip_prefix("sha256:").and_then(Self::from_hex)
    }

    /// As registries write it.
    #[must_use]
    pub fn to_oci(&self) -> String {
        format!("sha256:{self}")
    }

    /// The first 16 digits: enough to tell versions of one model apart in a folder name.
    #[must_use]
    pub fn short(&self) -> String {
        self.to_string()[..16].to_owned()
    }
}

impl Sha256Hasher {
    /// Takes the next bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// The digest of all of them.
    #[must_use]
    pub fn finish(self) -> Sha256Digest {
        Sha256Digest(self.0.finalize().into())
    }
}

impl FromStr for Sha256Digest {
    type Err = DigestError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::from_hex(text).ok_or_else(|| DigestError(text.to_owned()))
    }
}

impl std::fmt::Display for Sha256Digest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl std::fmt::Debug for Sha256Digest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Sha256Digest({self})")
    }
}

impl Serialize for Sha256Digest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Sha256Digest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// FIPS 180-2, appendix B.1.
    const ABC: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

    #[test]
    fn agrees_with_the_published_example() {
        assert_eq!(Sha256Digest::of(b"abc").to_string(), ABC);
        assert_eq!(Sha256Digest::of_reader(&b"abc"[..], |_| ()).expect("memory"), ABC.parse().expect("64 digits"));
        assert_eq!(Sha256Digest::of(b"abc").short(), "ba7816bf8f01cfea");
    }

    #[test]
    fn counts_every_byte_read() {
        let mut total_bytes = 0;
        let bytes = vec![7; CHUNK_BYTES + 5];
        let digest = Sha256Digest::of_reader(&bytes[..], |count| total_bytes += count).expect("memory");
        assert_eq!((digest, total_bytes), (Sha256Digest::of(&bytes), bytes.len() as u64));
    }

    #[test]
    fn refuses_what_is_not_64_lower_case_digits() {
        for text in ["", "ba78", &ABC.to_uppercase(), &format!("{ABC}0"), &ABC.replace('b', "g")] {
            let error = text.parse::<Sha256Digest>().expect_err(text);
            assert!(error.to_string().contains("64 lower-case hexadecimal digits"), "{error}");
        }
    }

    proptest! {
        #[test]
        fn reads_back_as_written(bytes in any::<[u8; 32]>()) {
            let digest = Sha256Digest(bytes);
            prop_assert_eq!(digest.to_string().parse(), Ok(digest));
        }
    }
}
