//! How long steps tell a person that they are alive.

/// Hears of the steps of a download, a verification or an export. One step is open at a time.
pub trait Progress: Send + Sync {
    /// A step begins: what it does (`fetching model.safetensors`), and its size in bytes where that is known.
    fn step(&self, name: &str, total_bytes: Option<u64>);

    /// So many more bytes of the open step are done.
    fn advance(&self, bytes: u64);

    /// The open step has ended well, and this came of it. A step that fails ends without a word: the error tells.
    fn done(&self, summary: &str);
}

/// Tells nobody.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoProgress;

impl Progress for NoProgress {
    fn step(&self, _name: &str, _total_bytes: Option<u64>) {}

    fn advance(&self, _bytes: u64) {}

    fn done(&self, _summary: &str) {}
}
