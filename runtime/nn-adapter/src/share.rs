//! What guests may hold in the host at one time, and how much of it they do.
//!
//! The crate keeps contexts and tensors of core modules until their store is dropped, as many as a guest asks for.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::AdapterError;

/// An amount with a bound.
#[derive(Debug)]
pub(crate) struct Stock {
    /// What is bounded, for messages.
    what: &'static str,
    limit: usize,
    taken: AtomicUsize,
}

/// A part of a stock; given back when dropped.
#[derive(Debug)]
pub(crate) struct Share {
    stock: Arc<Stock>,
    amount: usize,
}

impl Stock {
    pub(crate) fn new(what: &'static str, limit: usize) -> Arc<Self> {
        Arc::new(Self { what, limit, taken: AtomicUsize::new(0) })
    }

    /// Takes a part, if there is as much.
    pub(crate) fn take(self: &Arc<Self>, amount: usize) -> Result<Share, AdapterError> {
        let more = |taken: usize| taken.checked_add(amount).filter(|&sum| sum <= self.limit);
        match self.taken.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more) {
            Ok(_) => Ok(Share { stock: Arc::clone(self), amount }),
            Err(_) => Err(AdapterError::Full { what: self.what, limit: self.limit }),
        }
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.stock.taken.fetch_sub(self.amount, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stock_gives_what_it_has_and_takes_it_back() {
        let stock = Stock::new("bytes", 10);
        let seven = stock.take(7).expect("of ten");
        stock.take(4).expect_err("three are left");
        stock.take(usize::MAX).expect_err("overflows");
        let three = stock.take(3).expect("are left");
        let error = stock.take(1).expect_err("none is left").to_string();
        assert!(error.starts_with("the guest holds its limit of 10 bytes; "), "{error}");
        drop((seven, three));
        stock.take(10).expect("all came back");
    }
}
