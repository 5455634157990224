//! Names that somebody took out of service: they stay configured, and answer nothing until they are put back.

use std::collections::BTreeSet;
use std::sync::Arc;

use arc_swap::ArcSwap;

use crate::EngineError;

/// The names on the shelf. Clones share it, from one configuration to the next.
#[derive(Clone, Default)]
pub(crate) struct Shelf(Arc<ArcSwap<BTreeSet<String>>>);

impl Shelf {
    /// Why nobody under this name answers.
    pub(crate) const PROBLEM: &str = "it was unloaded on request; load it again to use it";

    pub(crate) fn has(&self, name: &str) -> bool {
        self.0.load().contains(name)
    }

    /// # Errors
    /// [`EngineError::Unloaded`] for a name on the shelf.
    pub(crate) fn check(&self, name: &str) -> Result<(), EngineError> {
        if self.has(name) { Err(EngineError::Unloaded { name: name.to_owned() }) } else { Ok(()) }
    }

    pub(crate) fn put(&self, name: &str) {
        self.change(|names| {
            names.insert(name.to_owned());
        });
    }

    pub(crate) fn take(&self, name: &str) {
        self.change(|names| {
            names.remove(name);
        });
    }

    /// Forgets the names that nothing has any more.
    pub(crate) fn keep(&self, is_there: impl Fn(&str) -> bool) {
        self.change(|names| names.retain(|name| is_there(name)));
    }

    fn change(&self, change: impl Fn(&mut BTreeSet<String>)) {
        self.0.rcu(|names| {
            let mut names = BTreeSet::clone(names);
            change(&mut names);
            names
        });
    }
}
