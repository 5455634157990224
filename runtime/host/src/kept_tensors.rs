//! Tensors that are kept for a deployment from one request to the next, within a bound.
//!
//! What was not asked for the longest goes first. Each entry counts with its key and what it takes besides, and its bytes are its
//! own: an output of an inference may be a small part of a large buffer, which would be kept alive unseen.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use wisp_core::aligned::AlignedBuffer;
use wisp_core::{ErrorKind, Kinded, Tensor, TensorError};

/// Longest key: some pages of text.
const KEY_LIMIT_BYTES: usize = 4 << 10;

/// What an entry takes besides key and data: two map entries, and the tensor's own fields.
const ENTRY_BYTES: usize = 256;

/// How much a deployment may keep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StateLimits {
    /// Bytes of all entries, keys included; 0 keeps nothing.
    pub bytes: usize,
    /// Entries.
    pub entries: usize,
}

/// What was kept, asked for and dropped since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StateFigures {
    /// Entries that are kept now.
    pub entries: usize,
    /// Their bytes.
    pub bytes: usize,
    /// Questions that were answered.
    pub hits: u64,
    /// Questions for what is not there.
    pub misses: u64,
    /// Entries that made room for others.
    pub evictions: u64,
}

/// The tensors of one deployment. Shared by all its instances.
pub struct KeptTensors {
    limits: StateLimits,
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    entries: HashMap<Arc<str>, Entry>,
    /// Keys by when they were used last, the longest ago first.
    by_use: BTreeMap<u64, Arc<str>>,
    clock: u64,
    figures: StateFigures,
}

struct Entry {
    tensor: Tensor,
    bytes: usize,
    used_at: u64,
}

/// Why a tensor is not kept.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum StateError {
    /// The deployment may keep nothing.
    #[error("deployment `{deployment}` keeps no state; set limits.state_bytes under [deployments.{deployment}]")]
    Off { deployment: String },
    /// The key is too long.
    #[error("a key has {bytes} bytes; at most {KEY_LIMIT_BYTES} are taken")]
    Key { bytes: usize },
    /// It would not fit if it were alone.
    #[error("a tensor of {bytes} bytes cannot be kept; at most {limit_bytes} are (limits.state_bytes)")]
    TooLarge { bytes: usize, limit_bytes: usize },
    /// Bytes and shape disagree.
    #[error("{0}")]
    Malformed(#[from] TensorError),
}

impl Kinded for StateError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Off { .. } => ErrorKind::Unsupported,
            Self::Key { .. } | Self::TooLarge { .. } => ErrorKind::TooLarge,
            Self::Malformed(_) => ErrorKind::InvalidArgument,
        }
    }
}

impl KeptTensors {
    /// Nothing yet, and never more than `limits`.
    #[must_use]
    pub fn within(limits: StateLimits) -> Self {
        Self { limits, inner: Mutex::default() }
    }

    /// What happened so far.
    #[must_use]
    pub fn figures(&self) -> StateFigures {
        self.locked().figures
    }

    pub(crate) fn put(&self, key: &str, tensor: &Tensor) -> Result<(), StateError> {
        if key.len() > KEY_LIMIT_BYTES {
            return Err(StateError::Key { bytes: key.len() });
        }
        let axes_bytes = size_of_val(tensor.shape());
        let bytes = key.len().saturating_add(tensor.data().len()).saturating_add(axes_bytes + ENTRY_BYTES);
        if bytes > self.limits.bytes || self.limits.entries == 0 {
            return Err(StateError::TooLarge { bytes, limit_bytes: self.limits.bytes });
        }
        // Copied before anybody waits for the lock.
        let data = AlignedBuffer::copy_of(tensor.data()).freeze();
        let tensor = Tensor::new(tensor.data_type(), tensor.shape(), data)?;
        let mut inner = self.locked();
        inner.remove(key);
        while inner.figures.bytes + bytes > self.limits.bytes || inner.figures.entries >= self.limits.entries {
            inner.remove_oldest();
        }
        inner.insert(key, tensor, bytes);
        Ok(())
    }

    pub(crate) fn get(&self, key: &str) -> Option<Tensor> {
        let mut inner = self.locked();
        let found = inner.touch(key);
        match found {
            Some(_) => inner.figures.hits += 1,
            None => inner.figures.misses += 1,
        }
        found
    }

    pub(crate) fn evict(&self, key: &str) -> bool {
        self.locked().remove(key)
    }

