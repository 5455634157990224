//! What is read of a model beside its session, while the session opens.
//!
//! A tokenizer takes a quarter of the time that a session takes to open, and neither needs the other until golden texts are
//! compared: so they are read on two threads, and whoever needs the subject first waits for it.

use std::sync::OnceLock;

use wisp_model_store::ModelFile;

use super::loader::{Loader, Subject};

/// A subject that is read once, by whoever asks first.
pub(crate) struct LateSubject<'a> {
    loader: &'a Loader<'a>,
    first: Option<&'a ModelFile>,
    read: OnceLock<Result<Subject, String>>,
}

impl<'a> LateSubject<'a> {
    /// Nothing is read yet. `first` as in [`Loader::subject`].
    pub(crate) fn of(loader: &'a Loader<'a>, first: Option<&'a ModelFile>) -> Self {
        Self { loader, first, read: OnceLock::new() }
    }

    /// The subject, read by now.
    pub(crate) fn get(&self) -> Result<&Subject, String> {
        self.read.get_or_init(|| self.loader.subject(self.first)).as_ref().map_err(Clone::clone)
    }

    /// As [`LateSubject::get`], for good.
    pub(crate) fn take(self) -> Result<Subject, String> {
        self.read.into_inner().unwrap_or_else(|| self.loader.subject(self.first))
    }

    /// Runs `work` while the subject is read beside it. What has to be fetched is fetched before: all in one go, and by one thread.
    pub(crate) fn beside<T>(&self, work: impl FnOnce() -> T) -> Result<T, String> {
        if !self.loader.has_companions() {
            self.get()?;
        }
        std::thread::scope(|scope| {
            // Its error is told by `get`, here or in the work.
            let reading = scope.spawn(|| self.get().is_ok());
            let result = work();
            reading.join().map_err(|_| "reading tokenizer and golden vectors panicked".to_owned())?;
            self.get()?;
            Ok(result)
        })
    }
}