    fn locked(&self) -> std::sync::MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn insert(&mut self, key: &str, tensor: Tensor, bytes: usize) {
        let (key, used_at): (Arc<str>, u64) = (key.into(), self.tick());
        self.by_use.insert(used_at, Arc::clone(&key));
        self.entries.insert(key, Entry { tensor, bytes, used_at });
        self.figures.entries += 1;
        self.figures.bytes += bytes;
    }

    /// The tensor of a key, which is now the one that was used last.
    fn touch(&mut self, key: &str) -> Option<Tensor> {
        let now = self.tick();
        let entry = self.entries.get_mut(key)?;
        if let Some(key) = self.by_use.remove(&entry.used_at) {
            self.by_use.insert(now, key);
        }
        entry.used_at = now;
        Some(entry.tensor.clone())
    }

    fn remove(&mut self, key: &str) -> bool {
        let Some(entry) = self.entries.remove(key) else { return false };
        self.by_use.remove(&entry.used_at);
        self.figures.entries -= 1;
        self.figures.bytes -= entry.bytes;
        true
    }

    fn remove_oldest(&mut self) {
        if let Some((_, key)) = self.by_use.pop_first() {
            self.remove(&key);
            self.figures.evictions += 1;
        }
    }

    fn tick(&mut self) -> u64 {
        self.clock += 1;
        self.clock
    }
}

impl std::fmt::Debug for KeptTensors {
    /// Figures only: keys and tensors may be users' data.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KeptTensors").field("limits", &self.limits).field("figures", &self.figures()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tensor(values: &[f32]) -> Tensor {
        Tensor::from_slice(&[values.len()], values).expect("as many values as the shape has")
    }

    /// Room for so many vectors of four floats under keys of one letter.
    fn room_for(vectors: usize) -> KeptTensors {
        KeptTensors::within(StateLimits { bytes: vectors * (1 + 16 + size_of::<usize>() + ENTRY_BYTES), entries: 100 })
    }

    #[test]
    fn gives_back_what_was_put_and_counts() {
        let kept = room_for(2);
        assert_eq!(kept.get("a"), None);
        kept.put("a", &tensor(&[1.0, 2.0, 3.0, 4.0])).expect("fits");
        assert_eq!(kept.get("a"), Some(tensor(&[1.0, 2.0, 3.0, 4.0])));
        kept.put("a", &tensor(&[5.0])).expect("takes the place of the other");
        assert_eq!(kept.get("a"), Some(tensor(&[5.0])));
        let figures = kept.figures();
        assert_eq!((figures.entries, figures.hits, figures.misses, figures.evictions), (1, 2, 1, 0));
        assert!(kept.evict("a") && !kept.evict("a"));
        assert_eq!((kept.figures().entries, kept.figures().bytes), (0, 0));
    }

    #[test]
    fn what_was_not_asked_for_the_longest_makes_room() {
        let kept = room_for(2);
        let vector = tensor(&[0.0; 4]);
        for key in ["a", "b"] {
            kept.put(key, &vector).expect("fits");
        }
        kept.get("a").expect("is kept");
        kept.put("c", &vector).expect("fits in place of b");
        assert_eq!([kept.get("a").is_some(), kept.get("b").is_some(), kept.get("c").is_some()], [true, false, true]);
        assert_eq!(kept.figures().evictions, 1);
    }

    #[test]
    fn neither_bytes_nor_entries_nor_keys_go_beyond_their_bounds() {
        let kept = room_for(1);
        let error = kept.put("a", &tensor(&[0.0; 5])).expect_err("four bytes too many");
        assert_eq!(error.kind(), ErrorKind::TooLarge);
        assert!(error.to_string().ends_with("are (limits.state_bytes)"), "{error}");
        assert_eq!(kept.put(&"k".repeat(5000), &tensor(&[])), Err(StateError::Key { bytes: 5000 }));
        let kept = KeptTensors::within(StateLimits { bytes: 1 << 20, entries: 3 });
        for index in 0..10 {
            kept.put(&index.to_string(), &tensor(&[1.0])).expect("fits");
        }
        assert_eq!((kept.figures().entries, kept.figures().evictions), (3, 7));
        assert!(kept.get("9").is_some() && kept.get("6").is_none());
    }

    #[test]
    fn a_part_of_a_large_buffer_does_not_keep_the_buffer() {
        let kept = room_for(1);
        let large = bytes::Bytes::from(vec![0_u8; 1 << 20]);
        let part = Tensor::new(wisp_core::DataType::U8, &[4], large.slice(..4)).expect("four bytes");
        kept.put("a", &part).expect("fits");
        let data = kept.get("a").expect("is kept").data().clone();
        let within = large.as_ptr_range();
        assert!(!within.contains(&data.as_ptr()));
    }
}
